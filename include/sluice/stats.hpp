// SPDX-License-Identifier: Apache-2.0
// Stats: everything an engine counts, as plain numbers at one moment.
#pragma once

#include <cstdint>
#include <optional>
#include <sluice/core.hpp>
#include <sluice/program.hpp>
#include <sluice/socket.hpp>
#include <string>
#include <vector>

namespace sluice {

/// One port of one core. The fields are those of PortCounters.
struct QueueStats {
  std::string port;
  std::uint32_t queue = 0;
  std::size_t core = 0;
  std::uint64_t rx_packets = 0, rx_bytes = 0, rx_invalid = 0, rx_broken = 0;
  std::uint64_t tx_packets = 0, tx_bytes = 0, tx_full = 0, tx_refused = 0;
  std::uint64_t tx_stalls = 0, pool_dry = 0;
  std::uint64_t kicks = 0, kick_errors = 0, rx_wakes = 0, cut_off = 0;
  SocketStatistics kernel;  ///< What the kernel counts for the socket.

  /// Of a port's counters; `kernel` is all zero.
  [[nodiscard]] static QueueStats of(std::string name, const Port& port,
                                     std::size_t core);

  /// Packets that were lost, by whoever's fault. (An empty FILL is a reason
  /// for rx_dropped, not a loss of its own.)
  [[nodiscard]] std::uint64_t lost() const noexcept {
    return rx_invalid + rx_broken + tx_full + tx_refused + cut_off +
           kernel.rx_dropped + kernel.rx_ring_full + kernel.tx_invalid;
  }
};

struct CoreStats {
  std::size_t core = 0;
  int cpu = 0;
  std::uint64_t turns = 0, sleeps = 0, busy_ns = 0, elapsed_ns = 0;
  Ledger ledger;

  /// Of a core that stands still, or on its own thread: the ledger is read.
  [[nodiscard]] static CoreStats of(const Core& core);
};

/// One interface.
struct PortStats {
  std::string port;
  std::string interface;
  std::optional<Counts> verdicts;  ///< Of the XDP program.
  Rules rules;                     ///< In the order of verdicts->rules.
};

/// A handler's own numbers, by name, summed over the cores.
struct NamedValue {
  std::string name;
  std::int64_t value = 0;
};
struct NamedQuantiles {
  std::string name;
  std::uint64_t count = 0, p50 = 0, p99 = 0, p999 = 0;  ///< Of the worst core.
};

struct Stats {
  Time time;
  std::vector<QueueStats> queues;
  std::vector<CoreStats> cores;
  std::vector<PortStats> ports;
  std::vector<NamedValue> counters;
  std::vector<NamedValue> gauges;
  std::vector<NamedQuantiles> histograms;

  /// The frames of all cores.
  [[nodiscard]] Ledger ledger() const;
  /// Adds what a core's handler named. Any thread, once the handler stands.
  void add_named(const Core& core);
};

}  // namespace sluice
