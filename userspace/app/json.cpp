// SPDX-License-Identifier: Apache-2.0
#include "json.hpp"

namespace sluice::app {

Json line(const char* type) {
  constexpr int kSchema = 1;  // Grows when a field changes its meaning or goes.
  return {{"type", type}, {"schema", kSchema}};
}

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json of(const Count& count) {
  return {{"packets", count.packets}, {"bytes", count.bytes}};
}

Json of(const VerdictCounts& counts) {
  return {{"passed", of(counts.passed)},
          {"dropped", of(counts.dropped)},
          {"steered", of(counts.steered)},
          {"reflected", of(counts.reflected)},
          {"passed_no_socket", of(counts.passed_no_socket)},
          {"dropped_no_socket", of(counts.dropped_no_socket)}};
}

Json of(const PortStats& port) {
  Json json = {{"port", port.port}, {"interface", port.interface}};
  if (!port.verdicts) return json;
  json["verdicts"] = of(port.verdicts->verdicts);
  if (const auto& bypass = port.verdicts->bypass) {
    json["bypass"] = of(bypass->total);
    json["bypass"]["flows"] = bypass->inserted;
    json["bypass"]["evicted"] = bypass->evicted;
  }
  json["rules"] = Json::array();
  for (std::size_t i = 0; i < port.rules.size(); ++i) {
    Json rule = {{"rule", port.rules[i].text()}};
    rule.update(of(port.verdicts->rules[i]));
    json["rules"].push_back(std::move(rule));
  }
  return json;
}

}  // namespace sluice::app
