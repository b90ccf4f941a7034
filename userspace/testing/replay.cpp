// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <sluice/testing/replay.hpp>
#include <string>

namespace sluice::testing {
namespace {

// The arrivals of one port.
class Arrivals : public PacketSource {
 public:
  explicit Arrivals(std::vector<Arrival> packets)
      : packets_(std::move(packets)) {}

  const Captured* next() override {
    if (next_ == packets_.size()) return nullptr;
    const Arrival& arrival = packets_[next_++];
    captured_.time = Time{} + arrival.at;
    captured_.bytes = arrival.bytes;
    captured_.size = static_cast<std::uint32_t>(arrival.bytes.size());
    return &captured_;
  }

 private:
  std::vector<Arrival> packets_;
  std::size_t next_ = 0;
  Captured captured_;
};

class Collector : public PacketSink {
 public:
  void sent(std::uint8_t port, Time time,
            std::span<const std::byte> bytes) override {
    all.push_back({time, port, {bytes.begin(), bytes.end()}});
  }
  std::vector<Replayed::Sent> all;
};

template <class T>
auto value_of(const std::vector<T>& all, std::string_view name) {
  const auto at = std::ranges::find(all, name, &T::name);
  return at == all.end() ? 0 : at->value;
}

}  // namespace

std::int64_t Replayed::counter(std::string_view name) const {
  return value_of(stats.counters, name);
}

std::uint64_t Replayed::reported(std::string_view name) const {
  return value_of(report.entries(), name);
}

Result<Replayed> replay_with(
    std::vector<Arrival> packets, PcapOptions options,
    const std::function<Result<void>(PcapEngine&)>& start) {
  if (options.ports.empty()) options.ports.push_back({.name = "p"});
  std::vector<std::vector<Arrival>> by_port(options.ports.size());
  for (Arrival& each : packets) {
    if (each.port >= by_port.size()) {
      return Error{EINVAL, "replay", "port " + std::to_string(each.port),
                   "Name it in PcapOptions::ports."};
    }
    by_port[each.port].push_back(std::move(each));
  }
  std::vector<std::unique_ptr<PacketSource>> sources;
  for (auto& each : by_port) {
    sources.push_back(std::make_unique<Arrivals>(std::move(each)));
  }
  Collector collector;
  auto engine =
      PcapEngine::open(std::move(options), std::move(sources), collector);
  if (!engine) return engine.error();
  if (auto started = start(**engine); !started) return started.error();
  while ((*engine)->step(1'000'000)) {
  }
  (*engine)->stop();

  Replayed replayed;
  replayed.sent = std::move(collector.all);
  replayed.stats = (*engine)->stats();
  replayed.report = (*engine)->report();
  replayed.kept = (*engine)->kept();
  for (const QueueStats& queue : replayed.stats.queues) {
    replayed.received += queue.rx_packets;
  }
  const std::uint64_t there = replayed.sent.size() + replayed.kept;
  replayed.dropped = replayed.received - std::min(replayed.received, there);
  return replayed;
}

}  // namespace sluice::testing
