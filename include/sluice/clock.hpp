// SPDX-License-Identifier: Apache-2.0
// Time: a point on the loop's clock, and the spans between two of them.
#pragma once

#include <chrono>
#include <cstdint>

namespace sluice {

/// Nanoseconds; what `std::chrono_literals` make.
using Duration = std::chrono::nanoseconds;

/// Nanoseconds on a clock that never goes back. Its zero is the clock's own:
/// CLOCK_MONOTONIC's on a NIC, the file's on a pcap port.
struct Time {
  std::uint64_t ns = 0;

  friend constexpr auto operator<=>(Time, Time) = default;
  friend constexpr Duration operator-(Time a, Time b) noexcept {
    return Duration(static_cast<std::int64_t>(a.ns - b.ns));
  }
  friend constexpr Time operator+(Time a, Duration d) noexcept {
    return {a.ns + static_cast<std::uint64_t>(d.count())};
  }
  /// Later than everything: a wait without a deadline.
  [[nodiscard]] static constexpr Time never() noexcept { return {~0ULL}; }
};

/// CLOCK_MONOTONIC, through the vDSO (about 20 ns). In a time namespace it is
/// the machine's all the same, which BPF programs read.
[[nodiscard]] Time monotonic_now() noexcept;

}  // namespace sluice
