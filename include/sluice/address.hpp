// SPDX-License-Identifier: Apache-2.0
// Addresses: MAC, IPv4 and IPv6, as they stand on the wire.
//
// Trivial types with an alignment of one: usable inside header views, as keys
// of a hash map, and in order. Text is parsed and written out of line.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <sluice/result.hpp>
#include <string>
#include <string_view>

namespace sluice {

/// Multiplies to 128 bits and folds the halves: one instruction of mixing in
/// which every input bit reaches every output bit. Source: wyhash.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t a,
                                          std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^
         static_cast<std::uint64_t>(product >> 64);
}

/// An EUI-48 address. Source: IEEE 802-2014, 8.2.
struct MacAddress {
  std::array<std::uint8_t, 6> bytes;

  /// "02:00:00:00:00:0a". Error "MAC address" names the text. Allocates.
  [[nodiscard]] static Result<MacAddress> parse(std::string_view text);
  /// Lower case, with colons. Allocates.
  [[nodiscard]] std::string text() const;

  [[nodiscard]] static constexpr MacAddress broadcast() noexcept {
    return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  }
  /// The group bit: multicast, and broadcast too.
  [[nodiscard]] constexpr bool is_multicast() const noexcept {
    return (bytes[0] & 1) != 0;
  }
  friend constexpr auto operator<=>(const MacAddress&,
                                    const MacAddress&) = default;
};

/// Source: RFC 791, 3.1.
struct Ipv4Address {
  std::array<std::uint8_t, 4> bytes;

  /// "10.0.0.1", four decimal numbers. Error "IPv4 address". Allocates.
  [[nodiscard]] static Result<Ipv4Address> parse(std::string_view text);
  /// Dotted decimal. Allocates.
  [[nodiscard]] std::string text() const;

  /// 224.0.0.0/4. Source: RFC 5771, 3.
  [[nodiscard]] constexpr bool is_multicast() const noexcept {
    return (bytes[0] & 0xf0) == 0xe0;
  }
  friend constexpr auto operator<=>(const Ipv4Address&,
                                    const Ipv4Address&) = default;
};

/// Source: RFC 4291, 2.
struct Ipv6Address {
  std::array<std::uint8_t, 16> bytes;

  /// "2001:db8::1", no zone. Error "IPv6 address". Allocates.
  [[nodiscard]] static Result<Ipv6Address> parse(std::string_view text);
  /// The canonical text of RFC 5952. Allocates.
  [[nodiscard]] std::string text() const;

  /// ::ffff:a.b.c.d, the IPv4-mapped form. Source: RFC 4291, 2.5.5.2.
  [[nodiscard]] static constexpr Ipv6Address mapped(
      const Ipv4Address& v4) noexcept {
    return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4.bytes[0], v4.bytes[1],
             v4.bytes[2], v4.bytes[3]}};
  }
  /// ff02::1:ffXX:XXXX, where neighbours ask for this address.
  /// Source: RFC 4291, 2.7.1.
  [[nodiscard]] constexpr Ipv6Address solicited_node() const noexcept {
    return {{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, bytes[13],
             bytes[14], bytes[15]}};
  }
  /// 33:33:XX:XX:XX:XX, where a multicast address is sent to.
  /// Source: RFC 2464, 7.
  [[nodiscard]] constexpr MacAddress multicast_mac() const noexcept {
    return {{0x33, 0x33, bytes[12], bytes[13], bytes[14], bytes[15]}};
  }
  /// ff00::/8.
  [[nodiscard]] constexpr bool is_multicast() const noexcept {
    return bytes[0] == 0xff;
  }
  /// All zeros: a sender that has no address yet. Source: RFC 4291, 2.5.2.
  [[nodiscard]] constexpr bool is_unspecified() const noexcept {
    return *this == Ipv6Address{};
  }
  friend constexpr auto operator<=>(const Ipv6Address&,
                                    const Ipv6Address&) = default;
};

static_assert(sizeof(MacAddress) == 6 && alignof(MacAddress) == 1);
static_assert(sizeof(Ipv4Address) == 4 && alignof(Ipv4Address) == 1);
static_assert(sizeof(Ipv6Address) == 16 && alignof(Ipv6Address) == 1);

}  // namespace sluice

template <>
struct std::hash<sluice::MacAddress> {
  std::size_t operator()(const sluice::MacAddress& mac) const noexcept {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : mac.bytes) value = value << 8 | byte;
    return sluice::mix(value ^ 0x2d358dccaa6c78a5, 0x8bb84b93962eacc9);
  }
};

template <>
struct std::hash<sluice::Ipv4Address> {
  std::size_t operator()(const sluice::Ipv4Address& address) const noexcept {
    const auto value = std::bit_cast<std::uint32_t>(address.bytes);
    return sluice::mix(value ^ 0x2d358dccaa6c78a5, 0x8bb84b93962eacc9);
  }
};

template <>
struct std::hash<sluice::Ipv6Address> {
  std::size_t operator()(const sluice::Ipv6Address& address) const noexcept {
    const auto words =
        std::bit_cast<std::array<std::uint64_t, 2>>(address.bytes);
    return sluice::mix(sluice::mix(words[0] ^ 0x2d358dccaa6c78a5,
                                   words[1] ^ 0x8bb84b93962eacc9),
                       0x4b33a62ed433d4a3);
  }
};
