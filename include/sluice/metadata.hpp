// SPDX-License-Identifier: Apache-2.0
// Metadata: what the XDP program says of a packet that it steers: by which rule
// of which list, when, and what else the NIC told of it.
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

/// What the NIC hashed of a packet: each hashes fields of its choice, by a key
/// of its own. FlowKey::hash() is the same everywhere.
struct RxHash {
  /// Bits of `type`. Source: enum xdp_rss_hash_type of Linux 6.3.
  static constexpr std::uint16_t kIpv4 = 1 << 0;
  static constexpr std::uint16_t kIpv6 = 1 << 1;
  static constexpr std::uint16_t kIpv6Extensions = 1 << 2;
  static constexpr std::uint16_t kL4 = 1 << 3;  ///< Ports, too, or the like.
  static constexpr std::uint16_t kTcp = 1 << 4;
  static constexpr std::uint16_t kUdp = 1 << 5;
  static constexpr std::uint16_t kSctp = 1 << 6;
  static constexpr std::uint16_t kIpsec = 1 << 7;
  static constexpr std::uint16_t kIcmp = 1 << 8;

  std::uint32_t value = 0;
  std::uint16_t type = 0;  ///< What was hashed; 0: the driver does not say.

  friend constexpr bool operator==(RxHash, RxHash) = default;
};

/// The VLAN tag that the NIC took out of a packet: its bytes do not have it.
/// Source: IEEE 802.1Q-2018, 9.6.
struct VlanTag {
  std::uint16_t protocol = 0;  ///< TPID: 0x8100 or 0x88a8.
  std::uint16_t control = 0;   ///< Priority (3 bits), drop eligible (1), id.

  [[nodiscard]] constexpr std::uint16_t id() const noexcept {
    return control & 0xfff;
  }
  [[nodiscard]] constexpr std::uint8_t priority() const noexcept {
    return static_cast<std::uint8_t>(control >> 13);
  }
  friend constexpr bool operator==(VlanTag, VlanTag) = default;
};

/// What a NIC can tell of a packet beside its bytes.
struct RxHints {
  bool time = false;      ///< Packet::timestamp(), by Clock::hardware.
  bool hash = false;      ///< Packet::rx_hash().
  bool vlan_tag = false;  ///< Packet::vlan_tag().

  /// As SLUICE_HINT_TIME and its like, and back.
  [[nodiscard]] static constexpr RxHints of(std::uint64_t bits) noexcept {
    return {(bits & SLUICE_HINT_TIME) != 0, (bits & SLUICE_HINT_HASH) != 0,
            (bits & SLUICE_HINT_VLAN) != 0};
  }
  [[nodiscard]] constexpr std::uint16_t bits() const noexcept {
    return static_cast<std::uint16_t>((time ? SLUICE_HINT_TIME : 0) |
                                      (hash ? SLUICE_HINT_HASH : 0) |
                                      (vlan_tag ? SLUICE_HINT_VLAN : 0));
  }
  /// Those that both have.
  friend constexpr RxHints operator&(RxHints left, RxHints right) noexcept {
    return of(left.bits() & right.bits());
  }
  friend constexpr bool operator==(RxHints, RxHints) = default;
};

}  // namespace sluice
