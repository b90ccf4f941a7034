// SPDX-License-Identifier: Apache-2.0
// Samples: well-formed packets, one of every kind that parse() walks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sluice/parse.hpp>
#include <sluice/testing/frame.hpp>
#include <span>
#include <string>
#include <vector>

namespace sluice::testing {

inline constexpr auto kV4A = "192.0.2.1";
inline constexpr auto kV4B = "198.51.100.2";
inline constexpr auto kV6A = "2001:db8::1";
inline constexpr auto kV6B = "2001:db8::2";

inline Frame udp4() { return Frame().eth().ipv4(kV4A, kV4B).udp(4000, 53); }
inline Frame udp6() { return Frame().eth().ipv6(kV6A, kV6B).udp(4000, 53); }

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One of everything that the walk knows.
inline std::vector<Bytes> samples() {
  return {
      udp4().payload("hello").bytes(),
      udp6().payload("hello").bytes(),
      Frame().eth().vlan(7).ipv4(kV4A, kV4B).udp(1, 2).payload("x").bytes(),
      Frame().eth().vlan(7, 0x88a8).vlan(8).ipv6(kV6A, kV6B).tcp(1, 2).bytes(),
      Frame()
          .eth()
          .ipv4(kV4A, kV4B)
          .tcp(1, 2, 0x18, 1, 1, 3)
          .payload("data")
          .bytes(),
      Frame()
          .eth()
          .ipv4(kV4A, kV4B, {.option_words = 10})
          .udp(1, 2)
          .payload("opt")
          .bytes(),
      Frame().eth().ipv4(kV4A, kV4B).icmp(8).payload("ping").bytes(),
      Frame().eth().ipv6(kV6A, kV6B).icmp6(128).payload("ping").bytes(),
      Frame().eth().ipv6(kV6A, kV6B, 255).neighbour_solicitation(kV6B).bytes(),
      Frame()
          .eth()
          .ipv6(kV6A, kV6B)
          .extension(0)
          .extension(43)
          .extension(60)
          .udp(1, 2)
          .payload("ext")
          .bytes(),
      Frame()
          .eth()
          .ipv6(kV6A, kV6B)
          .fragment6(0, false)
          .udp(1, 2)
          .payload("atom")
          .bytes(),
      Frame().eth().ipv6(kV6A, kV6B).fragment6(3, true).payload("part").bytes(),
      Frame()
          .eth()
          .ipv4(kV4A, kV4B, {.more_fragments = true})
          .udp(1, 2)
          .payload("part")
          .bytes(),
      Frame().eth().arp(1, kV4A, kV4B).bytes(),
      Frame().eth().ipv4(kV4A, kV4B).sctp(1, 2).bytes(),
      Frame().eth().ethertype(0x88cc).payload("lldp").bytes(),
  };
}

// What a socket with checksum offload leaves in the field: the pseudo-header,
// not complemented.
inline void unfinish(const Layers& layers) {
  const auto length = static_cast<std::uint32_t>(layers.segment().size());
  be16 sum = 0;
  if (const Ipv4* ip = layers.ipv4()) {
    sum = pseudo_header_sum(ip->source, ip->destination, layers.protocol(),
                            length)
              .folded();
  } else if (const Ipv6* ip6 = layers.ipv6()) {
    sum = pseudo_header_sum(ip6->source, ip6->destination, layers.protocol(),
                            length)
              .folded();
  }
  if (Udp* udp = layers.udp()) udp->checksum = sum;
  if (Tcp* tcp = layers.tcp()) tcp->checksum = sum;
}

}  // namespace sluice::testing
