// SPDX-License-Identifier: Apache-2.0
// OfferingCore: a core whose device does what packets ask for as they are sent.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "rig.hpp"
#include "samples.hpp"

namespace sluice::test {

inline constexpr TxOffload kAllOffloads{.checksum = true,
                                        .timestamp = Timestamp::Clock::hardware,
                                        .launch_time = true};

inline constexpr std::uint32_t kRing = 8;

struct OfferingCore : HandCore {
  explicit OfferingCore(std::optional<TxOffload> offload = kAllOffloads)
      : HandCore({.frames = 64, .ring_size = kRing, .tx_offload = offload}) {
    port.listen();
  }
  Packet packet(const testing::Bytes& bytes) {
    auto packet = core->make_packet(static_cast<std::uint32_t>(bytes.size()));
    EXPECT_TRUE(packet);
    std::ranges::copy(bytes, packet->bytes().begin());
    return std::move(*packet);
  }
  // What a device would find, of all that was sent since.
  std::vector<xdp_desc> taken() {
    port.submit();
    side.sent.clear();
    side.wire.clear();
    EXPECT_EQ(kernel.kick_tx(0), 0);
    return side.sent;
  }
  std::vector<Transmitted> told() {
    std::vector<Transmitted> all;
    port.tell_transmitted(
        [&](const Transmitted& each) { all.push_back(each); });
    return all;
  }

  Port& port = ports[0];
  HandPort& side = kernel.port(0);
};

inline const testing::Bytes kQuestion =
    testing::udp4().payload("hello").bytes();

}  // namespace sluice::test
