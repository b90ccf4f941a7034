// SPDX-License-Identifier: Apache-2.0
// Metadata: what the XDP program says of a packet that it steers: by which rule
// of which list, and when.
#pragma once

#include <sluice/abi.h>

#include <cstdint>
#include <string_view>

namespace sluice {

/// A rule by its label: the same in every list and every run. Compare it, keep
/// it; a label that is in no list is the id of no packet.
struct RuleId {
  std::uint32_t value = 0;  ///< 0: no rule, or one without a label.

  friend constexpr bool operator==(RuleId, RuleId) = default;
  explicit constexpr operator bool() const noexcept { return value != 0; }
};

/// The id of a label, without the @: FNV-1a of its bytes, in 32 bits. A list
/// with two labels of one id is refused.
/// Source: draft-eastlake-fnv, section 2.
[[nodiscard]] constexpr RuleId rule_id(std::string_view label) noexcept {
  if (label.empty()) return {};
  std::uint32_t hash = 0x811c9dc5;
  for (const char byte : label) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x01000193;
  }
  return {hash == 0 ? 1 : hash};
}

/// When a packet arrived, and by which clock. Times of two clocks can't be
/// compared.
struct Timestamp {
  enum class Clock : std::uint32_t {
    monotonic = SLUICE_CLOCK_MONOTONIC,  ///< CLOCK_MONOTONIC, in the program.
    hardware = SLUICE_CLOCK_HARDWARE,    ///< The NIC's, at its port.
    file = SLUICE_CLOCK_FILE,            ///< Of a capture: since 1970.
    tai,  ///< CLOCK_TAI, of packets that were sent: TxOffload::timestamp.
  };
  std::uint64_t ns = 0;
  Clock clock = Clock::monotonic;

  friend constexpr bool operator==(Timestamp, Timestamp) = default;
};

/// "monotonic", "hardware", "file" or "tai".
[[nodiscard]] constexpr const char* to_string(Timestamp::Clock clock) noexcept {
  if (clock == Timestamp::Clock::hardware) return "hardware";
  if (clock == Timestamp::Clock::tai) return "tai";
  return clock == Timestamp::Clock::file ? "file" : "monotonic";
}

}  // namespace sluice
