// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <unistd.h>
#include <cstdio>

#include "json.hpp"
#include "show.hpp"

namespace sluice::app {
namespace {

using app::of;

Json of(const std::vector<Refused>& refused) {
  Json list = Json::array();
  for (const Refused& each : refused) {
    list.push_back({{"rung", each.rung}, {"reason", each.reason}});
  }
  return list;
}

Json of(const Ledger& ledger) {
  return {{"frames", ledger.frames},
          {"accounted", ledger.accounted()},
          {"pool", ledger.pool},
          {"handlers", ledger.handler},
          {"chains", ledger.chain},
          {"receiving", ledger.receiving},
          {"transmitting", ledger.transmitting},
          {"astray", ledger.astray}};
}

Json of(const QueueStats& queue) {
  return {{"port", queue.port},
          {"queue", queue.queue},
          {"core", queue.core},
          {"rx_packets", queue.rx_packets},
          {"rx_bytes", queue.rx_bytes},
          {"tx_packets", queue.tx_packets},
          {"tx_bytes", queue.tx_bytes},
          {"lost", queue.lost()},
          {"drops",
           {{"rx_dropped", queue.kernel.rx_dropped},
            {"rx_ring_full", queue.kernel.rx_ring_full},
            {"rx_invalid", queue.rx_invalid},
            {"rx_broken", queue.rx_broken},
            {"tx_full", queue.tx_full},
            {"tx_refused", queue.tx_refused},
            {"tx_invalid", queue.kernel.tx_invalid}}},
          {"fill_empty", queue.kernel.fill_empty},
          {"fill_invalid", queue.kernel.rx_invalid},
          {"pool_dry", queue.pool_dry},
          {"tx_stalls", queue.tx_stalls},
          {"kicks", queue.kicks},
          {"kick_errors", queue.kick_errors},
          {"rx_wakes", queue.rx_wakes},
          {"cut_off", queue.cut_off}};
}

Json of(const CoreStats& core) {
  return {{"core", core.core},        {"cpu", core.cpu},
          {"turns", core.turns},      {"sleeps", core.sleeps},
          {"busy_ns", core.busy_ns},  {"elapsed_ns", core.elapsed_ns},
          {"ledger", of(core.ledger)}};
}

template <class T>
Json of_all(const std::vector<T>& all) {
  Json list = Json::array();
  for (const T& each : all) list.push_back(of(each));
  return list;
}

Json of(const Stats& stats) {
  Json handler = Json::object();
  for (const auto& each : stats.counters) handler[each.name] = each.value;
  for (const auto& each : stats.gauges) handler[each.name] = each.value;
  for (const auto& each : stats.histograms) {
    handler[each.name] = {{"count", each.count},
                          {"p50", each.p50},
                          {"p99", each.p99},
                          {"p999", each.p999}};
  }
  return {{"time_ns", stats.time.ns},      {"queues", of_all(stats.queues)},
          {"cores", of_all(stats.cores)},  {"ports", of_all(stats.ports)},
          {"handler", std::move(handler)}, {"ledger", of(stats.ledger())}};
}

Json of(const TxOffload& offload) {
  return {
      {"checksum", offload.checksum},
      {"timestamp", offload.timestamp ? to_string(*offload.timestamp) : "off"},
      {"launch_time", offload.launch_time}};
}

Json of(const Granted& granted) {
  Json queues = Json::array();
  for (const QueueGrant& queue : granted.queues) {
    const CoreGrant& core = granted.cores[queue.core];
    queues.push_back({{"port", queue.port},
                      {"interface", queue.interface},
                      {"queue", queue.queue},
                      {"cpu", core.cpu},
                      {"displaced", core.displaced},
                      {"mode", granted.mode(queue)},
                      {"multi_buffer", queue.multi_buffer},
                      {"timestamps", timestamps(queue)},
                      {"rx_hints", of(queue.rx_hints)},
                      {"tx_offload", of(queue.tx_offload)},
                      {"wait", core.wait},
                      {"ring_size", core.ring_size},
                      {"frames", core.frames},
                      {"frame_size", core.frame_size},
                      {"locked_bytes", core.locked_bytes},
                      {"huge_pages", core.huge_pages},
                      {"tx_budget", queue.tx_budget},
                      {"busy_poll", queue.busy_poll},
                      {"napi_id", queue.napi_id},
                      {"refused", of(queue.refused)},
                      {"wait_refused", of(core.refused)}});
  }
  Json coverage = Json::array();
  for (const Coverage& each : granted.coverage) {
    coverage.push_back({{"interface", each.interface},
                        {"queues", each.queues},
                        {"served", each.served},
                        {"share", each.share},
                        {"remedy", each.remedy}});
  }
  return {{"queues", std::move(queues)}, {"coverage", std::move(coverage)}};
}

void put_line(const Json& json) { put(dumped(json)); }

class JsonShow : public Show {
 public:
  void started(const Granted& granted) override {
    Json json = line("started");
    json.update(of(granted));
    put_line(json);
  }
  void news(const std::string& text) override {
    Json json = line("event");
    json["text"] = text;
    put_line(json);
  }
  void interval(const Stats&, const Stats& after) override {
    Json json = line("interval");
    json.update(of(after));
    put_line(json);
  }
  void ended(const Stats& stats, const Report& report,
             const std::string& reason) override {
    Json json = line("ended");
    json["reason"] = reason;
    json.update(of(stats));
    json["report"] = Json::object();
    for (const auto& each : report.entries()) {
      json["report"][each.name] = each.value;
    }
    put_line(json);
  }
  void files(const PcapEnd& end) override {
    Json json = line("files");
    json["files"] = Json::array();
    for (const PcapFiles& each : end.files) {
      json["files"].push_back({{"port", each.port},
                               {"in", each.in},
                               {"out", each.out},
                               {"read", each.tally.read},
                               {"cut", each.tally.cut},
                               {"late", each.tally.late},
                               {"larger_than_a_frame", each.tally.chains},
                               {"sent", each.tally.sent}});
    }
    json["received"] = end.received;
    json["sent"] = end.sent;
    json["kept"] = end.kept;
    json["dropped"] = end.dropped();
    put_line(json);
  }
};

}  // namespace

std::unique_ptr<Show> json_show() { return std::make_unique<JsonShow>(); }

std::string status_json(const Engine& engine, const Stats& stats) {
  Json json = line("status");
  json["pid"] = ::getpid();
  json["granted"] = of(Granted(engine));
  json.update(of(stats));
  return dumped(json);
}

Json of(RxHints hints) {
  return {{"hash", hints.hash}, {"vlan_tag", hints.vlan_tag}};
}

// Of a status, for people; "" where there is nothing.
std::string hints_of(const Json& hints) {
  std::string text;
  if (hints.value("hash", false)) text += " hash";
  if (hints.value("vlan_tag", false)) text += " vlan-tag";
  return text.empty() ? text : ", rx hints" + text;
}

std::string hints_text(RxHints hints) { return hints_of(of(hints)); }

std::string offload_of(const Json& offload) {
  std::string text;
  if (offload.value("checksum", false)) text += " checksum";
  const std::string clock = offload.value("timestamp", "off");
  if (clock != "off") text += " timestamp(" + clock + ")";
  if (offload.value("launch_time", false)) text += " launch-time";
  return text.empty() ? text : ", tx offload" + text;
}

std::string offload_text(const TxOffload& offload) {
  return offload_of(of(offload));
}

std::string status_text(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.contains("pid")) return "";
  std::string lines =
      fmt::format("owner: process {}\n", json["pid"].get<int>());
  for (const Json& queue : json["granted"]["queues"]) {
    lines += fmt::format(
        "{} queue {}: cpu {}{}, {}, wait {}, timestamps {}{}{}{}\n",
        queue["interface"].get<std::string>(), queue["queue"].get<int>(),
        queue["cpu"].get<int>(),
        queue.value("displaced", false) ? " (lost: runs elsewhere)" : "",
        queue["mode"].get<std::string>(), queue["wait"].get<std::string>(),
        queue.value("timestamps", "off"),
        hints_of(queue.value("rx_hints", Json::object())),
        offload_of(queue.value("tx_offload", Json::object())),
        busy_poll(queue.value("busy_poll", 0U), queue.value("napi_id", 0U)));
  }
  for (const Json& queue : json["queues"]) {
    lines +=
        fmt::format("{} queue {}: rx {} packets, tx {} packets, lost {}\n",
                    queue["port"].get<std::string>(), queue["queue"].get<int>(),
                    queue["rx_packets"].get<std::uint64_t>(),
                    queue["tx_packets"].get<std::uint64_t>(),
                    queue["lost"].get<std::uint64_t>());
  }
  for (const Json& port : json["ports"]) {
    if (!port.contains("rules")) continue;
    for (const Json& rule : port["rules"]) {
      lines += fmt::format("{} rule {}: {} packets\n",
                           port["interface"].get<std::string>(),
                           rule["rule"].get<std::string>(),
                           rule["packets"].get<std::uint64_t>());
    }
  }
  lines += fmt::format("frames {} of {}\n",
                       json["ledger"]["accounted"].get<std::uint64_t>(),
                       json["ledger"]["frames"].get<std::uint64_t>());
  return lines;
}

}  // namespace sluice::app
