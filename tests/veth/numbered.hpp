// SPDX-License-Identifier: Apache-2.0
// Numbered datagrams to port 7, and what a handler sends back of them.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "veth_test.hpp"

namespace sluice::testing {

inline constexpr std::uint16_t kPort = 7;
inline constexpr std::size_t kPayload = 14 + 20 + 8;

/// A datagram with a number in its first bytes.
inline Bytes datagram(std::uint32_t number, std::size_t size = 32) {
  std::string payload(size, 'x');
  std::memcpy(payload.data(), &number, sizeof number);
  return Frame()
      .eth(kMacB, kMacA)
      .ipv4("10.203.0.2", "10.203.0.1")
      .udp(4000, kPort)
      .payload(payload);
}

inline std::uint32_t number_in(std::span<const std::byte> packet) {
  std::uint32_t number = 0;
  std::memcpy(&number, packet.data() + kPayload, sizeof number);
  return number;
}

/// From port 7 to us: what the handlers under test send.
inline bool is_answer(std::span<const std::byte> packet) {
  return packet.size() >= kPayload + 4 && packet[12] == std::byte{8} &&
         packet[13] == std::byte{0} && packet[34] == std::byte{0} &&
         packet[35] == std::byte{kPort};
}

}  // namespace sluice::testing
