// SPDX-License-Identifier: Apache-2.0
// Bench: one handler on a core over a kernel played by hand, fed frame by
// frame.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/handler.hpp>
#include <sluice/testing/frame.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "fake_kernel.hpp"

namespace sluice::testing {

/// H is a handler. Checks the ledger after each packet.
template <class H>
class Bench {
 public:
  explicit Bench(handler::Config<H> config = {}, std::size_t ports = 1)
      : hand_({.ports = ports}),
        handler_(handler::make<H>(config, *hand_.core)) {}

  /// What leaves of port `out` for what comes in of port `in`; nothing for a
  /// packet that dies.
  std::optional<std::vector<std::byte>> answer(
      const std::vector<std::byte>& bytes, std::size_t in = 0,
      std::size_t out = 0) {
    EXPECT_TRUE(hand_.kernel.deliver(in, bytes));
    Port& port = hand_.ports.at(in);
    EXPECT_EQ(port.receivable(1), 1u);
    const xdp_desc desc = port.received(1)[0].front();
    hand_.pool.hold(1);
    handler_(port.arrivals().packet(desc), *hand_.core);
    port.release(1, 1, desc.len);
    for (Port& each : hand_.ports) {
      each.submit();
      static_cast<void>(hand_.kernel.kick_tx(each.index()));
      each.reclaim();
      each.refill();
    }
    EXPECT_TRUE(hand_.core->ledger().balanced());
    EXPECT_EQ(hand_.pool.held(), 0u);
    auto& wire = hand_.kernel.port(out).wire;
    if (wire.empty()) return std::nullopt;
    EXPECT_EQ(wire.size(), 1u);
    auto sent = std::move(wire.back());
    wire.clear();
    return sent;
  }
  std::uint64_t count(std::string_view name) {
    return hand_.core->counter(name).value();
  }
  const std::optional<Error>& failure() { return hand_.core->failure(); }

 private:
  test::HandCore hand_;
  H handler_;
};

}  // namespace sluice::testing
