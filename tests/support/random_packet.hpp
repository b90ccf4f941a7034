// SPDX-License-Identifier: Apache-2.0
// random_packet(): packets of few hosts, ports, tags and types, so that random
// rules meet them; every second one has something wrong with it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <sluice/testing/frame.hpp>

#include "dice.hpp"

namespace sluice::testing {

inline constexpr std::array kHosts4 = {"192.0.2.1", "192.0.2.129",
                                       "198.51.100.2", "10.1.2.3"};
inline constexpr std::array kHosts6 = {"2001:db8::1", "2001:db8:0:8000::1",
                                       "2001:db8:8000::1", "fe80::2"};
inline constexpr std::array<std::uint16_t, 5> kPorts = {53, 54, 80, 8080, 0};
inline constexpr std::array<std::uint16_t, 3> kTagTypes = {0x8100, 0x88a8,
                                                           0x9100};
inline constexpr std::array<std::uint16_t, 3> kVlans = {7, 8, 4095};
inline constexpr std::array<std::uint8_t, 9> kProtocols = {0,  1,  2,  6,  17,
                                                           44, 58, 60, 132};

inline void put_transport(Frame& frame, Dice& dice) {
  constexpr std::array<std::uint8_t, 5> kTypes4 = {0, 3, 8, 11, 13};
  constexpr std::array<std::uint8_t, 5> kTypes6 = {1, 128, 129, 135, 136};
  const std::uint16_t from = dice.of(kPorts);
  const std::uint16_t to = dice.of(kPorts);
  switch (dice.below(10)) {
    case 0:
    case 1:
    case 2:
      frame.udp(from, to);
      break;
    case 3:
    case 4:
    case 5:
      frame.tcp(from, to, static_cast<std::uint8_t>(dice.below(32)));
      break;
    case 6:
      frame.sctp(from, to);
      break;
    case 7:
      frame.icmp(dice.of(kTypes4), static_cast<std::uint8_t>(dice.below(3)));
      break;
    case 8:
      frame.icmp6(dice.of(kTypes6), static_cast<std::uint8_t>(dice.below(3)));
      break;
    default:
      frame.protocol(dice.one_in(2) ? dice.of(kProtocols) : dice.byte());
      break;
  }
  frame.payload(dice.below(40));
}

inline void put_ipv4(Frame& frame, Dice& dice) {
  Ipv4Fields fields;
  if (dice.one_in(3)) {
    fields.option_words = static_cast<std::uint8_t>(dice.below(11));
  }
  if (dice.one_in(5)) {
    fields.more_fragments = dice.one_in(2);
    fields.fragment_offset = static_cast<std::uint16_t>(dice.below(3));
  }
  fields.dont_fragment = dice.one_in(2);
  frame.ipv4(dice.of(kHosts4), dice.of(kHosts4), fields);
  put_transport(frame, dice);
}

inline void put_ipv6(Frame& frame, Dice& dice) {
  constexpr std::array<std::uint8_t, 3> kExtensions = {0, 43, 60};
  frame.ipv6(dice.of(kHosts6), dice.of(kHosts6));
  if (dice.one_in(6)) frame.extension(dice.of(kExtensions));
  if (dice.one_in(4)) {
    frame.fragment6(static_cast<std::uint16_t>(dice.below(3)), dice.one_in(2));
  }
  while (dice.one_in(6)) frame.extension(dice.of(kExtensions));
  put_transport(frame, dice);
}

/// One mistake on the way: cut off, bits changed where headers are, a protocol
/// of the other family, a header length that cannot be.
inline void mutate(Bytes& bytes, Dice& dice) {
  // Where the EtherType behind the tags is, if there are any.
  std::size_t tags = 0;
  while (tags < 8 && bytes.size() > tags + 13 &&
         (bytes[tags + 12] == std::byte{0x81} ||
          bytes[tags + 12] == std::byte{0x88} ||
          bytes[tags + 12] == std::byte{0x91})) {
    tags += 4;
  }
  const auto set = [&](std::size_t at, std::uint8_t value) {
    if (at + tags < bytes.size()) bytes[at + tags] = std::byte{value};
  };
  switch (dice.below(6)) {
    case 0:
      bytes.resize(dice.below(bytes.size() + 1));
      break;
    case 1:
      set(dice.below(80), dice.byte());
      break;
    case 2:
      set(14, static_cast<std::uint8_t>(0x40 | dice.below(16)));
      break;
    case 3:
      set(dice.one_in(2) ? 23 : 20, dice.of(kProtocols));
      break;
    case 4:
      set(54, dice.of(kProtocols));
      break;
    default:
      bytes.resize(bytes.size() + dice.below(64));
      break;
  }
}

/// A packet as a sender would make it.
inline Bytes whole_packet(Dice& dice) {
  Frame frame;
  frame.eth();
  if (dice.one_in(4)) {
    do {
      const auto priority = static_cast<std::uint16_t>(dice.below(16) << 12);
      frame.vlan(dice.of(kVlans) | priority, dice.of(kTagTypes));
    } while (dice.one_in(3));
  }
  switch (dice.below(14)) {
    case 0:
      frame.arp(1, dice.of(kHosts4), dice.of(kHosts4));
      break;
    case 1:
      frame.arp(2, dice.of(kHosts4), dice.of(kHosts4));
      break;
    case 2:
      frame.rarp(3, dice.of(kHosts4), dice.of(kHosts4));
      break;
    case 3:
      frame.ethertype(0x88cc).payload(dice.below(60));
      break;
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
      put_ipv4(frame, dice);
      break;
    default:
      put_ipv6(frame, dice);
      break;
  }
  return frame.bytes();
}

inline Bytes random_packet(Dice& dice) {
  Bytes bytes = whole_packet(dice);
  while (dice.one_in(2)) mutate(bytes, dice);
  return bytes;
}

inline std::string hex(const Bytes& bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    text += "0123456789abcdef"[std::to_integer<int>(byte) >> 4];
    text += "0123456789abcdef"[std::to_integer<int>(byte) & 15];
  }
  return text;
}

}  // namespace sluice::testing
