// SPDX-License-Identifier: Apache-2.0
// Packets that can be told apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sluice/testing/frame.hpp>

namespace sluice::testing {

/// A datagram from port `number`, with so much payload.
inline Bytes numbered(std::size_t number, std::size_t payload = 10) {
  return Frame()
      .eth()
      .ipv4("192.0.2.1", "192.0.2.2")
      .udp(static_cast<std::uint16_t>(number), 9)
      .payload(payload)
      .bytes();
}

}  // namespace sluice::testing
