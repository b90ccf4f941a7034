// SPDX-License-Identifier: Apache-2.0
// Scenarios of TX and COMPLETION, and of errors. For one source of a program.
#pragma once

#include "kernel_traits.hpp"

namespace sluice::testing {

TEST_P(LongRings, AKickTakes32DescriptorsAndSaysAgain) {
  put_good(100);
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_EQ(tx_->unconsumed(), 68U);
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(departed(), SizeIs(100));
  EXPECT_TRUE(side_->showed(SimTrait::kick_budget));
}

TEST_P(LongRings, AKickOf32SaysNothing) {
  put_good(32);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(tx_->unconsumed(), 0U);
}

TEST_P(GrantedBudget, AKickTakesWhatWasGranted) {
  if (side_->tx_budget() != 128) {
    GTEST_SKIP() << "This kernel has no XDP_MAX_TX_SKB_BUDGET (Linux 6.17).";
  }
  put_good(100);
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(departed(), SizeIs(100));
}

TEST_P(KernelTraits, InCopyModeTxAsksToBeKickedAndFillNever) {
  EXPECT_TRUE(tx_->needs_wakeup());
  EXPECT_FALSE(fill_->needs_wakeup());
  put_good(1);
  EXPECT_EQ(kick(), 0);
  EXPECT_FALSE(arrive()) << "FILL is empty";
  side_->pass();
  EXPECT_TRUE(tx_->needs_wakeup());
  EXPECT_FALSE(fill_->needs_wakeup());
}

TEST_P(KernelTraits, FramesComeBackWithTheAddressTheyHad) {
  write(frame(130) + 300, 60);
  put({frame(130) + 300, 60, 0});
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(completions(1), ElementsAre(frame(130) + 300));
  EXPECT_THAT(departed(), ElementsAre(60U));
}

TEST_P(KernelTraits, InvalidDescriptorsAreConsumedCountedAndComeBack) {
  const std::uint64_t outside = frame(kSideFrames) + 64;
  for (const xdp_desc& bad :
       {xdp_desc{frame(130), 0, 0}, xdp_desc{frame(131) + 2000, 100, 0},
        xdp_desc{outside, 60, 0}, xdp_desc{frame(132), 60, 1U << 7}}) {
    put(bad);
    EXPECT_EQ(kick(), 0);
    EXPECT_EQ(tx_->unconsumed(), 0U);
    EXPECT_THAT(completions(1), ElementsAre(bad.addr));
  }
  EXPECT_EQ(side_->statistics().tx_invalid, 4U);
  EXPECT_THAT(departed(), IsEmpty());
  EXPECT_TRUE(side_->showed(SimTrait::tx_invalid));
}

TEST_P(KernelTraits, AKickStopsBehindAnInvalidDescriptorAndSaysNothing) {
  put_good(2);
  put({frame(130), 0, 0});
  put_good(2);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(tx_->unconsumed(), 2U);
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(departed(), SizeIs(4));
  EXPECT_EQ(completions(5).size(), 5U);
  EXPECT_TRUE(side_->showed(SimTrait::tx_behind_invalid));
}

// XDP_TX_METADATA, where the memory was registered without room for any: the
// descriptor stays, and its frame seems to come back nevertheless, each time.
TEST_P(KernelTraits, MetadataThatCannotBeIsRefusedAndStays) {
  write(frame(130), 60);
  put({frame(130), 60, XDP_TX_METADATA});
  EXPECT_EQ(kick(), EINVAL);
  EXPECT_EQ(kick(), EINVAL);
  EXPECT_EQ(tx_->unconsumed(), 1U);
  EXPECT_THAT(completions(2), ElementsAre(frame(130), frame(130)));
  EXPECT_EQ(side_->statistics().tx_invalid, 0U);
  EXPECT_THAT(departed(), IsEmpty());
}

TEST_P(ShortRings, AFullCompletionRingBlocksTx) {
  put_good(32);
  EXPECT_EQ(kick(), 0);
  put_good(8);
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_THAT(departed(), SizeIs(32));
  EXPECT_EQ(kick(), EAGAIN) << "nobody has read COMPLETION";
  EXPECT_EQ(tx_->unconsumed(), 8U);
  EXPECT_EQ(completions(32).size(), 32U);
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(departed(), SizeIs(8));
  EXPECT_TRUE(side_->showed(SimTrait::completion_blocked));
}

TEST_P(KernelTraits, AHeldFrameComesBackBehindOneSentLater) {
  if (!side_->hold(true)) GTEST_SKIP() << "This kernel can't redirect.";
  put_good(1);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(tx_->unconsumed(), 0U) << "taken";
  for (int i = 0; i < 20; ++i) side_->pass();
  EXPECT_EQ(completion_->readable(8), 0U) << "and not completed";
  ASSERT_TRUE(side_->hold(false));
  put_good(1);
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(completions(1), ElementsAre(frame(129)));
  side_->let_go();
  EXPECT_THAT(completions(1), ElementsAre(frame(128)));
  EXPECT_TRUE(side_->showed(SimTrait::completion_late));
  EXPECT_TRUE(side_->showed(SimTrait::completion_swapped));
}

TEST_P(KernelTraits, AKickMaySayAgainAndTakeNothing) {
  if (!side_->crowd(true)) GTEST_SKIP() << "This kernel can't redirect.";
  put_good(32);
  EXPECT_EQ(kick(), EAGAIN);
  const std::uint32_t left = tx_->unconsumed();
  EXPECT_GT(left, 0U);
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_EQ(tx_->unconsumed(), left);
  ASSERT_TRUE(side_->crowd(false));
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(completions(32).size(), 32U);
  EXPECT_TRUE(side_->showed(SimTrait::kick_eagain));
}

TEST_P(MultiBuffer, AChainIsSentAsOnePacketEvenIfTwoKicksTakeIt) {
  put_good(31);
  write(frame(1), 100);
  put({frame(1), 100, XDP_PKT_CONTD});
  put({frame(2), 50, 0});
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_EQ(departed(), std::vector<std::size_t>(31, 60));
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(departed(), ElementsAre(150U));
  EXPECT_EQ(completions(33).size(), 33U);
  EXPECT_TRUE(side_->showed(SimTrait::tx_chain));
}

TEST_P(MultiBuffer, AChainMayHave18Segments) {
  write(frame(128), 60);
  for (std::uint64_t i = 0; i < 18; ++i) {
    put({frame(128 + i), 60, i < 17 ? XDP_PKT_CONTD : 0U});
  }
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(departed(), ElementsAre(18 * 60U));
  EXPECT_EQ(completions(18).size(), 18U);
}

TEST_P(MultiBuffer, ALongerChainIsDroppedToItsEnd) {
  for (std::uint64_t i = 0; i < 30; ++i) {
    write(frame(128 + i), 60);
    put({frame(128 + i), 60, i < 29 ? XDP_PKT_CONTD : 0U});
  }
  put({frame(128), 60, 0});
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(departed(), ElementsAre(60U));
  EXPECT_EQ(completions(31).size(), 31U);
  EXPECT_EQ(side_->statistics().tx_invalid, 30U) << "descriptors";
  EXPECT_TRUE(side_->showed(SimTrait::tx_oversized));
}

TEST_P(MultiBuffer, ABadDescriptorTakesItsChainWithIt) {
  write(frame(128), 100);
  put({frame(128), 100, XDP_PKT_CONTD});
  put({frame(129), 0, XDP_PKT_CONTD});
  write(frame(130), 100);
  put({frame(130), 100, XDP_PKT_CONTD});
  write(frame(131), 100);
  put({frame(131), 100, 0});
  write(frame(132), 60);
  put({frame(132), 60, 0});
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(tx_->unconsumed(), 3U) << "a kick ends there";
  EXPECT_THAT(completions(2), ElementsAre(frame(128), frame(129)));
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(departed(), ElementsAre(60U));
  EXPECT_THAT(completions(3),
              UnorderedElementsAre(frame(130), frame(131), frame(132)));
  EXPECT_EQ(side_->statistics().tx_invalid, 4U);
}

TEST_P(MultiBuffer, ABadDescriptorMayEndItsChain) {
  write(frame(128), 100);
  put({frame(128), 100, XDP_PKT_CONTD});
  put({frame(129), 0, 0});
  put_good(1);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(departed(), ElementsAre(60U));
  EXPECT_EQ(completions(3).size(), 3U);
  EXPECT_EQ(side_->statistics().tx_invalid, 2U);
}

TEST_P(KernelTraits, WithoutACarrierPacketsAreTakenAndLostAndThatIsBusy) {
  fill(1);
  side_->set_carrier(false);
  put_good(2);
  EXPECT_EQ(kick(), EBUSY);
  EXPECT_EQ(tx_->unconsumed(), 1U);
  EXPECT_EQ(kick(), EBUSY);
  EXPECT_EQ(tx_->unconsumed(), 0U);
  EXPECT_EQ(completions(2).size(), 2U);
  EXPECT_FALSE(arrive());
  EXPECT_TRUE(side_->told_of_link(false));
  side_->set_carrier(true);
  EXPECT_TRUE(side_->told_of_link(true));
  put_good(1);
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(departed(), SizeIs(1));
  EXPECT_TRUE(arrive());
  EXPECT_TRUE(side_->showed(SimTrait::tx_refused));
}

TEST_P(KernelTraits, ASocketWithoutADeviceTakesNothing) {
  put_good(1);
  side_->unbind();
  EXPECT_EQ(kick(), ENXIO);
  EXPECT_EQ(tx_->unconsumed(), 1U);
  EXPECT_TRUE(side_->showed(SimTrait::kick_enxio));
}

TEST_P(KernelTraits, ALinkThatIsDownRefusesAllAndIsAnEvent) {
  fill(1);
  put_good(1);
  side_->set_link(false);
  EXPECT_EQ(kick(), ENETDOWN);
  EXPECT_EQ(side_->kernel().wake_rx(0), ENETDOWN);
  EXPECT_EQ(tx_->unconsumed(), 1U);
  EXPECT_FALSE(arrive());
  EXPECT_TRUE(side_->told_of_link(false));
  side_->set_link(true);
  EXPECT_TRUE(side_->told_of_link(true));
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(departed(), SizeIs(1));
  EXPECT_TRUE(arrive());
  EXPECT_TRUE(side_->showed(SimTrait::kick_enetdown));
  EXPECT_TRUE(side_->showed(SimTrait::rx_link_down));
  EXPECT_TRUE(side_->showed(SimTrait::link_down));
  EXPECT_TRUE(side_->showed(SimTrait::link_up));
}

}  // namespace sluice::testing
