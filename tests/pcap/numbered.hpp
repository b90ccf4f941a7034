// SPDX-License-Identifier: Apache-2.0
// Packets that can be told apart, and a handler that sends back what comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sluice/core.hpp>
#include <sluice/testing/frame.hpp>
#include <utility>
#include <vector>

namespace sluice::testing {

/// A datagram from port `number`, with so much payload.
inline std::vector<std::byte> numbered(std::size_t number,
                                       std::size_t payload = 10) {
  return Frame()
      .eth()
      .ipv4("192.0.2.1", "192.0.2.2")
      .udp(static_cast<std::uint16_t>(number), 9)
      .payload(payload)
      .bytes();
}

struct SendBack {
  void operator()(Packet packet, Core& core) noexcept {
    core.reply(std::move(packet));
  }
};

}  // namespace sluice::testing
