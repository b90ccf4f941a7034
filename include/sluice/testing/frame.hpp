// SPDX-License-Identifier: Apache-2.0
// Frame: builds the bytes of one Ethernet packet layer by layer, for tests.
//
//   auto bytes = Frame().eth().ipv4("10.0.0.2", "10.0.0.1").udp(4000, 53)
//                    .payload("hello").bytes();
//
// Types, next headers, lengths and checksums come out right by themselves, as
// a sender without offloads would make them. Mutate `bytes()` to make them
// wrong.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>

namespace sluice::testing {

using Bytes = std::vector<std::byte>;

using Mac = std::array<std::uint8_t, 6>;
inline constexpr Mac kMacA = {0x02, 0, 0, 0, 0, 0x0a};
inline constexpr Mac kMacB = {0x02, 0, 0, 0, 0, 0x0b};
inline constexpr Mac kMacAll = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/// What an IPv4 header may say beyond its two addresses.
struct Ipv4Fields {
  std::uint8_t ttl = 64;
  std::uint8_t tos = 0;
  std::uint16_t id = 1;
  bool dont_fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;  ///< In units of 8 bytes.
  std::uint8_t option_words = 0;      ///< NOP options, 4 bytes each, <= 10.
};

/// Flags byte of a TCP header.
enum TcpFlags : std::uint8_t {
  kFin = 1,
  kSyn = 2,
  kRst = 4,
  kPsh = 8,
  kAck = 16
};

/// Layers in order of the calls. Addresses are text, parsed by inet_pton; a
/// wrong one aborts the test. Ports and numbers are in host order.
class Frame {
 public:
  Frame& eth(const Mac& source = kMacA, const Mac& destination = kMacB) {
    put(destination);
    put(source);
    return open_type();
  }
  /// An 802.1Q tag, or 802.1ad with `tpid` 0x88a8.
  Frame& vlan(std::uint16_t id, std::uint16_t tpid = 0x8100) {
    set_type(tpid);
    put16(id);
    return open_type();
  }
  /// Any EtherType; what follows is up to the caller.
  Frame& ethertype(std::uint16_t type) {
    set_type(type);
    return *this;
  }
  Frame& arp(std::uint16_t operation, std::string_view sender,
             std::string_view target, const Mac& sender_mac = kMacA,
             const Mac& target_mac = {}) {
    return address_resolution(0x0806, operation, sender, target, sender_mac,
                              target_mac);
  }
  Frame& rarp(std::uint16_t operation, std::string_view sender,
              std::string_view target) {
    return address_resolution(0x8035, operation, sender, target, kMacA, kMacB);
  }
  Frame& ipv4(std::string_view source, std::string_view destination,
              Ipv4Fields fields = {}) {
    set_type(0x0800);
    const auto words = static_cast<std::uint8_t>(5 + fields.option_words);
    open_ip(Kind::ipv4, 9, 12, 4);
    put8(static_cast<std::uint8_t>(0x40 | words));
    put8(fields.tos);
    put16(0);  // Length.
    put16(fields.id);
    put16(static_cast<std::uint16_t>((fields.dont_fragment ? 0x4000 : 0) |
                                     (fields.more_fragments ? 0x2000 : 0) |
                                     fields.fragment_offset));
    put8(fields.ttl);
    put8(0);   // Protocol.
    put16(0);  // Checksum.
    put_address(AF_INET, source);
    put_address(AF_INET, destination);
    bytes_.insert(bytes_.end(), fields.option_words * 4u, std::byte{1});
    return *this;
  }
  Frame& ipv6(std::string_view source, std::string_view destination,
              std::uint8_t hop_limit = 64, std::uint8_t traffic_class = 0,
              std::uint32_t flow_label = 0) {
    set_type(0x86dd);
    open_ip(Kind::ipv6, 6, 8, 16);
    put32(6u << 28 | static_cast<std::uint32_t>(traffic_class) << 20 |
          flow_label);
    put16(0);  // Payload length.
    put8(59);  // Next header: none, until a layer follows.
    put8(hop_limit);
    put_address(AF_INET6, source);
    put_address(AF_INET6, destination);
    return *this;
  }
  /// Hop-by-hop (0), routing (43) or destination options (60), 8 bytes each.
  Frame& extension(std::uint8_t type) {
    open_next(type);
    for (const int byte : {59, 0, 1, 4, 0, 0, 0, 0}) {  // PadN of 4.
      put8(static_cast<std::uint8_t>(byte));
    }
    return *this;
  }
  /// An IPv6 fragment header. `offset` in units of 8 bytes.
  Frame& fragment6(std::uint16_t offset, bool more, std::uint32_t id = 1) {
    open_next(44);
    put8(59);
    put8(0);
    put16(static_cast<std::uint16_t>(offset << 3 | (more ? 1 : 0)));
    put32(id);
    return *this;
  }
  Frame& udp(std::uint16_t source, std::uint16_t destination) {
    set_next(17);
    open_transport(Kind::udp, 6);
    put16(source);
    put16(destination);
    put32(0);  // Length and checksum.
    return *this;
  }
  Frame& tcp(std::uint16_t source, std::uint16_t destination,
             std::uint8_t flags = kSyn, std::uint32_t sequence = 1,
             std::uint32_t acknowledgement = 0, std::uint8_t option_words = 0) {
    set_next(6);
    open_transport(Kind::tcp, 16);
    put16(source);
    put16(destination);
    put32(sequence);
    put32(acknowledgement);
    put8(static_cast<std::uint8_t>((5 + option_words) << 4));
    put8(flags);
    put16(65535);
    put32(0);  // Checksum and urgent pointer.
    bytes_.insert(bytes_.end(), option_words * 4u, std::byte{1});
    return *this;
  }
  /// Ports and verification tag only; the CRC is left zero.
  Frame& sctp(std::uint16_t source, std::uint16_t destination) {
    set_next(132);
    put16(source);
    put16(destination);
    put32(1);
    put32(0);
    return *this;
  }
  Frame& icmp(std::uint8_t type, std::uint8_t code = 0, std::uint16_t id = 1,
              std::uint16_t sequence = 1) {
    set_next(1);
    return icmp_header(Kind::icmp, type, code, id, sequence);
  }
  Frame& icmp6(std::uint8_t type, std::uint8_t code = 0, std::uint16_t id = 1,
               std::uint16_t sequence = 1) {
    set_next(58);
    return icmp_header(Kind::icmp6, type, code, id, sequence);
  }
  /// Neighbour solicitation with the sender's link address (RFC 4861, 4.3).
  Frame& neighbour_solicitation(std::string_view target,
                                const Mac& sender_mac = kMacA) {
    return neighbour(135, 0, target, 1, sender_mac);
  }
  /// Solicited neighbour advertisement (RFC 4861, 4.4).
  Frame& neighbour_advertisement(std::string_view target,
                                 const Mac& target_mac = kMacA) {
    return neighbour(136, 0x6000, target, 2, target_mac);
  }
  /// A layer 4 protocol this builder does not know.
  Frame& protocol(std::uint8_t number) {
    set_next(number);
    return *this;
  }
  Frame& payload(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Frame& payload(std::string_view text) {
    return payload(std::as_bytes(std::span(text)));
  }
  /// `size` bytes that count up from zero.
  Frame& payload(std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      put8(static_cast<std::uint8_t>(i));
    }
    return *this;
  }

  /// The packet, lengths and checksums filled in.
  [[nodiscard]] Bytes bytes() const {
    Frame finished = *this;
    finished.finish();
    return std::move(finished.bytes_);
  }
  /// The same, padded with zeros behind the IP length as a NIC pads.
  [[nodiscard]] Bytes padded(std::size_t minimum = 60) const {
    auto whole = bytes();
    if (whole.size() < minimum) whole.resize(minimum);
    return whole;
  }
  operator Bytes() const { return bytes(); }

 private:
  enum class Kind { none, ipv4, ipv6, udp, tcp, icmp, icmp6 };
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  struct Network {
    Kind kind;
    std::size_t start;
    std::size_t addresses;     // Of the source; the destination follows.
    std::size_t address_size;  // 4 or 16.
  };
  struct Transport {
    Kind kind;
    std::size_t start;
    std::size_t checksum;
    std::size_t network;  // Index into networks_.
  };

  void put8(std::uint8_t value) { bytes_.push_back(std::byte{value}); }
  void put16(std::uint16_t value) {
    put8(static_cast<std::uint8_t>(value >> 8));
    put8(static_cast<std::uint8_t>(value));
  }
  void put32(std::uint32_t value) {
    put16(static_cast<std::uint16_t>(value >> 16));
    put16(static_cast<std::uint16_t>(value));
  }
  void put(const Mac& mac) {
    for (const auto byte : mac) put8(byte);
  }
  void put_address(int family, std::string_view text) {
    std::array<std::byte, 16> address;
    const std::string terminated(text);
    if (inet_pton(family, terminated.c_str(), address.data()) != 1) {
      std::abort();
    }
    payload(std::span(address).first(family == AF_INET ? 4 : 16));
  }
  void set16(std::size_t at, std::uint16_t value) {
    bytes_.at(at) = std::byte{static_cast<std::uint8_t>(value >> 8)};
    bytes_.at(at + 1) = std::byte{static_cast<std::uint8_t>(value)};
  }
  Frame& open_type() {
    type_at_ = bytes_.size();
    put16(0x88b5);  // Local experimental, until a layer follows.
    return *this;
  }
  void set_type(std::uint16_t type) {
    if (type_at_ != kNone) set16(type_at_, type);
    type_at_ = kNone;
  }
  void open_ip(Kind kind, std::size_t next, std::size_t addresses,
               std::size_t address_size) {
    if (next_at_ != kNone) set_next(kind == Kind::ipv4 ? 4 : 41);
    const std::size_t start = bytes_.size();
    networks_.push_back({kind, start, start + addresses, address_size});
    next_at_ = start + next;
  }
  void set_next(std::uint8_t protocol) {
    if (next_at_ != kNone) bytes_.at(next_at_) = std::byte{protocol};
    next_at_ = kNone;
  }
  void open_next(std::uint8_t type) {
    set_next(type);
    next_at_ = bytes_.size();
  }
  void open_transport(Kind kind, std::size_t checksum) {
    const std::size_t start = bytes_.size();
    transports_.push_back(
        {kind, start, start + checksum, networks_.size() - 1});
  }
  Frame& icmp_header(Kind kind, std::uint8_t type, std::uint8_t code,
                     std::uint16_t id, std::uint16_t sequence) {
    open_transport(kind, 2);
    put8(type);
    put8(code);
    put16(0);
    put16(id);
    put16(sequence);
    return *this;
  }
  Frame& neighbour(std::uint8_t type, std::uint16_t flags,
                   std::string_view target, std::uint8_t option,
                   const Mac& mac) {
    icmp6(type, 0, flags, 0);
    put_address(AF_INET6, target);
    put8(option);
    put8(1);
    put(mac);
    return *this;
  }
  Frame& address_resolution(std::uint16_t type, std::uint16_t operation,
                            std::string_view sender, std::string_view target,
                            const Mac& sender_mac, const Mac& target_mac) {
    set_type(type);
    put16(1);
    put16(0x0800);
    put8(6);
    put8(4);
    put16(operation);
    put(sender_mac);
    put_address(AF_INET, sender);
    put(target_mac);
    put_address(AF_INET, target);
    return *this;
  }
  [[nodiscard]] std::uint32_t sum(std::size_t from, std::size_t size) const {
    std::uint32_t total = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const auto byte = std::to_integer<std::uint32_t>(bytes_.at(from + i));
      total += i % 2 == 0 ? byte << 8 : byte;
    }
    return total;
  }
  static std::uint16_t fold(std::uint32_t total) {
    while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
    return static_cast<std::uint16_t>(~total);
  }
  // Innermost first: an outer checksum covers the inner bytes.
  void finish() {
    for (auto it = transports_.rbegin(); it != transports_.rend(); ++it) {
      finish_transport(*it);
    }
    for (auto it = networks_.rbegin(); it != networks_.rend(); ++it) {
      const std::size_t size = bytes_.size() - it->start;
      if (it->kind == Kind::ipv6) {
        set16(it->start + 4, static_cast<std::uint16_t>(size - 40));
        continue;
      }
      set16(it->start + 2, static_cast<std::uint16_t>(size));
      const auto words =
          std::to_integer<std::size_t>(bytes_.at(it->start)) & 15;
      set16(it->start + 10, fold(sum(it->start, words * 4)));
    }
  }
  void finish_transport(const Transport& layer) {
    const std::size_t size = bytes_.size() - layer.start;
    if (layer.kind == Kind::udp) {
      set16(layer.start + 4, static_cast<std::uint16_t>(size));
    }
    std::uint32_t total = sum(layer.start, size);
    if (layer.kind != Kind::icmp && layer.network < networks_.size()) {
      const Network& network = networks_.at(layer.network);
      total += sum(network.addresses, network.address_size * 2);
      total += static_cast<std::uint32_t>(size);
      total += layer.kind == Kind::udp   ? 17u
               : layer.kind == Kind::tcp ? 6u
                                         : 58u;
    }
    const std::uint16_t checksum = fold(total);
    // RFC 768: a UDP sum of zero is sent as ones, zero means none.
    const bool zero = layer.kind == Kind::udp && checksum == 0;
    set16(layer.checksum, zero ? 0xffff : checksum);
  }

  Bytes bytes_;
  std::vector<Network> networks_;
  std::vector<Transport> transports_;
  std::size_t type_at_ = kNone;  // Where the EtherType is still to be set.
  std::size_t next_at_ = kNone;  // Where the next header is still to be set.
};

}  // namespace sluice::testing
