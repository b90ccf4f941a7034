// SPDX-License-Identifier: Apache-2.0
// Parse: one walk over a packet that says what lies where.
//
//   const Layers layers = parse(packet);
//   if (Udp* udp = layers.udp()) use(*udp, layers.payload());
//
// A header that is not there, or not there to its last byte, is a nullptr.
// Layer 4 is given only where its datagram is whole: not in fragments, not even
// the first, and not where the frame ends before the packet does.
//
// A view: valid as long as the packet owns its frame and keeps its size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/checksum.hpp>
#include <sluice/flow_key.hpp>
#include <sluice/headers.hpp>
#include <sluice/packet.hpp>
#include <sluice/tx_offload.hpp>
#include <span>

namespace sluice {

/// What a packet turned out to be.
enum class Shape : std::uint8_t {
  whole,      ///< ARP, or IP with all of UDP, TCP, ICMP or ICMPv6.
  fragment,   ///< A part of an IP datagram; payload() is that part.
  truncated,  ///< A header or a length asks for more bytes than there are.
  malformed,  ///< A version or a length that its protocol does not allow.
  unknown,    ///< A type we don't walk, too many tags or extension headers, or
              ///< IPv6 with a routing header that is not at its end.
};

/// What can be said of a packet's checksums.
enum class ChecksumState : std::uint8_t {
  good,
  absent,      ///< None to check: no IP, a fragment, or UDP over IPv4 without.
  unfinished,  ///< From a local sender that left the sum to the device: the
               ///< field holds the pseudo-header only. Complete it to send it.
  bad,
};

/// What parse() found. Offsets are from the first byte of the packet.
class Layers {
 public:
  static constexpr std::size_t kVlanTagsMax = 4;
  static constexpr std::size_t kExtensionsMax = 8;

  [[nodiscard]] Shape shape() const noexcept { return shape_; }

  // --- Headers: nullptr where absent ---------------------------------------

  [[nodiscard]] Ethernet* ethernet() const noexcept {
    return size_ < sizeof(Ethernet) ? nullptr : at<Ethernet>(0);
  }
  /// Outermost first. nullptr from vlan_tags() on.
  [[nodiscard]] Vlan* vlan(std::size_t index = 0) const noexcept {
    return index < tags_ ? at<Vlan>(sizeof(Ethernet) + index * sizeof(Vlan))
                         : nullptr;
  }
  [[nodiscard]] std::size_t vlan_tags() const noexcept { return tags_; }
  [[nodiscard]] Arp* arp() const noexcept {
    return network<Arp>(EtherType::arp);
  }
  [[nodiscard]] Ipv4* ipv4() const noexcept {
    return network<Ipv4>(EtherType::ipv4);
  }
  [[nodiscard]] Ipv6* ipv6() const noexcept {
    return network<Ipv6>(EtherType::ipv6);
  }
  /// Of IPv6; also where it says that the packet is whole.
  [[nodiscard]] FragmentHeader* fragment_header() const noexcept {
    return fragment_ == 0 ? nullptr : at<FragmentHeader>(fragment_);
  }
  [[nodiscard]] Udp* udp() const noexcept {
    return transport<Udp>(Protocol::udp);
  }
  [[nodiscard]] Tcp* tcp() const noexcept {
    return transport<Tcp>(Protocol::tcp);
  }
  [[nodiscard]] Icmp* icmp() const noexcept {
    return transport<Icmp>(Protocol::icmp);
  }
  [[nodiscard]] Icmpv6* icmpv6() const noexcept {
    return transport<Icmpv6>(Protocol::icmpv6);
  }

  // --- Bytes ----------------------------------------------------------------

  /// What follows the last header found. IP and UDP lengths limit it: the
  /// padding of a short Ethernet frame is not payload.
  [[nodiscard]] std::span<std::byte> payload() const noexcept {
    return {data_ + payload_, end_ - payload_};
  }
  /// Layer 4: header and payload. Empty where there is none.
  [[nodiscard]] std::span<std::byte> segment() const noexcept {
    if (transport_ == 0) return {};
    return {data_ + transport_, end_ - transport_};
  }
  /// A message `offset` bytes into layer 4, or nullptr if it does not fit.
  template <HeaderView T>
  [[nodiscard]] T* message(std::size_t offset = 0) const noexcept {
    const std::size_t size = segment().size();
    if (offset > size || size - offset < sizeof(T)) return nullptr;
    return at<T>(transport_ + offset);
  }
  /// What follows Ethernet header and VLAN tags.
  [[nodiscard]] EtherType type() const noexcept { return type_; }
  /// The last next-header value: of layer 4, known or not. `none` without IP.
  [[nodiscard]] Protocol protocol() const noexcept { return protocol_; }
  [[nodiscard]] std::size_t payload_offset() const noexcept { return payload_; }
  [[nodiscard]] std::size_t payload_end() const noexcept { return end_; }

  [[nodiscard]] FlowKey flow() const noexcept;

  /// Turns the packet round: swaps the addresses of Ethernet and IP, and the
  /// ports. Sums stay right, for swapping does not change them; an unfinished
  /// one stays unfinished.
  void reverse() const noexcept;

  /// Checks every checksum there is. Reads the whole payload.
  [[nodiscard]] ChecksumState checksum_state() const noexcept;

  /// checksum_state() is `unfinished`, mostly without reading the payload.
  [[nodiscard]] bool unfinished() const noexcept;

  /// Writes every checksum anew, whatever was there: the IPv4 header's, and
  /// layer 4's where the packet is whole. Reads the whole payload.
  void complete_checksums() const noexcept;

  /// The same, but leaves the sum over layer 4 to who sends the packet: reads
  /// no payload, and returns what to ask for (TxRequest::checksum). None where
  /// nothing is left to do: there is no layer 4, or bytes follow it (Ethernet
  /// padding), which a device would add in; then all is complete.
  [[nodiscard]] std::optional<TxChecksum> leave_checksum() const noexcept;

 private:
  friend Layers parse(std::span<std::byte> bytes) noexcept;
  friend bool resize_payload(Packet& packet, std::size_t size) noexcept;

  explicit Layers(std::span<std::byte> bytes) noexcept
      : data_(bytes.data()),
        size_(static_cast<std::uint32_t>(bytes.size())),
        end_(size_) {}

  template <HeaderView T>
  [[nodiscard]] T* at(std::size_t offset) const noexcept {
    return reinterpret_cast<T*>(data_ + offset);
  }
  template <HeaderView T>
  [[nodiscard]] T* network(EtherType type) const noexcept {
    return network_ != 0 && type_ == type ? at<T>(network_) : nullptr;
  }
  template <HeaderView T>
  [[nodiscard]] T* transport(Protocol protocol) const noexcept {
    return transport_ != 0 && protocol_ == protocol ? at<T>(transport_)
                                                    : nullptr;
  }
  // The walk: each finds its header at payload_ and moves that past it.
  [[nodiscard]] bool fits(std::size_t size) const noexcept {
    return end_ - payload_ >= size;
  }
  void skip(std::size_t size) noexcept {
    payload_ += static_cast<std::uint16_t>(size);
  }
  Shape walk() noexcept;
  Shape walk_arp() noexcept;
  Shape walk_ipv4() noexcept;
  Shape walk_ipv6() noexcept;
  Shape walk_extensions() noexcept;
  Shape walk_transport() noexcept;
  [[nodiscard]] Sum pseudo_sum() const noexcept;
  [[nodiscard]] be16* transport_checksum() const noexcept;
  void complete_network_checksum() const noexcept;
  void mend_lengths(std::size_t end, const Sum& cut_off) noexcept;

  std::byte* data_;
  std::uint32_t size_;         // Of the packet.
  std::uint32_t end_;          // Of the payload.
  std::uint16_t payload_ = 0;  // Offsets; zero is "absent" in the others.
  std::uint16_t network_ = 0;
  std::uint16_t transport_ = 0;
  std::uint16_t fragment_ = 0;
  EtherType type_ = EtherType{0};
  Protocol protocol_ = Protocol::none;
  std::uint8_t tags_ = 0;
  Shape shape_ = Shape::truncated;
};

/// Walks over a packet once. Reads headers only, and nothing beyond the bytes.
[[nodiscard]] inline Layers parse(std::span<std::byte> bytes) noexcept {
  Layers layers(bytes);
  layers.shape_ = layers.walk();
  return layers;
}
/// The same. A multi-buffer packet is `truncated`: it sees the first segment.
[[nodiscard]] inline Layers parse(const Packet& packet) noexcept {
  return parse(packet.bytes());
}

/// Gives the payload of a whole UDP, TCP, ICMP or ICMPv6 packet another size,
/// in place. New bytes are zeros; Ethernet padding goes. IP and UDP lengths and
/// the checksums are mended by difference, which reads only the bytes cut off:
/// what was right, unfinished, none or wrong stays so (RFC 1624). Write into
/// the payload afterwards, and it is yours to call complete_checksums().
/// False, and nothing changed: not such a packet, or no room for the size.
[[nodiscard]] bool resize_payload(Packet& packet, std::size_t size) noexcept;

// --- The walk ---------------------------------------------------------------

inline Shape Layers::walk() noexcept {
  if (!fits(sizeof(Ethernet))) return Shape::truncated;
  type_ = at<Ethernet>(0)->type();
  skip(sizeof(Ethernet));
  while (type_ == EtherType::vlan || type_ == EtherType::service_vlan ||
         type_ == EtherType::old_vlan) {
    if (tags_ == kVlanTagsMax) return Shape::unknown;
    if (!fits(sizeof(Vlan))) return Shape::truncated;
    type_ = at<Vlan>(payload_)->type();
    skip(sizeof(Vlan));
    ++tags_;
  }
  if (type_ == EtherType::ipv4) return walk_ipv4();
  if (type_ == EtherType::ipv6) return walk_ipv6();
  if (type_ == EtherType::arp) return walk_arp();
  return Shape::unknown;
}

inline Shape Layers::walk_arp() noexcept {
  if (!fits(sizeof(Arp))) return Shape::truncated;
  if (!at<Arp>(payload_)->is_ipv4_over_ethernet()) return Shape::unknown;
  network_ = payload_;
  skip(sizeof(Arp));
  end_ = payload_;
  return Shape::whole;
}

inline Shape Layers::walk_ipv4() noexcept {
  if (!fits(sizeof(Ipv4))) return Shape::truncated;
  const Ipv4* ip = at<Ipv4>(payload_);
  const std::size_t header = ip->header_size();
  const std::size_t total = ip->total_length;
  if (ip->version() != 4 || header < sizeof(Ipv4) || total < header) {
    return Shape::malformed;
  }
  if (!fits(header)) return Shape::truncated;
  network_ = payload_;
  protocol_ = ip->protocol;
  const bool cut = !fits(total);
  if (!cut) end_ = payload_ + static_cast<std::uint32_t>(total);
  skip(header);
  if (ip->is_fragment()) return Shape::fragment;
  return cut ? Shape::truncated : walk_transport();
}

inline Shape Layers::walk_ipv6() noexcept {
  if (!fits(sizeof(Ipv6))) return Shape::truncated;
  const Ipv6* ip = at<Ipv6>(payload_);
  if (ip->version() != 6) return Shape::malformed;
  network_ = payload_;
  protocol_ = ip->next_header;
  skip(sizeof(Ipv6));
  const bool cut = !fits(ip->payload_length);
  if (!cut) end_ = payload_ + std::uint32_t{ip->payload_length};
  const Shape shape = walk_extensions();
  if (shape != Shape::whole) return shape;
  return cut ? Shape::truncated : walk_transport();
}

// Moves on to layer 4: `whole` means that it stands before payload_.
inline Shape Layers::walk_extensions() noexcept {
  for (std::size_t count = 0;; ++count) {
    const bool is_fragment = protocol_ == Protocol::fragment;
    const bool is_routing = protocol_ == Protocol::routing;
    const bool is_authentication = protocol_ == Protocol::authentication;
    if (!is_fragment && !is_routing && !is_authentication &&
        protocol_ != Protocol::hop_by_hop &&
        protocol_ != Protocol::destination_options &&
        protocol_ != Protocol::mobility) {
      return Shape::whole;
    }
    if (count == kExtensionsMax) return Shape::unknown;
    if (!fits(sizeof(ExtensionHeader))) return Shape::truncated;
    const ExtensionHeader* header = at<ExtensionHeader>(payload_);
    if (is_fragment) {
      fragment_ = payload_;
      protocol_ = header->next_header;
      skip(sizeof(FragmentHeader));
      if (fragment_header()->is_fragment()) return Shape::fragment;
      continue;
    }
    // Authentication counts in units of 4 bytes, less two (RFC 4302, 2.2).
    const std::size_t size =
        is_authentication ? (header->extra_words + 2u) * 4u : header->size();
    if (!fits(size)) return Shape::truncated;
    // The pseudo-header has the last address on the route, not this one.
    if (is_routing && header->segments_left() != 0) return Shape::unknown;
    protocol_ = header->next_header;
    skip(size);
  }
}

inline Shape Layers::walk_transport() noexcept {
  std::size_t header = sizeof(Udp);  // As are ICMP's and ICMPv6's.
  if (protocol_ == Protocol::tcp) {
    if (!fits(sizeof(Tcp))) return Shape::truncated;
    header = at<Tcp>(payload_)->header_size();
    if (header < sizeof(Tcp)) return Shape::malformed;
  } else if (protocol_ != Protocol::udp &&
             !(protocol_ == Protocol::icmp && type_ == EtherType::ipv4) &&
             !(protocol_ == Protocol::icmpv6 && type_ == EtherType::ipv6)) {
    return Shape::unknown;
  }
  if (!fits(header)) return Shape::truncated;
  if (protocol_ == Protocol::udp) {
    const std::size_t length = at<Udp>(payload_)->length;
    if (length < sizeof(Udp)) return Shape::malformed;
    if (!fits(length)) return Shape::truncated;
    end_ = payload_ + static_cast<std::uint32_t>(length);
  }
  transport_ = payload_;
  skip(header);
  return Shape::whole;
}

inline FlowKey Layers::flow() const noexcept {
  FlowKey key{};
  if (const Ipv4* ip = ipv4()) {
    key.source = Ipv6Address::mapped(ip->source);
    key.destination = Ipv6Address::mapped(ip->destination);
    key.version = 4;
  } else if (const Ipv6* ip6 = ipv6()) {
    key.source = ip6->source;
    key.destination = ip6->destination;
    key.version = 6;
  } else {
    return key;
  }
  key.protocol = protocol_;
  if (udp() != nullptr || tcp() != nullptr) {
    const Udp* ports = at<Udp>(transport_);  // Both begin with them.
    key.source_port = ports->source_port;
    key.destination_port = ports->destination_port;
  }
  return key;
}

inline void Layers::reverse() const noexcept {
  if (Ethernet* eth = ethernet()) eth->swap_addresses();
  if (Ipv4* ip = ipv4()) ip->swap_addresses();
  if (Ipv6* ip = ipv6()) ip->swap_addresses();
  if (udp() != nullptr || tcp() != nullptr) at<Udp>(transport_)->swap_ports();
}

}  // namespace sluice
