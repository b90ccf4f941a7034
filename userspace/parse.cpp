// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cassert>
#include <sluice/parse.hpp>

namespace sluice {
namespace {

constexpr std::size_t kLengthMax = 65535;  // Of an IP length field.

}  // namespace

Sum Layers::pseudo_sum() const noexcept {
  const auto length = static_cast<std::uint32_t>(end_ - transport_);
  // ICMP for IPv4 has no pseudo-header.
  if (protocol_ == Protocol::icmp) return {};
  if (const Ipv4* ip = ipv4()) {
    return pseudo_header_sum(ip->source, ip->destination, protocol_, length);
  }
  const Ipv6* ip = ipv6();
  return pseudo_header_sum(ip->source, ip->destination, protocol_, length);
}

be16* Layers::transport_checksum() const noexcept {
  if (Udp* header = udp()) return &header->checksum;
  if (Tcp* header = tcp()) return &header->checksum;
  if (Icmp* header = icmp()) return &header->checksum;
  if (Icmpv6* header = icmpv6()) return &header->checksum;
  return nullptr;
}

ChecksumState Layers::checksum_state() const noexcept {
  constexpr std::uint16_t kRight = 0xffff;
  if (const Ipv4* ip = ipv4()) {
    const std::span header(data_ + network_, ip->header_size());
    if (sum_of(header).folded() != kRight) return ChecksumState::bad;
  }
  const be16* field = transport_checksum();
  if (field == nullptr) return ChecksumState::absent;
  if (protocol_ == Protocol::udp && *field == 0) {
    // Over IPv6 it is not optional (RFC 8200, 8.1).
    return ipv4() ? ChecksumState::absent : ChecksumState::bad;
  }
  Sum sum = pseudo_sum();
  const be16 unfinished = sum.folded();
  if (sum.add(segment()).folded() == kRight) return ChecksumState::good;
  const bool offloaded =
      protocol_ == Protocol::udp || protocol_ == Protocol::tcp;
  return offloaded && *field == unfinished ? ChecksumState::unfinished
                                           : ChecksumState::bad;
}

bool Layers::unfinished() const noexcept {
  const be16* field = transport_checksum();
  return field != nullptr && *field == pseudo_sum().folded() &&
         checksum_state() == ChecksumState::unfinished;
}

void Layers::complete_network_checksum() const noexcept {
  Ipv4* const ip = ipv4();
  if (ip == nullptr) return;
  ip->checksum = 0;
  ip->checksum =
      sum_of(std::span(data_ + network_, ip->header_size())).checksum();
}

void Layers::complete_checksums() const noexcept {
  complete_network_checksum();
  be16* field = transport_checksum();
  if (field == nullptr) return;
  *field = 0;
  const Sum sum = pseudo_sum().add(segment());
  *field = protocol_ == Protocol::udp ? sum.udp_checksum() : sum.checksum();
}

std::optional<TxChecksum> Layers::leave_checksum() const noexcept {
  be16* const field = transport_checksum();
  if (field == nullptr || end_ != size_) {
    complete_checksums();
    return std::nullopt;
  }
  complete_network_checksum();
  *field = pseudo_sum().folded();
  const auto at = reinterpret_cast<std::byte*>(field) - data_;
  return TxChecksum{transport_, static_cast<std::uint16_t>(at - transport_)};
}

// The payload now ends at `end`. `cut_off`: the sum of the bytes that went.
void Layers::mend_lengths(std::size_t end, const Sum& cut_off) noexcept {
  be16* checksum = transport_checksum();
  // A sender's unfinished sum has no payload in it.
  const bool unfinished = this->unfinished();
  Sum before = pseudo_sum().add(cut_off);
  if (const Udp* header = udp()) before.add(header->length);
  const auto grown = static_cast<std::uint16_t>(end - end_);
  end_ = static_cast<std::uint32_t>(end);

  if (Ipv4* ip = ipv4()) {
    const Sum old_length = Sum().add(ip->total_length);
    ip->total_length = static_cast<std::uint16_t>(ip->total_length + grown);
    mend_checksum(ip->checksum, old_length, Sum().add(ip->total_length));
  } else {
    be16& length = ipv6()->payload_length;
    length = static_cast<std::uint16_t>(length + grown);
  }
  Sum after = pseudo_sum();
  if (unfinished) *checksum = after.folded();
  if (Udp* header = udp()) {
    header->length = static_cast<std::uint16_t>(header->length + grown);
    after.add(header->length);
    if (!unfinished) mend_udp_checksum(*checksum, before, after);
  } else if (!unfinished) {
    mend_checksum(*checksum, before, after);
  }
}

bool resize_payload(Packet& packet, std::size_t size) noexcept {
  Layers layers = parse(packet);
  if (layers.transport_checksum() == nullptr) return false;
  if (packet.size() != layers.size_) return false;  // A chain behind it.
  const std::size_t before = layers.end_;
  const std::size_t after = layers.payload_ + size;
  const std::size_t present = layers.size_;
  if (size > kLengthMax || after - layers.network_ > kLengthMax) return false;
  if (after > present &&
      !packet.append(static_cast<std::uint32_t>(after - present))) {
    return false;
  }
  Sum cut_off;
  if (after < before) {
    cut_off.start_odd(((after - layers.transport_) & 1) != 0)
        .add(std::span(layers.data_ + after, before - after));
  } else {
    std::fill_n(layers.data_ + before, after - before, std::byte{0});
  }
  // Before the bytes go: an unfinished sum is known by reading them all.
  layers.mend_lengths(after, cut_off);
  if (after < present) {
    [[maybe_unused]] const bool cut =
        packet.trim_back(static_cast<std::uint32_t>(present - after));
    assert(cut);
  }
  return true;
}

}  // namespace sluice
