// SPDX-License-Identifier: Apache-2.0
// Headers: the protocol headers as they lie in a packet, to read and write in
// place.
//
// Each is trivial, has an alignment of one and its size on the wire, so
// `packet.header<Ethernet>()` and `parse(packet).udp()` point into the frame.
// Numbers of more than one byte convert from and to host order by themselves.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <sluice/address.hpp>
#include <type_traits>
#include <utility>

namespace sluice {

/// An unsigned number in network byte order. Reads and writes as a T.
template <std::unsigned_integral T>
class BigEndian {
 public:
  BigEndian() = default;
  constexpr BigEndian(T value) noexcept
      : bytes_(std::bit_cast<Bytes>(swapped(value))) {}
  constexpr operator T() const noexcept {
    return swapped(std::bit_cast<T>(bytes_));
  }

  /// From and to the bytes as they lie in memory, read as a host number: what
  /// checksum arithmetic works on (RFC 1071, 2B).
  [[nodiscard]] static constexpr BigEndian from_wire(T raw) noexcept {
    return swapped(raw);
  }
  [[nodiscard]] constexpr T wire() const noexcept {
    return std::bit_cast<T>(bytes_);
  }

 private:
  using Bytes = std::array<std::uint8_t, sizeof(T)>;
  static constexpr T swapped(T value) noexcept {
    if constexpr (std::endian::native == std::endian::big) return value;
    if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
    if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
    if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
  }
  Bytes bytes_;
};
using be16 = BigEndian<std::uint16_t>;
using be32 = BigEndian<std::uint32_t>;

/// What follows an Ethernet header or a VLAN tag. Any other value may occur.
/// Source: IEEE 802 numbers, IANA.
enum class EtherType : std::uint16_t {
  ipv4 = 0x0800,
  arp = 0x0806,
  vlan = 0x8100,  ///< 802.1Q tag.
  ipv6 = 0x86dd,
  service_vlan = 0x88a8,  ///< 802.1ad tag.
  old_vlan = 0x9100,      ///< A stacked tag before 802.1ad.
};

/// What follows an IP header. Any other value may occur.
/// Source: Protocol Numbers, IANA.
enum class Protocol : std::uint8_t {
  hop_by_hop = 0,
  icmp = 1,
  tcp = 6,
  udp = 17,
  routing = 43,
  fragment = 44,
  authentication = 51,
  icmpv6 = 58,
  none = 59,
  destination_options = 60,
  mobility = 135,
};

/// Source: IEEE 802.3-2018, 3.1.1. The frame check sequence is never seen.
struct Ethernet {
  MacAddress destination;
  MacAddress source;
  be16 ether_type;

  [[nodiscard]] EtherType type() const noexcept {
    return EtherType{std::uint16_t{ether_type}};
  }
  void swap_addresses() noexcept { std::swap(destination, source); }
};

/// A VLAN tag without the TPID, which is the type before it.
/// Source: IEEE 802.1Q-2018, 9.6.
struct Vlan {
  be16 control;     ///< Priority (3 bits), drop eligible (1), id (12).
  be16 ether_type;  ///< Of what follows.

  [[nodiscard]] EtherType type() const noexcept {
    return EtherType{std::uint16_t{ether_type}};
  }
  [[nodiscard]] std::uint16_t id() const noexcept { return control & 0xfff; }
  [[nodiscard]] std::uint8_t priority() const noexcept {
    return static_cast<std::uint8_t>(control >> 13);
  }
};

/// IPv4 over Ethernet only: is_ipv4_over_ethernet() says whether it is that.
/// Source: RFC 826.
struct Arp {
  static constexpr std::uint16_t kRequest = 1;
  static constexpr std::uint16_t kReply = 2;

  be16 hardware_type;
  be16 protocol_type;
  std::uint8_t hardware_size;
  std::uint8_t protocol_size;
  be16 operation;
  MacAddress sender_mac;
  Ipv4Address sender;
  MacAddress target_mac;
  Ipv4Address target;

  [[nodiscard]] bool is_ipv4_over_ethernet() const noexcept {
    return hardware_type == 1 && protocol_type == 0x0800 &&
           hardware_size == 6 && protocol_size == 4;
  }
};

/// Without the options, which lie between it and header_size().
/// Source: RFC 791, 3.1; the second byte is of RFC 2474, 3 and RFC 3168, 5.
struct Ipv4 {
  std::uint8_t version_and_words;
  std::uint8_t dscp_and_ecn;
  be16 total_length;  ///< Header, options and payload, in bytes.
  be16 id;
  be16 flags_and_offset;
  std::uint8_t ttl;
  Protocol protocol;
  be16 checksum;
  Ipv4Address source;
  Ipv4Address destination;

  [[nodiscard]] unsigned version() const noexcept {
    return version_and_words >> 4;
  }
  /// Bytes with options, as the header says: 0 to 60, right from 20 on.
  [[nodiscard]] std::size_t header_size() const noexcept {
    return (version_and_words & 15u) * 4u;
  }
  [[nodiscard]] bool dont_fragment() const noexcept {
    return (flags_and_offset & 0x4000) != 0;
  }
  [[nodiscard]] bool more_fragments() const noexcept {
    return (flags_and_offset & 0x2000) != 0;
  }
  /// In bytes.
  [[nodiscard]] std::size_t fragment_offset() const noexcept {
    return (flags_and_offset & 0x1fffu) * 8u;
  }
  /// Only a part of a datagram, the first one included.
  [[nodiscard]] bool is_fragment() const noexcept {
    return (flags_and_offset & 0x3fff) != 0;
  }
  void swap_addresses() noexcept { std::swap(source, destination); }
};

/// Source: RFC 8200, 3.
struct Ipv6 {
  be32 version_class_flow;
  be16 payload_length;  ///< What follows this header, in bytes.
  Protocol next_header;
  std::uint8_t hop_limit;
  Ipv6Address source;
  Ipv6Address destination;

  [[nodiscard]] unsigned version() const noexcept {
    return version_class_flow >> 28;
  }
  [[nodiscard]] std::uint8_t traffic_class() const noexcept {
    return static_cast<std::uint8_t>(version_class_flow >> 20);
  }
  [[nodiscard]] std::uint32_t flow_label() const noexcept {
    return version_class_flow & 0xfffff;
  }
  void swap_addresses() noexcept { std::swap(source, destination); }
};

/// Hop-by-hop, routing, destination options and those shaped like them.
/// Source: RFC 8200, 4.3 to 4.6; RFC 6564.
struct ExtensionHeader {
  Protocol next_header;
  std::uint8_t extra_words;  ///< Units of 8 bytes beyond the first 8.
  std::array<std::uint8_t, 6> data;

  [[nodiscard]] std::size_t size() const noexcept {
    return (extra_words + 1u) * 8u;
  }
  /// Of a routing header: stops still to come. Source: RFC 8200, 4.4.
  [[nodiscard]] std::uint8_t segments_left() const noexcept { return data[1]; }
};

/// Source: RFC 8200, 4.5.
struct FragmentHeader {
  Protocol next_header;
  std::uint8_t reserved;
  be16 offset_and_more;
  be32 id;

  [[nodiscard]] bool more_fragments() const noexcept {
    return (offset_and_more & 1) != 0;
  }
  /// In bytes.
  [[nodiscard]] std::size_t fragment_offset() const noexcept {
    return offset_and_more & 0xfff8u;
  }
  /// False for the "atomic" fragment, which is a whole packet (RFC 6946).
  [[nodiscard]] bool is_fragment() const noexcept {
    return (offset_and_more & 0xfff9) != 0;
  }
};

/// Source: RFC 768.
struct Udp {
  be16 source_port;
  be16 destination_port;
  be16 length;    ///< This header and the payload, in bytes.
  be16 checksum;  ///< Zero: none.

  void swap_ports() noexcept { std::swap(source_port, destination_port); }
};

/// Without the options, which lie between it and header_size().
/// Source: RFC 9293, 3.1.
struct Tcp {
  static constexpr std::uint8_t kFin = 0x01;
  static constexpr std::uint8_t kSyn = 0x02;
  static constexpr std::uint8_t kRst = 0x04;
  static constexpr std::uint8_t kPsh = 0x08;
  static constexpr std::uint8_t kAck = 0x10;
  static constexpr std::uint8_t kUrg = 0x20;

  be16 source_port;
  be16 destination_port;
  be32 sequence;
  be32 acknowledgement;
  std::uint8_t offset_and_reserved;
  std::uint8_t flags;
  be16 window;
  be16 checksum;
  be16 urgent;

  /// Bytes with options, as the header says: 0 to 60, right from 20 on.
  [[nodiscard]] std::size_t header_size() const noexcept {
    return (offset_and_reserved >> 4) * 4u;
  }
  void swap_ports() noexcept { std::swap(source_port, destination_port); }
};

/// `id` and `sequence` are those of an echo; other types lay out these four
/// bytes in their own way. Source: RFC 792.
struct Icmp {
  static constexpr std::uint8_t kEchoReply = 0;
  static constexpr std::uint8_t kEchoRequest = 8;

  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;  ///< Over this message alone.
  be16 id;
  be16 sequence;
};

/// As for Icmp. Source: RFC 4443, 2.1 and 4.
struct Icmpv6 {
  static constexpr std::uint8_t kEchoRequest = 128;
  static constexpr std::uint8_t kEchoReply = 129;
  static constexpr std::uint8_t kNeighbourSolicitation = 135;
  static constexpr std::uint8_t kNeighbourAdvertisement = 136;

  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;  ///< Over a pseudo-header too.
  be16 id;
  be16 sequence;
};

/// Source: RFC 4861, 4.3.
struct NeighbourSolicitation {
  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;
  be32 reserved;
  Ipv6Address target;
};

/// Source: RFC 4861, 4.4.
struct NeighbourAdvertisement {
  static constexpr std::uint32_t kRouter = 0x80000000;
  static constexpr std::uint32_t kSolicited = 0x40000000;
  static constexpr std::uint32_t kOverride = 0x20000000;

  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;
  be32 flags;
  Ipv6Address target;
};

/// A link-layer address option, behind one of the two above.
/// Source: RFC 4861, 4.6.1.
struct LinkAddressOption {
  static constexpr std::uint8_t kSource = 1;
  static constexpr std::uint8_t kTarget = 2;

  std::uint8_t type;
  std::uint8_t words;  ///< Units of 8 bytes: 1.
  MacAddress mac;
};

/// What a header view must be: bytes, wherever they lie.
template <class T>
concept HeaderView = std::is_trivial_v<T> && alignof(T) == 1;

template <HeaderView T, std::size_t Size>
inline constexpr bool kOnTheWire = sizeof(T) == Size;
static_assert(kOnTheWire<Ethernet, 14> && kOnTheWire<Vlan, 4>);
static_assert(kOnTheWire<Arp, 28> && kOnTheWire<Ipv4, 20>);
static_assert(kOnTheWire<Ipv6, 40> && kOnTheWire<ExtensionHeader, 8>);
static_assert(kOnTheWire<FragmentHeader, 8> && kOnTheWire<Udp, 8>);
static_assert(kOnTheWire<Tcp, 20> && kOnTheWire<Icmp, 8>);
static_assert(kOnTheWire<Icmpv6, 8> && kOnTheWire<LinkAddressOption, 8>);
static_assert(kOnTheWire<NeighbourSolicitation, 24>);
static_assert(kOnTheWire<NeighbourAdvertisement, 24>);

}  // namespace sluice
