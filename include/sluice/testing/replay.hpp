// SPDX-License-Identifier: Apache-2.0
// replay: a handler, some packets, and what it did with them. No root, no NIC.
//
//   const auto run = replay<MyHandler>({Frame().eth().ipv4("192.0.2.1",
//                                       "192.0.2.2").udp(4000, 53)});
//   ASSERT_TRUE(run) << run.error().message();
//   EXPECT_EQ(run->sent.size(), 1u);
//
// The loop, the rings and the frames are those of an interface; see
// pcap_engine.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sluice/testing/frame.hpp>
#include <sluice/testing/pcap_engine.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::testing {

/// A packet that arrives. `at`: on the handler's clock, which begins with the
/// first; in order. Packets of the same time come in one burst.
struct Arrival {
  Arrival(std::vector<std::byte> packet, Duration time = {},
          std::uint8_t number = 0)
      : bytes(std::move(packet)), at(time), port(number) {}
  Arrival(const Frame& packet, Duration time = {}, std::uint8_t number = 0)
      : Arrival(packet.bytes(), time, number) {}

  std::vector<std::byte> bytes;
  Duration at;
  std::uint8_t port;
};

/// What a handler did.
struct Replayed {
  struct Sent {
    Time time;
    std::uint8_t port = 0;
    std::vector<std::byte> bytes;
  };
  std::vector<Sent> sent;      ///< In order.
  std::uint64_t received = 0;  ///< By the handler.
  std::uint64_t kept = 0;      ///< Held by it when it ended.
  /// Received, and neither sent nor kept. Less by the packets that the handler
  /// made itself.
  std::uint64_t dropped = 0;
  Stats stats;    ///< As of a run on an interface.
  Report report;  ///< The handler's.

  /// A counter of the handler's by its name; 0 where there is none.
  [[nodiscard]] std::int64_t counter(std::string_view name) const;
  /// A number of the handler's report; 0 where there is none.
  [[nodiscard]] std::uint64_t reported(std::string_view name) const;
};

/// One port "p" unless options.ports says otherwise, in the order of the
/// arrivals' numbers.
template <Handler H>
[[nodiscard]] Result<Replayed> replay(std::vector<Arrival> packets,
                                      const handler::Config<H>& config = {},
                                      PcapOptions options = {}) {
  return replay_with(
      std::move(packets), std::move(options),
      [&config](PcapEngine& engine) { return engine.start<H>(config); });
}

/// The same, its type taken off.
[[nodiscard]] Result<Replayed> replay_with(
    std::vector<Arrival> packets, PcapOptions options,
    const std::function<Result<void>(PcapEngine&)>& start);

}  // namespace sluice::testing
