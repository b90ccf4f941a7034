// SPDX-License-Identifier: Apache-2.0
// Scenarios of FILL, RX and sleep. For one source of a program.
#pragma once

#include "kernel_traits.hpp"

namespace sluice::testing {

TEST_P(KernelTraits, WithoutFramesInFillPacketsAreLostAndCounted) {
  fill(2);
  EXPECT_TRUE(arrive());
  EXPECT_TRUE(arrive());
  EXPECT_FALSE(arrive());
  EXPECT_EQ(side_->statistics().fill_empty, 1U);
  fill(1);
  EXPECT_TRUE(arrive());
  EXPECT_TRUE(side_->showed(SimTrait::rx_fill_empty));
}

TEST_P(ShortRings, WithoutRoomInRxPacketsAreLostAndTheFrameStays) {
  fill(36);
  for (int i = 0; i < 32; ++i) EXPECT_TRUE(arrive());
  EXPECT_FALSE(arrive());
  EXPECT_EQ(side_->statistics().rx_ring_full, 1U);
  EXPECT_EQ(side_->statistics().fill_empty, 0U);
  ASSERT_EQ(rx_->readable(32), 32U);
  rx_->release(32);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(arrive());
  EXPECT_FALSE(arrive()) << "that was all of FILL";
  EXPECT_EQ(side_->statistics().fill_empty, 1U);
  EXPECT_TRUE(side_->showed(SimTrait::rx_ring_full));
}

TEST_P(KernelTraits, APacketBegins256BytesIntoItsFrame) {
  fill(1);
  ASSERT_TRUE(arrive(60));
  ASSERT_EQ(rx_->readable(1), 1U);
  EXPECT_EQ((*rx_)[0].addr, 256U);
  EXPECT_EQ((*rx_)[0].len, 60U);
  EXPECT_EQ((*rx_)[0].options, 0U);
  const Bytes sent = packet(60);
  EXPECT_TRUE(std::ranges::equal(side_->memory().subspan(256, 60), sent));
}

TEST_P(KernelTraits, AnAddressInsideOfAFrameStandsForTheFrame) {
  fill_address(frame(3) + 777);
  ASSERT_TRUE(arrive());
  ASSERT_EQ(rx_->readable(1), 1U);
  EXPECT_EQ((*rx_)[0].addr, frame(3) + 256);
}

// XDP_STATISTICS has rx_invalid_descs, but of RX, where there are none.
TEST_P(KernelTraits, WhatNamesNoFrameInFillIsPassedOverAndNobodyIsTold) {
  fill_address(frame(1000));
  EXPECT_FALSE(arrive());
  EXPECT_EQ(side_->statistics().fill_empty, 1U);
  fill_address(frame(1000));
  fill(1);
  EXPECT_TRUE(arrive()) << "the next is taken";
  EXPECT_EQ(side_->statistics().rx_invalid, 0U);
  EXPECT_TRUE(side_->showed(SimTrait::fill_invalid));
}

TEST_P(KernelTraits, WithoutSgALargePacketIsLost) {
  fill(8);
  EXPECT_TRUE(arrive(kSideRoom));
  EXPECT_FALSE(arrive(kSideRoom + 1));
  EXPECT_EQ(side_->statistics().rx_dropped, 1U);
  EXPECT_EQ(side_->statistics().fill_empty, 0U);
  EXPECT_TRUE(side_->showed(SimTrait::rx_too_large));
}

TEST_P(MultiBuffer, ALargePacketComesAsAChain) {
  fill(8);
  EXPECT_TRUE(arrive(2 * kSideRoom + 5));
  ASSERT_EQ(rx_->readable(8), 3U);
  Bytes got;
  for (std::uint32_t i = 0; i < 3; ++i) {
    const xdp_desc& desc = (*rx_)[i];
    EXPECT_EQ(desc.options, i < 2 ? XDP_PKT_CONTD : 0U);
    EXPECT_EQ(desc.len, i < 2 ? kSideRoom : 5U);
    const auto bytes = side_->memory().subspan(desc.addr, desc.len);
    got.insert(got.end(), bytes.begin(), bytes.end());
  }
  EXPECT_EQ(got, packet(2 * kSideRoom + 5));
  EXPECT_TRUE(side_->showed(SimTrait::rx_chain));
}

TEST_P(MultiBuffer, AChainThatLacksAFrameIsLostWhole) {
  fill(2);
  EXPECT_FALSE(arrive(2 * kSideRoom + 5));
  EXPECT_EQ(rx_->readable(8), 0U);
  EXPECT_EQ(side_->statistics().rx_dropped, 1U);
  EXPECT_TRUE(arrive(kSideRoom + 1)) << "the frames are there yet";
  EXPECT_EQ(rx_->readable(8), 2U);
}

TEST_P(MultiBuffer, AChainMayBeLongerThanOneThatCanBeSent) {
  fill(20);
  EXPECT_TRUE(arrive(18 * kSideRoom + 1));
  EXPECT_EQ(rx_->readable(20), 19U);
  EXPECT_TRUE(side_->showed(SimTrait::rx_chain_overlong));
}

TEST_P(KernelTraits, AFrameThatCameBackMayBeGivenAgain) {
  write(frame(5), 60);
  put({frame(5), 60, 0});
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(completions(1), ElementsAre(frame(5)));
  fill_address(frame(5));
  ASSERT_TRUE(arrive());
  ASSERT_EQ(rx_->readable(1), 1U);
  const xdp_desc got = (*rx_)[0];
  rx_->release(1);
  write(got.addr, got.len);
  put(got);
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(completions(1), ElementsAre(frame(5) + 256));
  EXPECT_THAT(departed(), ElementsAre(60U, 60U));
}

TEST_P(KernelTraits, SleepEndsWithAPacketThatArrives) {
  fill(1);
  side_->arrive_later(packet(60));
  const Time deadline = side_->kernel().now() + 30s;
  // It may end early for no reason.
  while (rx_->readable(1) == 0 && side_->kernel().now() < deadline) {
    side_->kernel().wait(deadline, 1);
  }
  EXPECT_EQ(rx_->readable(1), 1U);
  EXPECT_LT(side_->kernel().now(), deadline);
}

TEST_P(KernelTraits, SleepDoesNotEndForALostPacketOrACompletion) {
  put_good(1);
  EXPECT_EQ(kick(), 0);
  side_->arrive_later(packet(60));
  const Time deadline = side_->kernel().now() + 50ms;
  side_->kernel().wait(deadline, 1);
  EXPECT_GE(side_->kernel().now(), deadline);
  for (int i = 0; i < 5000 && side_->statistics().fill_empty == 0; ++i) {
    side_->pass();
  }
  EXPECT_EQ(side_->statistics().fill_empty, 1U);
  EXPECT_EQ(rx_->readable(1), 0U);
  EXPECT_EQ(completion_->readable(1), 1U);
}

}  // namespace sluice::testing
