// SPDX-License-Identifier: Apache-2.0
// When the loop sleeps, for how long, and how it ends.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <sluice/poller.hpp>
#include <vector>

#include "rig.hpp"

namespace sluice::test {
namespace {

class SleepTest : public ::testing::Test {
 protected:
  Duration nap() {
    const Time before = rig_.core->now();
    rig_.poller.idle();
    return rig_.kernel.last_deadline - before;
  }

  Rig<OnPacket> rig_{[this](Packet packet, Core& core) {
                       if (keep_) {
                         kept_.push_back(std::move(packet));
                       } else {
                         core.reply(std::move(packet));
                       }
                     },
                     {.frames = 48, .ring_size = 16}};
  bool keep_ = false;
  std::vector<Packet> kept_;  // Dies before the rig whose frames it has.
};

TEST_F(SleepTest, WithNothingToDoItSleepsLongAndWatchesRx) {
  rig_.turn();
  EXPECT_EQ(nap(), 500ms);
  EXPECT_EQ(rig_.kernel.waits, 1U);
  EXPECT_EQ(rig_.kernel.last_watched, 1U);
  EXPECT_EQ(rig_.core->loop().sleeps.value(), 1U);
}

TEST_F(SleepTest, ATimerEndsTheSleep) {
  rig_.core->every(7ms, [] {});
  rig_.turn();
  EXPECT_EQ(nap(), 7ms);
}

TEST_F(SleepTest, APacketThatIsThereKeepsItAwake) {
  rig_.turn();
  ASSERT_TRUE(rig_.arrive(1));
  rig_.poller.idle();
  EXPECT_EQ(rig_.kernel.waits, 0U);
}

TEST_F(SleepTest, CloseTrafficIsWaitedForSpinning) {
  rig_.make_dense();
  rig_.turn();
  rig_.poller.idle();
  EXPECT_EQ(rig_.kernel.waits, 0U);
  rig_.later(51us);
  rig_.turn();
  rig_.poller.idle();
  EXPECT_EQ(rig_.kernel.waits, 1U) << "but not for long";
}

TEST_F(SleepTest, ASpinningLoopNeverSleeps) {
  Rig<OnPacket> rig(drop_all, {}, {.spin = true});
  rig.later(1s);
  rig.turn();
  rig.poller.idle();
  EXPECT_EQ(rig.kernel.waits, 0U);
}

TEST_F(SleepTest, NothingIsLeftInTxOverASleep) {
  rig_.make_dense();
  rig_.later(1us);
  ASSERT_TRUE(rig_.arrive(1));
  rig_.turn();
  ASSERT_EQ(rig_.side().tx.used(), 1U) << "it waits for company";
  rig_.later(60us);
  (void)rig_.poller.turn();
  rig_.poller.idle();
  EXPECT_EQ(rig_.side().tx.used(), 0U);
}

TEST_F(SleepTest, ADeviceThatTakesNothingIsAskedEveryMillisecond) {
  rig_.side().kick_results.assign(100, EAGAIN);
  ASSERT_TRUE(rig_.arrive(1));
  rig_.turn();
  EXPECT_EQ(nap(), 1ms);
  EXPECT_EQ(rig_.kernel.waits, 1U);
}

TEST_F(SleepTest, AnInterfaceThatIsDownIsNotSpunOn) {
  rig_.side().kick_results.assign(1000, ENETDOWN);
  ASSERT_TRUE(rig_.arrive(1));
  rig_.turn();
  const Time start = rig_.kernel.clock;
  std::uint32_t rounds = 0;
  while (rig_.kernel.clock - start < 1s) {
    rig_.turn();
    rig_.poller.idle();
    ++rounds;
  }
  EXPECT_LE(rounds, 12U);
  EXPECT_LE(rig_.side().kicks, 12U);
}

// Completions wake nobody: where frames are short, it must look for them.
TEST_F(SleepTest, WhereFramesAreShortItLooksForCompletions) {
  rig_.side().completes = false;
  std::uint32_t next = 0;
  for (int i = 0; i < 20; ++i) {
    while (rig_.arrive(next)) ++next;
    rig_.turn();
  }
  ASSERT_LT(rig_.side().fill.used(), 8U);
  EXPECT_EQ(nap(), 1ms);
  rig_.kernel.complete(0, 48);
  rig_.turns(5);
  EXPECT_GE(rig_.side().fill.used(), 8U) << "and goes on";
}

TEST_F(SleepTest, APacketHeldAndTxOutstandingLetItSleep) {
  rig_.side().completes = false;
  keep_ = true;
  ASSERT_TRUE(rig_.arrive(1));
  rig_.turn();
  keep_ = false;
  ASSERT_TRUE(rig_.arrive(2));
  rig_.turn();
  rig_.turn();
  EXPECT_EQ(nap(), 500ms) << "enough frames are left to receive";
}

// A packet in RX ends every sleep at once; without a frame to replace its own
// it can't be received, so RX is not watched until there is one.
TEST_F(SleepTest, APortThatCanNotReceiveIsNotWatched) {
  keep_ = true;
  std::uint32_t next = 0;
  for (int i = 0; i < 20; ++i) {
    while (rig_.arrive(next)) ++next;
    rig_.turn();
  }
  ASSERT_GT(rig_.side().rx.used(), 0U);
  ASSERT_EQ(rig_.turn(), 0U);
  EXPECT_EQ(nap(), 500ms) << "only the handler can help";
  EXPECT_EQ(rig_.kernel.waits, 1U);
  EXPECT_EQ(rig_.kernel.last_watched, 0U);
  kept_.clear();
  EXPECT_GT(rig_.turn(), 0U);
}

TEST_F(SleepTest, StopsWhenItIsTold) {
  rig_.kernel.on_wait = [this] {
    rig_.kernel.events = {{Event::Kind::stop, 0}};
  };
  rig_.poller.run();
  EXPECT_TRUE(rig_.poller.stopping());
  EXPECT_EQ(rig_.kernel.waits, 1U);
}

TEST_F(SleepTest, WhatWasSentLeavesBeforeItStops) {
  rig_.kernel.step = 1us;
  rig_.side().completes = false;
  ASSERT_TRUE(rig_.arrive(1));
  rig_.kernel.on_wait = [this] {
    rig_.kernel.events = {{Event::Kind::stop, 0}};
  };
  int turns = 0;
  rig_.core->every(1ms, [&] {
    if (++turns == 20) rig_.kernel.complete(0, 1);
  });
  rig_.poller.run();
  EXPECT_EQ(rig_.side().wire.size(), 1U);
  EXPECT_EQ(rig_.ports[0].transmitting(), 0U);
  EXPECT_GE(turns, 20);
}

TEST_F(SleepTest, ADeviceThatKeepsItsFramesDoesNotKeepTheLoop) {
  rig_.kernel.step = 10us;
  rig_.side().completes = false;
  ASSERT_TRUE(rig_.arrive(1));
  rig_.turn();
  const Time told = rig_.kernel.clock;
  rig_.kernel.events = {{Event::Kind::stop, 0}};
  rig_.poller.run();
  EXPECT_LE(rig_.kernel.clock - told, 210ms);
  EXPECT_EQ(rig_.ports[0].transmitting(), 1U);
}

TEST_F(SleepTest, ALinkThatIsDownDoesNotKeepTheLoop) {
  rig_.kernel.step = 10us;
  rig_.side().kick_results.assign(1000, ENETDOWN);
  ASSERT_TRUE(rig_.arrive(1));
  const Time told = rig_.kernel.clock;
  rig_.kernel.events = {{Event::Kind::stop, 0}};
  rig_.poller.run();
  EXPECT_LE(rig_.kernel.clock - told, 210ms);
}

}  // namespace
}  // namespace sluice::test
