// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <sluice/core.hpp>

namespace sluice {
namespace {

// The element of that name, made if need be.
template <class T>
T& named(std::deque<Core::Named<T>>& all, std::string_view name) {
  for (auto& each : all) {
    if (each.name == name) return each.value;
  }
  auto& made = all.emplace_back();
  made.name = name;
  return made.value;
}

}  // namespace

Ledger& Ledger::operator+=(const Ledger& other) noexcept {
  frames += other.frames;
  pool += other.pool;
  handler += other.handler;
  chain += other.chain;
  receiving += other.receiving;
  transmitting += other.transmitting;
  astray += other.astray;
  return *this;
}

Core::Core(std::size_t index, int cpu, std::span<Port> ports,
           std::vector<PortFacts> facts, FramePool& pool, Time now)
    : ports_(ports),
      pool_(&pool),
      now_(now),
      index_(index),
      cpu_(cpu),
      facts_(std::move(facts)) {
  assert(!ports_.empty() && ports_.size() == facts_.size());
}

std::optional<Packet> Core::make_packet(std::uint32_t size) noexcept {
  if (pool_->available() == 0 ||
      size > pool_->frame_size() - Packet::kHeadroom) {
    return std::nullopt;
  }
  const std::uint64_t frame = pool_->frame_of(pool_->take());
  pool_->moved(frame, FrameOwner::pool, FrameOwner::handler);
  pool_->hold(1);
  if (pool_->has_metadata()) Packet::forget_metadata(*pool_, frame);
  return Packet(*pool_, frame + Packet::kHeadroom, size,
                {.queue = ports_[0].queue()});
}

Outlet Core::port(std::string_view name) {
  std::string known;
  for (std::size_t i = 0; i < facts_.size(); ++i) {
    if (facts_[i].name == name) return port(i);
    known += (known.empty() ? "" : ", ") + facts_[i].name;
  }
  fail({ENOENT, "port", "'" + std::string(name) + "'",
        "The ports are: " + known + ". Name one with --port " +
            std::string(name) + "=INTERFACE."});
  return port(std::size_t{0});
}

Counter& Core::counter(std::string_view name) { return named(counters_, name); }
Gauge& Core::gauge(std::string_view name) { return named(gauges_, name); }
Histogram& Core::histogram(std::string_view name) {
  return named(histograms_, name);
}

void Core::fail(Error error) {
  if (!failure_) failure_ = std::move(error);
}

Ledger Core::ledger() const noexcept {
  Ledger ledger;
  ledger.frames = pool_->frames();
  ledger.pool = pool_->available();
  ledger.handler = pool_->held();
  for (const Port& port : ports_) {
    ledger.chain += port.chained();
    ledger.receiving += port.receiving();
    ledger.transmitting += port.transmitting();
    ledger.astray += port.counters().astray.value();
  }
  return ledger;
}

}  // namespace sluice
