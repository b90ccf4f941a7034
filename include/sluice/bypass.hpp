// SPDX-License-Identifier: Apache-2.0
// BypassTable: flows that the XDP program deals with itself, for a while.
//
// A flow is an untagged packet's IP version, addresses and protocol, and ports
// where that is TCP or UDP. Fragments, packets with VLAN tags in their bytes
// and packets with IPv6 extension headers are never bypassed: rules are asked
// about them, as about flows that are not here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <sluice/abi.h>
#include <sluice/clock.hpp>
#include <sluice/parse.hpp>
#include <sluice/result.hpp>
#include <sluice/rules.hpp>

namespace sluice {

/// A view of a table that the program reads. Whoever owns the memory outlives
/// it. Copy it; any number of threads may work on one table.
class BypassTable {
 public:
  /// The most flows that a table may be made for: 2 GiB.
  static constexpr std::uint32_t kFlowsMax = 1U << 24;
  /// Memory for so many flows: 128 bytes each. An entry is found by its hash in
  /// a bucket of 15, which has 8 when they all are there: about 2 in 1000 then
  /// find theirs full. REQUIRES: flows <= kFlowsMax.
  [[nodiscard]] static std::size_t bytes(std::uint32_t flows) noexcept;
  /// Makes an empty table of zeroed memory. REQUIRES: it has bytes(flows), at
  /// a multiple of 64. System call: getrandom(2).
  static void make(std::span<std::byte> memory, std::uint32_t flows);

  /// `bypassing` becomes 1 with the first flow.
  BypassTable(std::span<std::byte> memory, std::uint32_t& bypassing) noexcept;

  /// Has `action` done to the flow's packets for `time` from `now` on, or not
  /// at all any more where that is 0 or less. What it said of the flow before
  /// no longer holds. Where a bucket is full, the entry that would expire first
  /// goes, and is counted. False: the action is not drop, pass or reflect; the
  /// flow is none that is bypassed; or others wrote to the same bucket just
  /// now. No system call, no allocation; never waits.
  bool insert(const FlowKey& flow, Action action, std::chrono::seconds time,
              Time now) noexcept;

  /// What the program would do with a packet of the flow; counts it as the
  /// program does. For engines without the program.
  [[nodiscard]] std::optional<Action> ask(const FlowKey& flow,
                                          std::uint32_t bytes,
                                          Time now) noexcept;

  /// Packets and bytes of a flow's entry, expired or not; none: there is none.
  struct FlowCount {
    std::uint64_t packets = 0, bytes = 0;
  };
  [[nodiscard]] std::optional<FlowCount> count(
      const FlowKey& flow) const noexcept;

  /// Flows that came in, by any thread, since the table was made.
  [[nodiscard]] std::uint64_t inserted() const noexcept;
  /// Flows that had to go before their time.
  [[nodiscard]] std::uint64_t evicted() const noexcept;

 private:
  struct Place {
    std::size_t bucket;  // Line of its tags.
    std::uint32_t tag;
  };
  struct Entry {
    std::size_t way = 0;  // 0: none.
    std::uint64_t state = 0;
  };
  [[nodiscard]] Place place_of(const sluice_bypass_key& key) const noexcept;
  [[nodiscard]] Entry find(const Place& place,
                           const sluice_bypass_key& key) const noexcept;
  [[nodiscard]] Entry victim(const Place& place,
                             std::uint64_t now) const noexcept;
  [[nodiscard]] sluice_bypassed& entry(const Place& place,
                                       std::size_t way) const noexcept;
  [[nodiscard]] std::uint32_t& tag(const Place& place,
                                   std::size_t way) const noexcept;
  [[nodiscard]] sluice_bypass_counts& counts() const noexcept;
  bool fill(const Place& place, Entry at, const sluice_bypass_key& key,
            std::uint64_t state) noexcept;

  sluice_line* lines_;
  std::uint32_t* bypassing_;
};

}  // namespace sluice
