// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <thread>

#include "engine_state.hpp"

namespace sluice {
namespace {

// Adds by name, in the order in which the names first come.
template <class T>
T& by_name(std::vector<T>& all, const std::string& name) {
  const auto at = std::ranges::find(all, name, &T::name);
  if (at != all.end()) return *at;
  T& made = all.emplace_back();
  made.name = name;
  return made;
}

std::uint64_t value(const Gauge& gauge) {
  return static_cast<std::uint64_t>(gauge.value());
}

// What the core told last: read while it works, the owners would be seen at
// different moments.
Ledger published(const Core& core) {
  const LoopCounters& loop = core.loop();
  Ledger ledger;
  ledger.frames = core.pool().frames();
  ledger.pool = value(loop.pool);
  ledger.handler = value(loop.handler);
  ledger.chain = value(loop.chain);
  ledger.receiving = value(loop.receiving);
  ledger.transmitting = value(loop.transmitting);
  ledger.astray = value(loop.astray);
  return ledger;
}

// All but the ledger.
CoreStats counted(const Core& core) {
  const LoopCounters& loop = core.loop();
  CoreStats stats;
  stats.core = core.index();
  stats.cpu = core.cpu();
  stats.turns = loop.turns.value();
  stats.sleeps = loop.sleeps.value();
  stats.busy_ns = loop.busy_ns.value();
  stats.elapsed_ns = loop.elapsed_ns.value();
  return stats;
}

}  // namespace

Ledger Stats::ledger() const {
  Ledger sum;
  for (const CoreStats& core : cores) sum += core.ledger;
  return sum;
}

CoreStats CoreStats::of(const Core& core) {
  CoreStats stats = counted(core);
  stats.ledger = core.ledger();
  return stats;
}

void Stats::add_named(const Core& core) {
  for (const auto& each : core.counters()) {
    by_name(counters, each.name).value +=
        static_cast<std::int64_t>(each.value.value());
  }
  for (const auto& each : core.gauges()) {
    by_name(gauges, each.name).value += each.value.value();
  }
  for (const auto& each : core.histograms()) {
    NamedQuantiles& quantiles = by_name(histograms, each.name);
    quantiles.count += each.value.count();
    quantiles.p50 = std::max(quantiles.p50, each.value.quantile(0.5));
    quantiles.p99 = std::max(quantiles.p99, each.value.quantile(0.99));
    quantiles.p999 = std::max(quantiles.p999, each.value.quantile(0.999));
  }
}

QueueStats QueueStats::of(std::string name, const Port& port,
                          std::size_t core) {
  const PortCounters& counters = port.counters();
  QueueStats stats;
  stats.port = std::move(name);
  stats.queue = port.queue();
  stats.core = core;
  stats.rx_packets = counters.rx_packets.value();
  stats.rx_bytes = counters.rx_bytes.value();
  stats.rx_invalid = counters.rx_invalid.value();
  stats.rx_broken = counters.rx_broken.value();
  stats.tx_packets = counters.tx_packets.value();
  stats.tx_bytes = counters.tx_bytes.value();
  stats.tx_full = counters.tx_full.value();
  stats.tx_refused = counters.tx_refused.value();
  stats.tx_stalls = counters.tx_stalls.value();
  stats.pool_dry = counters.pool_dry.value();
  stats.kicks = counters.kicks.value();
  stats.kick_errors = counters.kick_errors.value();
  stats.rx_wakes = counters.rx_wakes.value();
  stats.cut_off = counters.cut_off.value();
  return stats;
}

void Report::add(std::string_view name, std::uint64_t value) {
  entry(name).value += value;
}

void Report::maximum(std::string_view name, std::uint64_t value) {
  Entry& at = entry(name);
  at.value = std::max(at.value, value);
}

Report::Entry& Report::entry(std::string_view name) {
  return by_name(entries_, std::string(name));
}

// Each core publishes its ledger at the end of a turn. One that does not, for
// 100 ms, hangs in its handler; what it told last must do.
void Engine::refresh_ledgers() {
  if (!running_) return;
  std::vector<std::uint64_t> before;
  for (const auto& core : cores_) {
    before.push_back(core->core->loop().published.value());
  }
  post_all(Event::Kind::publish);
  const Time deadline = monotonic_now() + std::chrono::milliseconds(100);
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    while (cores_[i]->core->loop().published.value() == before[i] &&
           monotonic_now() < deadline) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

QueueStats Engine::queue_stats(std::size_t core, std::size_t port) const {
  const CoreState& state = *cores_[core];
  QueueStats stats =
      QueueStats::of(ports_[port]->options.name, state.ports[port], core);
  stats.kernel = state.closed[port];
  if (const auto& socket = state.sockets[port]) {
    if (auto kernel = socket->statistics()) stats.kernel += *kernel;
  }
  return stats;
}

Stats Engine::stats() {
  refresh_ledgers();
  Stats stats;
  stats.time = monotonic_now();
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    const Core& core = *cores_[i]->core;
    CoreStats& told = stats.cores.emplace_back(counted(core));
    told.ledger = running_ ? published(core) : core.ledger();
    stats.add_named(core);
    for (std::size_t port = 0; port < ports_.size(); ++port) {
      stats.queues.push_back(queue_stats(i, port));
    }
  }
  for (const auto& port : ports_) {
    PortStats each{
        port->options.name, port->device.name, {}, port->program->rules()};
    if (auto counts = port->program->counts()) each.verdicts = *counts;
    stats.ports.push_back(std::move(each));
  }
  return stats;
}

}  // namespace sluice
