// SPDX-License-Identifier: Apache-2.0
// When the loop asks the kernel to transmit, and what it makes of the answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <sluice/poller.hpp>
#include <utility>
#include <vector>

#include "rig.hpp"

namespace sluice::test {
namespace {

class KickTest : public ::testing::Test {
 protected:
  void arrive(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) ASSERT_TRUE(rig_.arrive(i));
  }
  Rig<OnPacket> rig_{reply_to_all, {.frames = 1024, .ring_size = 256}};
};

TEST_F(KickTest, ALonelyPacketLeavesAtOnce) {
  rig_.later(5ms);
  arrive(1);
  rig_.turn();
  EXPECT_EQ(rig_.side().kicks, 1U);
  EXPECT_EQ(rig_.side().wire.size(), 1U);
  rig_.turns(5);
  EXPECT_EQ(rig_.side().kicks, 1U) << "and only once";
}

TEST_F(KickTest, DenseTrafficWaitsForTheWatermark) {
  rig_.make_dense();
  std::uint32_t packets = 0;
  while (rig_.side().kicks == 0 && packets < 200) {
    rig_.later(1us);
    arrive(1);
    ++packets;
    rig_.turn();
  }
  EXPECT_EQ(packets, 32U);
  EXPECT_EQ(rig_.side().wire.size(), 32U);
}

TEST_F(KickTest, AtHighRatesThereIsOneKickForThirtyTwoPackets) {
  rig_.make_dense();
  constexpr std::uint32_t kPackets = 6400;
  for (std::uint32_t i = 0; i < kPackets / 4; ++i) {
    rig_.later(4us);
    arrive(4);
    rig_.turn();
  }
  EXPECT_LE(rig_.side().kicks, kPackets / 32);
  EXPECT_GE(rig_.side().wire.size(), kPackets - 32);
}

TEST_F(KickTest, WhatHasWaitedLongEnoughLeaves) {
  rig_.make_dense();
  rig_.later(1us);
  arrive(1);
  rig_.turn();
  ASSERT_EQ(rig_.side().kicks, 0U);
  rig_.later(2us);
  rig_.turn();
  EXPECT_EQ(rig_.side().kicks, 0U);
  rig_.later(100us);
  rig_.turn();
  EXPECT_EQ(rig_.side().kicks, 1U);
  EXPECT_EQ(rig_.side().wire.size(), 1U);
}

TEST_F(KickTest, AFlushDoesNotWait) {
  rig_.make_dense();
  rig_.handler.work = [](Packet packet, Core& core) {
    core.reply(std::move(packet));
    core.flush();
  };
  rig_.later(1us);
  arrive(1);
  rig_.turn();
  EXPECT_EQ(rig_.side().wire.size(), 1U);
}

TEST_F(KickTest, ADriverThatDoesNotAskIsNotKicked) {
  rig_.side().tx.flags = 0;
  arrive(10);
  rig_.turns(3);
  EXPECT_EQ(rig_.side().kicks, 0U);
  EXPECT_EQ(rig_.side().tx.used(), 10U);
}

TEST_F(KickTest, ABatchLargerThanTheBudgetTakesSeveralKicks) {
  arrive(64);
  rig_.turn();
  EXPECT_EQ(rig_.side().kicks, 2U);
  EXPECT_EQ(rig_.side().wire.size(), 64U);
}

TEST_F(KickTest, KicksOfOneTurnAreBounded) {
  rig_.side().budget = 1;
  arrive(64);
  rig_.turn();
  EXPECT_EQ(rig_.side().kicks, 4U);
  rig_.turn();
  EXPECT_EQ(rig_.side().kicks, 8U);
}

// COMPLETION is as long as TX: full, it would keep all of TX waiting.
TEST_F(KickTest, FramesThatCameBackDuringTheTurnMakeRoomForItsKick) {
  bool come_back = false;
  Rig<OnPacket> rig([&](Packet packet, Core& core) {
    if (std::exchange(come_back, false)) {
      rig.kernel.complete(0, 64);
      rig.side().completes = true;
    }
    core.reply(std::move(packet));
  });
  rig.side().completes = false;
  rig.side().budget = 64;
  for (std::uint32_t i = 0; i < 64; ++i) ASSERT_TRUE(rig.arrive(i));
  rig.core->flush();
  rig.turn();
  ASSERT_EQ(rig.side().in_flight.size(), 64U);
  for (std::uint32_t i = 0; i < 64; ++i) ASSERT_TRUE(rig.arrive(64 + i));
  come_back = true;
  rig.core->flush();
  rig.turn();
  EXPECT_EQ(rig.side().wire.size(), 128U);
}

TEST_F(KickTest, EbusyIsAPacketThatTheDeviceRefused) {
  rig_.side().kick_results = {EBUSY, 0};
  arrive(3);
  rig_.turn();
  EXPECT_EQ(rig_.counters().tx_refused.value(), 1U);
  EXPECT_EQ(rig_.counters().kick_errors.value(), 0U);
  EXPECT_EQ(rig_.side().wire.size(), 2U) << "the others went on";
  rig_.turn();
  EXPECT_EQ(rig_.ports[0].transmitting(), 0U);
}

TEST_F(KickTest, AnInterfaceThatIsDownIsAskedLessAndLess) {
  rig_.side().kick_results.assign(1000, ENETDOWN);
  arrive(3);
  const Time begin = rig_.kernel.clock;
  std::vector<Duration> asked;
  while (rig_.kernel.clock - begin < 700ms) {
    rig_.turn();
    if (rig_.side().kicks > asked.size()) {
      asked.push_back(rig_.kernel.clock - begin);
    }
    rig_.later(100us);
  }
  EXPECT_THAT(asked, ::testing::ElementsAre(0ms, 10ms, 30ms, 70ms, 150ms, 310ms,
                                            470ms, 630ms));
  EXPECT_EQ(rig_.counters().kick_errors.value(), rig_.side().kicks);
  EXPECT_EQ(rig_.ports[0].transmitting(), 3U) << "nothing is lost";
}

TEST_F(KickTest, AfterPacketsThatLeftItIsAskedOftenAgain) {
  rig_.side().kick_results = {ENETDOWN, ENETDOWN, ENETDOWN,
                              ENETDOWN, 0,        ENETDOWN};
  arrive(1);
  for (int i = 0; i < 5; ++i) {
    rig_.turn();
    rig_.later(100ms);
  }
  ASSERT_EQ(rig_.side().wire.size(), 1U);
  arrive(1);
  rig_.turn();
  ASSERT_EQ(rig_.counters().kick_errors.value(), 5U);
  rig_.later(10ms);
  rig_.turn();
  EXPECT_EQ(rig_.side().wire.size(), 2U);
}

TEST_F(KickTest, ALinkThatComesUpIsUsedAtOnce) {
  rig_.side().kick_results = {ENETDOWN};
  arrive(3);
  rig_.turn();
  ASSERT_EQ(rig_.side().wire.size(), 0U);
  rig_.kernel.events = {{Event::Kind::link_up, 0}};
  rig_.later(1ms);
  rig_.turns(2);
  EXPECT_EQ(rig_.side().wire.size(), 3U);
}

TEST_F(KickTest, EagainWithoutProgressIsNotAskedAgainInTheSameTurn) {
  rig_.side().kick_results.assign(10, EAGAIN);
  arrive(3);
  rig_.turn();
  EXPECT_EQ(rig_.side().kicks, 1U);
  EXPECT_EQ(rig_.counters().kick_errors.value(), 0U);
}

TEST_F(KickTest, TxThatNeverCompletesIsToldOnce) {
  rig_.side().completes = false;
  arrive(3);
  for (int i = 0; i < 50; ++i) {
    rig_.turn();
    rig_.later(100ms);
  }
  EXPECT_EQ(rig_.counters().tx_stalls.value(), 1U);
  EXPECT_TRUE(rig_.poller.drained()) << "nobody waits for it";
  rig_.kernel.complete(0, 1);
  rig_.turn();
  EXPECT_FALSE(rig_.poller.drained());
  for (int i = 0; i < 20; ++i) {
    rig_.later(100ms);
    rig_.turn();
  }
  EXPECT_EQ(rig_.counters().tx_stalls.value(), 2U) << "it stood still again";
}

TEST_F(KickTest, ARingThatKeepsMovingIsNoStall) {
  rig_.side().completes = false;
  for (std::uint32_t i = 0; i < 50; ++i) {
    arrive(2);
    rig_.turn();
    rig_.kernel.complete(0, 1);
    rig_.later(100ms);
  }
  EXPECT_EQ(rig_.counters().tx_stalls.value(), 0U);
}

TEST_F(KickTest, AClockThatJumpsIsNoStall) {
  rig_.side().completes = false;
  arrive(3);
  rig_.turn();
  rig_.later(60s);
  rig_.turns(2);
  EXPECT_EQ(rig_.counters().tx_stalls.value(), 0U);
  for (int i = 0; i < 11; ++i) {
    rig_.later(100ms);
    rig_.turn();
  }
  EXPECT_EQ(rig_.counters().tx_stalls.value(), 1U) << "one that does is told";
}

TEST_F(KickTest, AFillRingThatAsksForItIsWoken) {
  rig_.turn();
  EXPECT_EQ(rig_.side().wakes, 0U);
  rig_.side().fill.flags = 1;
  rig_.turn();
  EXPECT_EQ(rig_.side().wakes, 1U);
  EXPECT_EQ(rig_.counters().rx_wakes.value(), 1U);
}

}  // namespace
}  // namespace sluice::test
