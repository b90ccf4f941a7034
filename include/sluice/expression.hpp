// SPDX-License-Identifier: Apache-2.0
// Expression: what a packet must be, in tcpdump's words, as a tree.
//
//   udp and dst port 53 and not src net 192.0.2.0/24
//
// The words are those of pcap-filter(7) and mean what libpcap 1.10 makes of
// them on Ethernet, quirks included. A truth has three values: libpcap gives up
// on a packet that ends before a byte it wants to see, and then nothing else in
// the expression can make it match. So `and` and `or` look from left to right,
// and only as far as they must. Source: pcap-filter(7), gencode.c of libpcap.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sluice {

/// Addresses that begin alike. IPv4 uses the first 4 bytes, the others are 0.
/// Bits behind `length` are 0.
struct Prefix {
  std::array<std::uint8_t, 16> address{};
  std::uint8_t length = 0;  ///< Bits: 0 to 32, or to 128.
  friend auto operator<=>(const Prefix&, const Prefix&) = default;
};

/// Numbers from `first` to `last`, both included.
struct NumberRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  friend auto operator<=>(const NumberRange&, const NumberRange&) = default;
};

/// The ids of `vlan` without one: not even looked at.
inline constexpr NumberRange kAnyVlan{0, 4095};

/// One question to a packet, with every qualifier spelled out.
struct Primitive {
  enum class Kind : std::uint8_t {
    ether_type,  ///< The EtherType is one of numbers().
    protocol,    ///< The IP protocol is, in `families` (ip, ip6).
    address4,    ///< One side's IPv4 address is in addresses(): ip, arp, rarp.
    address6,    ///< One side's IPv6 address is.
    port,        ///< One side's port is, of `transports`, in ip, ip6.
    tcp_flags,   ///< tcp[tcpflags]: IPv4 only, as in libpcap.
    icmp_type,   ///< icmp[icmptype]: IPv4.
    icmp_code,   ///< icmp[icmpcode].
    icmp6_type,  ///< icmp6[icmp6type]: no extension header in front.
    icmp6_code,  ///< icmp6[icmp6code].
    vlan,        ///< A VLAN tag whose id is; what follows looks behind it.
  };
  enum class Side : std::uint8_t { source, destination };
  static constexpr std::uint8_t kIp = 1, kIp6 = 2, kArp = 4, kRarp = 8;
  static constexpr std::uint8_t kTcp = 1, kUdp = 2, kSctp = 4;

  Kind kind = Kind::ether_type;
  Side side = Side::source;
  std::uint8_t families = 0;    ///< kIp, ...: where it is looked for.
  std::uint8_t transports = 0;  ///< kTcp, ...
  std::uint8_t depth = 0;       ///< VLAN tags in front of what it looks at.
  NumberRange number;           ///< Host order; unless `number_set`.
  Prefix prefix;                ///< Unless `prefix_set`.
  /// More than one, shared by all who name the same set. Sorted; none overlaps
  /// or touches the next.
  std::shared_ptr<const std::vector<NumberRange>> number_set;
  std::shared_ptr<const std::vector<Prefix>> prefix_set;

  [[nodiscard]] std::span<const NumberRange> numbers() const noexcept {
    return number_set ? std::span(*number_set) : std::span(&number, 1);
  }
  [[nodiscard]] std::span<const Prefix> addresses() const noexcept {
    return prefix_set ? std::span(*prefix_set) : std::span(&prefix, 1);
  }
};

struct Expression {
  enum class Kind : std::uint8_t {
    all,          ///< Every packet.
    primitive,    ///< What `primitive` asks.
    negation,     ///< Of the one operand.
    conjunction,  ///< `and` of two or more operands, from left to right.
    disjunction,  ///< `or`, likewise.
  };
  Kind kind = Kind::all;
  Primitive primitive;
  std::vector<Expression> operands;
};

/// What an expression, or a part of it, says of a packet.
enum class Truth : std::uint8_t {
  no,
  yes,
  unseen,  ///< The packet ends before a byte that had to be looked at.
};

/// Asks an Ethernet packet of any length, straight from its bytes, one load
/// after the other as libpcap's program does. `yes` is a match. The reference
/// that the XDP program is tested against.
[[nodiscard]] Truth evaluate(const Expression& expression,
                             std::span<const std::byte> packet) noexcept;

/// The primitive in tcpdump's words: "dst port 53", "src net 192.0.2.0/24".
/// What has no words there is listed: "tcp[tcpflags] 2, 18-19".
[[nodiscard]] std::string text_of(const Primitive& primitive);

/// What the packet has where the primitive looks: "is 80", "EtherType is 0x0806
/// (arp)", "is in a later fragment", "the packet ends before it".
[[nodiscard]] std::string value_of(const Primitive& primitive,
                                   std::span<const std::byte> packet);

/// The primitives that make evaluate() say what it says, in order: of an `and`
/// that is true all, of one that is false the first that is; of an `or` the
/// other way round; or the one that could not be seen. They live as long as the
/// expression.
[[nodiscard]] std::vector<const Primitive*> reasons(
    const Expression& expression, std::span<const std::byte> packet);

}  // namespace sluice
