// SPDX-License-Identifier: Apache-2.0
// Queues whose packets move in the loop's calls alone: the loop goes on making
// them, whatever flags say, and does not stall.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <sluice/testing/sim_core.hpp>
#include <utility>

#include "rig.hpp"
#include "send_back.hpp"

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

// No interrupt comes in time for anything.
constexpr Duration kNever = 1h;

// Packets with a number, so far apart.
class Traffic {
 public:
  Traffic(Time start, Duration gap, std::uint32_t count)
      : at_(start), gap_(gap), left_(count) {}
  bool operator()(SimArrival& arrival) {
    if (left_ == 0) return false;
    at_ = at_ + gap_;
    arrival.at = at_;
    arrival.bytes = test::numbered(--left_);
    return true;
  }

 private:
  Time at_;
  Duration gap_;
  std::uint32_t left_;
};

// A call of copy mode may move a budget of packets into RX for each 32 of TX.
SimCoreOptions one(SimPortOptions port) {
  port.busy_polled = true;
  port.ring_size = 512;
  SimCoreOptions options;
  options.ports = {port};
  return options;
}

class BusyPollTest : public ::testing::Test {
 protected:
  static constexpr PollerOptions kSpins{.spin = true, .busy_poll_gap = 5us};
  static constexpr PollerOptions kSleeps{.busy_poll_gap = 5us};

  // The longest time that a packet spent here, and that all were reflected.
  Duration reflected(SimCore& sim, Duration gap, std::uint32_t count,
                     const PollerOptions& loop) {
    Duration longest{};
    std::map<std::uint32_t, Time> came;
    std::uint32_t sent = 0;
    const Time start = sim.kernel().clock();
    Traffic traffic(start, gap, count);
    sim.port(0).feed([&, traffic](SimArrival& arrival) mutable {
      if (!traffic(arrival)) return false;
      came[test::number_of(arrival.bytes)] = arrival.at;
      return true;
    });
    sim.port(0).watch([&](const SimDeparture& departure) {
      ++sent;
      const Time at = came.at(test::number_of(departure.bytes));
      longest = std::max(longest, departure.at - at);
    });
    SendBack handler;
    sim.run(handler, gap * (count + 1) + 1ms, loop);
    EXPECT_EQ(sent, count);
    EXPECT_EQ(sim.port(0).wire().dropped(), 0U);
    EXPECT_EQ(sim.trouble(), "");
    EXPECT_EQ(sim.core().ledger().transmitting, 0U)
        << "what was sent came home";
    return longest;
  }
};

// That the tests below can fail.
TEST_F(BusyPollTest, WhereNobodyCallsNothingMoves) {
  SimCore sim(one({.deferral = kNever}));
  sim.port(0).feed(Traffic(sim.kernel().clock(), 1us, 10));
  SendBack handler;
  sim.run(handler, 10ms, {.spin = true});
  EXPECT_EQ(sim.port(0).wire().offered, 0U);
}

TEST_F(BusyPollTest, ASpinningLoopNeedsNoInterrupt) {
  for (const bool zero_copy : {false, true}) {
    for (const Duration gap : {Duration(1us), Duration(7us), Duration(1ms)}) {
      SimCore sim(one({.zero_copy = zero_copy, .deferral = kNever}));
      // Two gaps, and what two turns and their calls take.
      EXPECT_LE(reflected(sim, gap, 2000, kSpins), 120us);
    }
  }
}

TEST_F(BusyPollTest, ASleepingLoopIsWokenWhenInterruptsAreBack) {
  for (const bool zero_copy : {false, true}) {
    for (const Duration gap : {Duration(1us), Duration(60us), Duration(3ms)}) {
      SimCore sim(one({.zero_copy = zero_copy, .deferral = 200us}));
      EXPECT_LE(reflected(sim, gap, 1000, kSleeps), 350us);
    }
  }
}

TEST_F(BusyPollTest, ADriverThatTransmitsElsewhereIsWoken) {
  for (const PollerOptions& loop : {kSpins, kSleeps}) {
    SimCore sim(one({.zero_copy = true,
                     .deferral = loop.spin ? kNever : Duration(200us),
                     .tx_apart = true}));
    EXPECT_LE(reflected(sim, 10us, 2000, loop), 350us);
  }
}

TEST_F(BusyPollTest, FramesThatAreAllInTxComeHome) {
  SimCoreOptions options = one({.zero_copy = true, .deferral = kNever});
  options.frames = 528;  // RX has 512.
  SimCore sim(options);
  sim.port(0).feed(Traffic(sim.kernel().clock(), 1us, 5000));
  SendBack handler;
  sim.run(handler, 50ms, kSpins);
  const SimWire& wire = sim.port(0).wire();
  EXPECT_EQ(wire.offered, 5000U);
  EXPECT_EQ(wire.sent, wire.received);
  EXPECT_GT(wire.received, 2500U);
  EXPECT_EQ(sim.trouble(), "");
}

TEST_F(BusyPollTest, APortIsNotForgottenForABusyOne) {
  SimCoreOptions options = one({.deferral = kNever});
  options.ports.push_back({});
  SimCore sim(options);
  const Time start = sim.kernel().clock();
  sim.port(1).feed(Traffic(start, 1us, 20'000));
  EXPECT_LE(reflected(sim, 100us, 180, kSpins), 120us);
}

TEST_F(BusyPollTest, AnIdleLoopCallsNoMoreOftenThanTheGap) {
  SimCore sim(one({.deferral = kNever}));
  SendBack handler;
  sim.run(handler, 10ms, kSpins);
  const auto calls = sim.core().ports()[0].counters().rx_wakes.value();
  EXPECT_LE(calls, 2000U);
  EXPECT_GE(calls, 500U);
}

TEST_F(BusyPollTest, WhatWasSentLeavesBeforeTheEnd) {
  for (const bool zero_copy : {false, true}) {
    SimCore sim(one({.zero_copy = zero_copy, .deferral = kNever}));
    sim.port(0).feed(Traffic(sim.kernel().clock(), 1us, 100));
    SendBack handler;
    sim.run(handler, 50us, kSpins);  // Amid the packets.
    EXPECT_EQ(sim.core().ledger().transmitting, 0U);
    EXPECT_EQ(sim.port(0).wire().sent, sim.port(0).wire().received);
  }
}

TEST_F(BusyPollTest, APortThatIsLostIsPolledAgainWhenItIsBack) {
  SimCore sim(one({.zero_copy = true, .deferral = kNever}));
  EXPECT_LE(reflected(sim, 10us, 100, kSpins), 120us);
  sim.port(0).lose(1ms);
  SendBack handler;
  sim.run(handler, 10ms, kSpins);
  ASSERT_FALSE(sim.port(0).lost());
  EXPECT_LE(reflected(sim, 10us, 100, kSpins), 120us);
}

}  // namespace
}  // namespace sluice::testing
