// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <sluice/port.hpp>
#include <utility>
#include <vector>

#include "rig.hpp"

namespace sluice::test {
namespace {

constexpr std::uint32_t kRing = 8;

class PortTest : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  HandCore hand_{{.frames = 32, .ring_size = kRing, .start = GetParam()}};
  Port& port_ = hand_.ports[0];
  HandPort& side_ = hand_.kernel.port(0);

  Packet made(std::uint32_t size = 64) {
    auto packet = hand_.core->make_packet(size);
    EXPECT_TRUE(packet);
    return std::move(*packet);
  }
  // The i-th descriptor in RX.
  xdp_desc arrived(std::uint32_t i = 0) {
    const auto runs = port_.received(i + 1);
    return runs[1].empty() ? runs[0].back() : runs[1].back();
  }
  void send(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      Packet packet = made();
      ASSERT_TRUE(port_.send(packet));
    }
    port_.submit();
  }
};
INSTANTIATE_TEST_SUITE_P(Starts, PortTest, ::testing::Values(0U, 0xffff'fffdU));

TEST_P(PortTest, FillsTheKernelUpToTheTarget) {
  EXPECT_EQ(side_.fill.used(), kRing);
  EXPECT_EQ(port_.receiving(), kRing);
  EXPECT_EQ(hand_.pool.available(), 32 - kRing);
  EXPECT_FALSE(port_.starving());
  port_.refill();
  EXPECT_EQ(side_.fill.used(), kRing) << "and no further";
}

TEST_P(PortTest, AFullTxRingTakesNothing) {
  send(kRing);
  EXPECT_EQ(port_.room(), 0U);
  Packet packet = made();
  EXPECT_FALSE(port_.send(packet));
  EXPECT_EQ(packet.size(), 64U) << "it is still the caller's";
  (void)side_.tx.pop();
  EXPECT_EQ(port_.room(), 1U);
  EXPECT_TRUE(port_.send(packet));
  EXPECT_FALSE(port_.send(packet = made()));
  port_.submit();
}

TEST_P(PortTest, WhatIsQueuedIsNotInTxUntilItIsSubmitted) {
  Packet packet = made();
  ASSERT_TRUE(port_.send(packet));
  EXPECT_EQ(side_.tx.used(), 0U);
  EXPECT_EQ(port_.room(), kRing - 1);
  port_.submit();
  EXPECT_EQ(side_.tx.used(), 1U);
  EXPECT_EQ(port_.counters().tx_packets.value(), 1U);
  EXPECT_EQ(port_.counters().tx_bytes.value(), 64U);
  expect_books_agree(hand_);
}

TEST_P(PortTest, OldOptionsInATxSlotAreOverwritten) {
  for (auto& slot : side_.tx.slots) slot.options = XDP_PKT_CONTD;
  send(1);
  EXPECT_EQ(side_.tx.pop().options, 0U);
}

TEST_P(PortTest, ReclaimsWhatCompleted) {
  send(5);
  EXPECT_EQ(port_.transmitting(), 5U);
  EXPECT_EQ(port_.reclaim(), 0U);
  EXPECT_EQ(hand_.kernel.kick_tx(0), 0);
  EXPECT_EQ(port_.reclaim(), 5U);
  EXPECT_EQ(port_.transmitting(), 0U);
  EXPECT_EQ(hand_.pool.available(), 32 - kRing);
  expect_books_agree(hand_);
}

TEST_P(PortTest, ACompletionOutOfRangeIsCountedAstray) {
  side_.completes = false;
  send(3);
  EXPECT_EQ(hand_.kernel.kick_tx(0), 0);
  side_.in_flight[1] = 1ULL << 40;
  hand_.kernel.complete(0, 3);
  EXPECT_EQ(port_.reclaim(), 3U);
  EXPECT_EQ(port_.counters().astray.value(), 1U);
  EXPECT_EQ(hand_.pool.available(), 32 - kRing - 1) << "never into the pool";
  expect_books_agree(hand_);
}

TEST_P(PortTest, ADescriptorOutOfRangeIsNotFollowed) {
  ASSERT_TRUE(hand_.kernel.deliver(0, numbered(1)));
  side_.rx.slots[(side_.rx.producer - 1) % kRing].addr = 1ULL << 40;
  ASSERT_EQ(port_.receivable(64), 1U);
  EXPECT_FALSE(port_.arrivals().whole(arrived(), 0));
  EXPECT_FALSE(port_.gather(arrived()));
  port_.release(1, 0, 64);
  EXPECT_EQ(port_.counters().rx_invalid.value(), 1U);
  EXPECT_EQ(port_.counters().rx_broken.value(), 1U);
  EXPECT_EQ(port_.counters().astray.value(), 1U);
  expect_books_agree(hand_);
}

TEST_P(PortTest, ADescriptorThatLeavesItsFrameGoesHome) {
  ASSERT_TRUE(hand_.kernel.deliver(0, numbered(1)));
  side_.rx.slots[(side_.rx.producer - 1) % kRing].len = 2000;
  ASSERT_EQ(port_.receivable(64), 1U);
  EXPECT_FALSE(port_.arrivals().whole(arrived(), 0));
  EXPECT_FALSE(port_.gather(arrived()));
  port_.release(1, 0, 2000);
  EXPECT_EQ(port_.counters().astray.value(), 0U);
  EXPECT_EQ(hand_.pool.available(), 32 - kRing + 1);
  expect_books_agree(hand_);
}

TEST_P(PortTest, ReceivesNoMoreThanThePoolCanReplace) {
  std::vector<Packet> kept;
  while (hand_.pool.available() > 3) kept.push_back(made());
  for (std::uint32_t i = 0; i < kRing; ++i) {
    ASSERT_TRUE(hand_.kernel.deliver(0, numbered(i)));
  }
  EXPECT_EQ(port_.receivable(64), 3U);
  EXPECT_EQ(port_.counters().pool_dry.value(), 1U);
  kept.clear();
  EXPECT_EQ(port_.receivable(64), kRing);
  EXPECT_EQ(port_.counters().pool_dry.value(), 1U);
}

TEST_P(PortTest, WithoutPacketsADryPoolIsNoMatter) {
  std::vector<Packet> kept;
  ASSERT_TRUE(hand_.kernel.deliver(0, numbered(1)));
  ASSERT_EQ(port_.receivable(64), 1U);
  kept.push_back(port_.arrivals().packet(arrived()));
  hand_.pool.hold(1);
  port_.release(1, 1, 64);
  while (hand_.pool.available() > 0) kept.push_back(made());
  EXPECT_EQ(port_.receivable(64), 0U);
  EXPECT_EQ(port_.counters().pool_dry.value(), 0U) << "no packet waited";
}

TEST_P(PortTest, AChainIsSentWholeOrNotAtAll) {
  ASSERT_TRUE(hand_.kernel.deliver(0, numbered(1), XDP_PKT_CONTD));
  ASSERT_TRUE(hand_.kernel.deliver(0, numbered(2)));
  ASSERT_EQ(port_.receivable(64), 2U);
  EXPECT_FALSE(port_.gather(arrived()));
  EXPECT_EQ(port_.chained(), 1U);
  auto packet = port_.gather(arrived(1));
  ASSERT_TRUE(packet);
  port_.release(2, 1, 128);
  send(kRing - 1);
  EXPECT_FALSE(port_.send(*packet));
  EXPECT_EQ(packet->size(), 128U);
  for (std::uint32_t i = 0; i < kRing - 1; ++i) (void)hand_.kernel.kick_tx(0);
  port_.reclaim();
  EXPECT_TRUE(port_.send(*packet));
  port_.submit();
  ASSERT_EQ(side_.tx.used(), 2U);
  EXPECT_EQ(side_.tx.pop().options, std::uint32_t{XDP_PKT_CONTD});
  EXPECT_EQ(side_.tx.pop().options, 0U);
  EXPECT_EQ(port_.counters().tx_packets.value(), kRing);
}

TEST_P(PortTest, AConsumerThatGoesBackMakesNoRoom) {
  send(kRing);
  for (int i = 0; i < 4; ++i) (void)side_.tx.pop();
  for (int i = 0; i < 4; ++i) {
    Packet packet = made();
    ASSERT_TRUE(port_.send(packet));
  }
  side_.tx.consumer -= 2;
  Packet packet = made();
  EXPECT_FALSE(port_.send(packet));
  EXPECT_EQ(port_.room(), 0U);
  // Where it looks at what it sends, it stops there, else as it tells.
  EXPECT_DEATH(port_.submit(), "count|i < size")
      << "over what is not yet taken";
  side_.tx.consumer += 2;
  EXPECT_EQ(port_.room(), 0U);
  port_.submit();
}

TEST_P(PortTest, MoreCompletionsThanWereSentAreNotBelieved) {
  send(1);
  const std::uint64_t addr = side_.tx.pop().addr;
  side_.completion.push(addr);
  side_.completion.push(1ULL << 40);
  EXPECT_DEATH(port_.reclaim(), "count <= given");
  --side_.completion.producer;
}

TEST_P(PortTest, ADescriptorWithUnknownOptionsIsAPacket) {
  ASSERT_TRUE(hand_.kernel.deliver(0, numbered(1), 0xffff'fffe));
  ASSERT_EQ(port_.receivable(64), 1U);
  EXPECT_FALSE(port_.arrivals().whole(arrived(), 0));
  EXPECT_TRUE(port_.gather(arrived()));
  port_.release(1, 1, 64);
  expect_books_agree(hand_);
}

TEST_P(PortTest, AChainWithoutEndIsDroppedPieceByPiece) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(hand_.kernel.deliver(0, numbered(1), XDP_PKT_CONTD));
    ASSERT_EQ(port_.receivable(64), 1U);
    EXPECT_FALSE(port_.gather(arrived()));
    port_.release(1, 0, 64);
    port_.refill();
    ASSERT_LE(port_.chained(), Packet::kSegmentsMax);
    expect_books_agree(hand_);
  }
  EXPECT_EQ(port_.chained(), 0U);
  ASSERT_TRUE(hand_.kernel.deliver(0, numbered(1)));
  ASSERT_EQ(port_.receivable(64), 1U);
  EXPECT_FALSE(port_.gather(arrived()));
  port_.release(1, 0, 64);
  EXPECT_EQ(port_.counters().rx_broken.value(), 1U) << "one packet";
}

#ifdef SLUICE_CHECK_FRAMES
// What release builds trust the kernel with: it names no frame of another's.
TEST_P(PortTest, AnAddressThatTheKernelRepeatsIsCaught) {
  ASSERT_TRUE(hand_.kernel.deliver(0, numbered(1)));
  ASSERT_TRUE(hand_.kernel.deliver(0, numbered(2)));
  const auto slot = [this](std::uint32_t back) -> xdp_desc& {
    return side_.rx.slots[(side_.rx.producer - back) % kRing];
  };
  const xdp_desc kept = slot(1);
  slot(1) = slot(2);
  EXPECT_DEATH(
      {
        ASSERT_EQ(port_.receivable(64), 2U);
        const Packet first = port_.arrivals().packet(arrived());
        const Packet second = port_.arrivals().packet(arrived(1));
      },
      "should be owned by the kernel, to receive into when it goes to a "
      "handler, but its owner is a handler\n.*"
      "the kernel, to receive into -> a handler\n");
  slot(1) = kept;
}

TEST_P(PortTest, ACompletionThatTheKernelInventsIsCaught) {
  send(2);
  const std::uint64_t addr = side_.tx.pop().addr;
  side_.completion.push(addr);
  side_.completion.push(addr);
  EXPECT_DEATH(port_.reclaim(),
               "its owner is the pool\n.*transmit -> the pool");
}
#endif

// What the kernel's side of a lost socket has is found, wherever it was.
TEST_P(PortTest, WhatALostSocketHadComesHome) {
  side_.completes = false;
  send(5);
  EXPECT_EQ(hand_.kernel.kick_tx(0), 0);
  hand_.kernel.complete(0, 2);
  send(2);
  ASSERT_TRUE(hand_.kernel.deliver(0, numbered(1)));
  auto kept = made();
  port_.part();
  EXPECT_TRUE(port_.parted());
  EXPECT_EQ(port_.counters().cut_off.value(), 1U + 2U);
  EXPECT_EQ(port_.receiving(), kRing) << "not before the socket is closed";
  EXPECT_EQ(port_.transmitting(), 5U);
  port_.recover();
  EXPECT_EQ(port_.receiving(), 0U);
  EXPECT_EQ(port_.transmitting(), 0U);
  EXPECT_EQ(hand_.pool.available(), 31U) << "all but the one that is kept";
  EXPECT_TRUE(hand_.core->ledger().balanced());
}

TEST_P(PortTest, WithoutASocketNothingComesOrGoes) {
  port_.part();
  port_.recover();
  EXPECT_EQ(port_.receivable(64), 0U);
  EXPECT_EQ(port_.reclaim(), 0U);
  port_.refill();
  EXPECT_EQ(port_.receiving(), 0U);
  EXPECT_EQ(port_.room(), 0U);
  Packet packet = made();
  EXPECT_FALSE(port_.send(packet));
  EXPECT_FALSE(port_.tx_needs_wakeup());
  EXPECT_FALSE(port_.fill_needs_wakeup());
}

TEST_P(PortTest, GoesOnWithAnotherSocket) {
  port_.part();
  port_.recover();
  std::vector<std::uint64_t> frames;
  frames.reserve(kRing);
  port_.lend(frames);
  EXPECT_EQ(frames.size(), kRing);
  EXPECT_EQ(port_.receiving(), kRing);
  HandPort& next = hand_.kernel.add_port(kRing);
  for (const std::uint64_t addr : frames) next.fill.push(addr);
  port_.join(next.rings());
  EXPECT_FALSE(port_.parted());
  ASSERT_TRUE(hand_.kernel.deliver(1, numbered(7)));
  EXPECT_EQ(port_.receivable(64), 1U);
  port_.release(0, 0, 0);
  send(3);
  EXPECT_EQ(next.tx.used(), 3U);
  EXPECT_TRUE(hand_.core->ledger().balanced());
}

TEST(PortsTest, OnePortsLossIsNoneOfAnothers) {
  HandCore hand({.ports = 2, .frames = 64, .ring_size = kRing});
  auto packet = hand.core->make_packet(64);
  ASSERT_TRUE(hand.ports[1].send(*packet));
  hand.ports[1].submit();
  hand.ports[0].part();
  hand.ports[0].recover();
  EXPECT_EQ(hand.ports[0].receiving(), 0U);
  EXPECT_EQ(hand.ports[1].receiving(), kRing);
  EXPECT_EQ(hand.ports[1].transmitting(), 1U);
  EXPECT_EQ(hand.pool.available(), 64U - kRing - 1);
  hand.ports[1].part();
  hand.ports[1].recover();
  EXPECT_EQ(hand.pool.available(), 64U);
}

}  // namespace
}  // namespace sluice::test
