// SPDX-License-Identifier: Apache-2.0
#include "rules_file.hpp"

#include <fmt/format.h>

#include <sluice/rules_edit.hpp>

#include "rules_show.hpp"

namespace sluice::app {

std::vector<std::string> RulesFile::reload(Engine& engine) {
  auto rules = Rules::load(path_);
  if (!rules) {
    return {
        fmt::format("the rules stay as they are: {}", rules.error().message())};
  }
  std::vector<std::string> news;
  for (const PortOptions& port : engine.options().ports) {
    const Rules& live = engine.program(port.interface)->rules();
    for (const std::string& edit : differences(rules_, live)) {
      news.push_back(
          fmt::format("{}: replaces the live edit {}", port.interface, edit));
    }
  }
  if (auto set = engine.set_rules(*rules); !set) {
    return {
        fmt::format("the rules stay as they are: {}", set.error().message())};
  }
  rules_ = std::move(*rules);
  for (const PortOptions& port : engine.options().ports) {
    std::string line =
        loaded(port.interface, engine.program(port.interface)->version(),
               rules_, false);
    line.pop_back();
    news.push_back(std::move(line));
  }
  return news;
}

}  // namespace sluice::app
