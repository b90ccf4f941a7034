// SPDX-License-Identifier: Apache-2.0
// When a loop calls a kernel that moves packets in its calls.
#include <gtest/gtest.h>

#include <cstdint>
#include <sluice/poller.hpp>

#include "rig.hpp"

namespace sluice::test {
namespace {

constexpr PollerOptions kBusy{.busy_poll_gap = 5us};

TEST(PollerBusyPollTest, APortToWhichNothingCameIsAskedWhateverItsFlagsSay) {
  Rig<OnPacket> rig(drop_all, {}, kBusy);
  rig.side().fill.flags = 0;
  rig.turn();
  EXPECT_EQ(rig.side().wakes, 1U);
  EXPECT_EQ(rig.counters().rx_wakes.value(), 1U);
}

TEST(PollerBusyPollTest, WithoutItTheFlagsDecide) {
  Rig<OnPacket> rig(drop_all);
  rig.side().fill.flags = 0;
  rig.turns(10);
  EXPECT_EQ(rig.side().wakes, 0U);
  rig.side().fill.flags = 1;
  rig.turn();
  EXPECT_EQ(rig.side().wakes, 1U);
}

TEST(PollerBusyPollTest, ItIsAskedAgainAfterTheGap) {
  Rig<OnPacket> rig(drop_all, {}, kBusy);
  rig.turn();
  rig.later(4999ns);
  rig.turn();
  EXPECT_EQ(rig.side().wakes, 1U);
  rig.later(1ns);
  rig.turn();
  EXPECT_EQ(rig.side().wakes, 2U);
}

TEST(PollerBusyPollTest, PacketsThatAreThereComeFirst) {
  Rig<OnPacket> rig(drop_all, {}, kBusy);
  ASSERT_TRUE(rig.arrive(1));
  rig.turn();
  EXPECT_EQ(rig.side().wakes, 0U);
  rig.turn();
  EXPECT_EQ(rig.side().wakes, 1U);
}

TEST(PollerBusyPollTest, OneThatWantsToBeWokenIsEvenThen) {
  Rig<OnPacket> rig(drop_all, {}, kBusy);
  rig.side().fill.flags = 1;
  ASSERT_TRUE(rig.arrive(1));
  rig.turn();
  EXPECT_EQ(rig.side().wakes, 1U);
}

TEST(PollerBusyPollTest, EachPortHasItsOwnGap) {
  Rig<OnPacket> rig(drop_all, {.ports = 2}, kBusy);
  ASSERT_TRUE(rig.arrive(1, 64, 1));
  rig.turn();
  EXPECT_EQ(rig.side(0).wakes, 1U);
  EXPECT_EQ(rig.side(1).wakes, 0U);
  rig.turn();
  EXPECT_EQ(rig.side(0).wakes, 1U);
  EXPECT_EQ(rig.side(1).wakes, 1U);
}

TEST(PollerBusyPollTest, AKickIsSuchACall) {
  Rig<OnPacket> rig(reply_to_all, {}, kBusy);
  ASSERT_TRUE(rig.arrive(1));
  rig.turn();
  ASSERT_EQ(rig.side().kicks, 1U);
  rig.later(1us);
  rig.turn();
  EXPECT_EQ(rig.side().wakes, 0U);
  rig.later(4us);
  rig.turn();
  EXPECT_EQ(rig.side().wakes, 1U);
}

TEST(PollerBusyPollTest, TxIsKickedWhateverItsFlagSays) {
  for (const bool busy : {false, true}) {
    Rig<OnPacket> rig(reply_to_all, {}, busy ? kBusy : PollerOptions());
    rig.side().tx.flags = 0;
    ASSERT_TRUE(rig.arrive(1));
    rig.turn();
    EXPECT_EQ(rig.side().kicks, busy ? 1U : 0U);
    EXPECT_EQ(rig.side().wire.size(), busy ? 1U : 0U);
  }
}

TEST(PollerBusyPollTest, TxIsEmptyBeforeASleepWhateverItsFlagSays) {
  Rig<OnPacket> rig(reply_to_all, {}, kBusy);
  rig.make_dense();
  rig.side().tx.flags = 0;
  rig.later(1us);
  ASSERT_TRUE(rig.arrive(1));
  rig.turn();
  ASSERT_EQ(rig.side().tx.used(), 1U) << "it waits for company";
  rig.later(60us);
  (void)rig.poller.turn();
  rig.poller.idle();
  EXPECT_EQ(rig.side().tx.used(), 0U);
}

TEST(PollerBusyPollTest, ADriverThatTookNothingIsWokenIfItAsks) {
  for (const std::uint32_t flag : {0U, 1U}) {
    Rig<OnPacket> rig(reply_to_all, {}, kBusy);
    rig.side().budget = 0;
    rig.side().tx.flags = flag;
    ASSERT_TRUE(rig.arrive(1));
    rig.turn();
    EXPECT_EQ(rig.side().kicks, 1U);
    EXPECT_EQ(rig.side().tx_wakes, flag);
  }
}

// Neither at once, nor never because RX is asked meanwhile.
TEST(PollerBusyPollTest, WhatAKickLeftIsKickedAfterTheGap) {
  Rig<OnPacket> rig(reply_to_all, {}, kBusy);
  rig.side().budget = 0;
  ASSERT_TRUE(rig.arrive(1));
  rig.turn();
  EXPECT_EQ(rig.side().kicks, 1U);
  for (int i = 0; i < 10; ++i) {
    rig.later(1us);
    rig.turn();
  }
  EXPECT_EQ(rig.side().kicks, 3U);
  EXPECT_GE(rig.side().wakes, 1U);
}

TEST(PollerBusyPollTest, NobodyIsWokenWhoTookAll) {
  Rig<OnPacket> rig(reply_to_all, {}, kBusy);
  ASSERT_TRUE(rig.arrive(1));
  rig.turn();
  EXPECT_EQ(rig.side().tx_wakes, 0U);
}

TEST(PollerBusyPollTest, WithoutItNobodyIsWoken) {
  Rig<OnPacket> rig(reply_to_all);
  rig.side().budget = 0;
  ASSERT_TRUE(rig.arrive(1));
  rig.turn();
  EXPECT_EQ(rig.side().kicks, 1U);
  EXPECT_EQ(rig.side().tx_wakes, 0U);
}

// Interrupts are back when nobody calls for some time: they end the sleep.
TEST(PollerBusyPollTest, WithNothingToDoItSleepsAllTheSame) {
  Rig<OnPacket> rig(drop_all, {}, kBusy);
  rig.turn();
  EXPECT_EQ(rig.side().wakes, 1U);
  rig.poller.idle();
  EXPECT_EQ(rig.kernel.waits, 1U);
}

TEST(PollerBusyPollTest, APortWithoutASocketIsNotAsked) {
  Rig<OnPacket> rig(drop_all, {}, kBusy);
  Rebind rebind;
  rig.kernel.events.push_back({Event::Kind::gone, 0, &rebind});
  rig.turns(2);
  ASSERT_EQ(rebind.step, Rebind::Step::parted);
  const std::uint32_t before = rig.side().wakes;
  rig.later(1ms);
  (void)rig.poller.turn();
  EXPECT_EQ(rig.side().wakes, before);
}

}  // namespace
}  // namespace sluice::test
