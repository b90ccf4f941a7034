// SPDX-License-Identifier: Apache-2.0
// Header views: no packet makes parse() or what stands on it look outside of
// the packet, and finished checksums are right.
#include <cstdint>
#include <cstdlib>
#include <sluice/parse.hpp>
#include <span>
#include <vector>

namespace {

// Reads all of a header: ASan watches.
template <class T>
unsigned touch(const T* header) {
  unsigned sum = 0;
  if (header == nullptr) return sum;
  for (const std::byte byte : std::as_bytes(std::span(header, 1))) {
    sum += std::to_integer<unsigned>(byte);
  }
  return sum;
}

unsigned touch_all(const sluice::Layers& layers) {
  unsigned sum = touch(layers.ethernet()) + touch(layers.arp()) +
                 touch(layers.ipv4()) + touch(layers.ipv6()) +
                 touch(layers.fragment_header()) + touch(layers.udp()) +
                 touch(layers.tcp()) + touch(layers.icmp()) +
                 touch(layers.icmpv6());
  for (std::size_t i = 0; i < layers.vlan_tags(); ++i) {
    sum += touch(layers.vlan(i));
  }
  for (const std::byte byte : layers.payload()) {
    sum += std::to_integer<unsigned>(byte);
  }
  for (const std::byte byte : layers.segment()) {
    sum += std::to_integer<unsigned>(byte);
  }
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  // A vector of just that size: ASan sees one byte too many.
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  std::vector<std::byte> packet(bytes, bytes + size);
  const sluice::Layers layers = sluice::parse(packet);
  static_cast<void>(touch_all(layers));
  if (layers.payload_end() > size || layers.payload_offset() > size) {
    std::abort();
  }
  const sluice::FlowKey flow = layers.flow();
  if (!(flow.reversed().reversed() == flow)) std::abort();
  static_cast<void>(flow.hash());
  static_cast<void>(layers.checksum_state());
  static_cast<void>(layers.unfinished());
  layers.complete_checksums();
  layers.reverse();
  static_cast<void>(touch_all(sluice::parse(packet)));
  return 0;
}
