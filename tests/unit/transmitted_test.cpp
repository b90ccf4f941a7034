// SPDX-License-Identifier: Apache-2.0
// The end of each packet that asked is told once, by ports and by the loop.
#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

#include "offering_core.hpp"

namespace sluice::test {
namespace {

TEST(TransmittedTest, EachPacketThatAskedIsToldOnceWithTheDevicesTime) {
  OfferingCore hand;
  hand.side.completes = false;
  for (std::uint64_t i = 0; i < 4; ++i) {
    Packet packet = hand.packet(kQuestion);
    TxRequest request;
    if (i % 2 == 1) request.timestamp = 40 + i;
    ASSERT_TRUE(hand.port.send(packet, request));
  }
  const auto taken = hand.taken();
  ASSERT_EQ(taken.size(), 4U);
  EXPECT_EQ(hand.port.awaited(), 2U);
  hand.kernel.write_time(taken[1], 1111);
  hand.kernel.write_time(taken[3], 3333);
  hand.kernel.complete(0, 3);
  EXPECT_EQ(hand.port.reclaim(), 3U);
  auto told = hand.told();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].number, 41U);
  EXPECT_EQ(told[0].port, 0U);
  EXPECT_EQ(told[0].time, (Timestamp{1111, Timestamp::Clock::hardware}));
  EXPECT_TRUE(hand.told().empty()) << "once";
  hand.kernel.complete(0, 1);
  EXPECT_EQ(hand.port.reclaim(), 1U);
  told = hand.told();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].number, 43U);
  EXPECT_EQ(hand.port.awaited(), 0U);
  expect_books_agree(hand);
}

TEST(TransmittedTest, AFrameThatAskedBeforeDoesNotAskAgain) {
  OfferingCore hand;
  for (int i = 0; i < 20; ++i) {
    Packet packet = hand.packet(kQuestion);
    TxRequest request;
    if (i == 0) request.timestamp = 1;
    ASSERT_TRUE(hand.port.send(packet, request));
    ASSERT_EQ(hand.taken().size(), 1U);
    hand.port.reclaim();
    EXPECT_EQ(hand.told().size(), i == 0 ? 1U : 0U);
  }
}

TEST(TransmittedTest, ADeviceMayGiveNoTimeAndThenThereIsNone) {
  OfferingCore hand;
  Packet packet = hand.packet(kQuestion);
  ASSERT_TRUE(
      hand.port.send(packet, {.checksum = TxChecksum{34, 6}, .timestamp = 5}));
  ASSERT_EQ(hand.taken().size(), 1U);
  hand.port.reclaim();
  const auto told = hand.told();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].number, 5U);
  EXPECT_EQ(told[0].time, std::nullopt) << "not where the checksum begins";
}

TEST(TransmittedTest, CompletionsAstrayAreCountedAmongThem) {
  OfferingCore hand;
  hand.side.completes = false;
  Packet first = hand.packet(kQuestion);
  Packet second = hand.packet(kQuestion);
  ASSERT_TRUE(hand.port.send(first, {.timestamp = 5}));
  ASSERT_TRUE(hand.port.send(second));
  ASSERT_EQ(hand.taken().size(), 2U);
  hand.side.in_flight[1] = std::uint64_t{64} * 2048;
  hand.kernel.complete(0, 2);
  EXPECT_EQ(hand.port.reclaim(), 2U);
  EXPECT_EQ(hand.port.counters().astray.value(), 1U);
  EXPECT_EQ(hand.told().size(), 1U);
}

TEST(TransmittedTest, WhatALostSocketHadEndsWithoutATime) {
  OfferingCore hand;
  hand.side.completes = false;
  for (std::uint64_t i = 0; i < 3; ++i) {
    Packet packet = hand.packet(kQuestion);
    ASSERT_TRUE(hand.port.send(packet, {.timestamp = i}));
  }
  ASSERT_EQ(hand.taken().size(), 3U);
  hand.port.part();
  EXPECT_EQ(hand.port.awaited(), 3U);
  hand.port.recover();
  EXPECT_EQ(hand.port.awaited(), 0U);
  const auto told = hand.told();
  ASSERT_EQ(told.size(), 3U);
  for (const auto& each : told) EXPECT_EQ(each.time, std::nullopt);
}

TEST(TransmittedTest, WhereNobodyListensNothingIsAsked) {
  HandCore hand({.tx_offload = kAllOffloads});
  auto packet = hand.core->make_packet(60);
  ASSERT_TRUE(packet);
  ASSERT_TRUE(hand.ports[0].send(*packet, {.timestamp = 1}));
  hand.ports[0].submit();
  EXPECT_EQ(hand.kernel.port(0).tx.pop().options, 0U);
  EXPECT_EQ(hand.ports[0].awaited(), 0U);
}

// --- The loop ----------------------------------------------------------------

struct Listens : OnPacket {
  std::vector<Transmitted> told = {};
  void transmitted(const Transmitted& each) noexcept { told.push_back(each); }
};
struct ListeningRig : Rig<Listens> {
  ListeningRig()
      : Rig(OnPacket{[](Packet packet, Core& outlets) {
              outlets.reply(std::move(packet), {.timestamp = 9});
            }},
            {.tx_offload = kAllOffloads}) {}
};

TEST(TransmittedTest, TheLoopTellsAHandlerThatListens) {
  ListeningRig rig;
  ASSERT_TRUE(rig.arrive(1));
  rig.turn();
  rig.settle();
  ASSERT_EQ(rig.handler.told.size(), 1U);
  EXPECT_EQ(rig.handler.told[0].number, 9U);
}

TEST(TransmittedTest, WhileATimeIsAwaitedTheLoopOnlyNaps) {
  ListeningRig rig;
  rig.kernel.port(0).completes = false;
  ASSERT_TRUE(rig.arrive(1));
  rig.turn();
  rig.later(1ms);
  rig.turn();
  rig.later(1ms);
  rig.poller.idle();
  EXPECT_EQ(rig.kernel.waits, 1U);
  EXPECT_LE(rig.kernel.last_deadline - rig.core->now(), 1ms);
}

TEST(TransmittedTest, ALoopThatHasSomethingToTellDoesNotSleep) {
  ListeningRig rig;
  ASSERT_TRUE(rig.arrive(1));
  rig.turn();  // Sent, and perhaps kicked.
  rig.later(1ms);
  (void)rig.kernel.kick_tx(0);
  rig.ports[0].reclaim();  // As a kick does.
  ASSERT_EQ(rig.ports[0].untold(), 1U);
  rig.poller.idle();
  EXPECT_EQ(rig.kernel.waits, 0U);
  rig.turn();
  EXPECT_EQ(rig.handler.told.size(), 1U);
}

}  // namespace
}  // namespace sluice::test
