// SPDX-License-Identifier: Apache-2.0
// Each trait of the kernel, on rings played by hand: what holds of Linux
// (net/xdp/xsk.c, and measured on veth) holds of the simulated kernel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <sluice/testing/sim_kernel.hpp>
#include <vector>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

constexpr std::uint32_t kFrame = 2048;
constexpr std::uint32_t kFrames = 256;

// User space's end of one port, without a Port: it may do what a Port never
// does.
class TraitTest : public ::testing::Test {
 protected:
  explicit TraitTest(const SimPortOptions& options = {})
      : side_(kernel_.add_port(options)) {
    side_.watch([this](const SimDeparture& departure) {
      fates_.push_back(departure.fate);
    });
  }

  void fill(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      ASSERT_GE(fill_.writable(1), 1U);
      fill_[0] = next_frame_++ * kFrame;
      fill_.submit(1);
    }
  }
  void put(const xdp_desc& desc) {
    ASSERT_GE(tx_.writable(1), 1U);
    tx_[0] = desc;
    tx_.submit(1);
  }
  void put_good(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      put({(128 + sent_++ % 128) * std::uint64_t{kFrame}, 60, 0});
    }
  }
  bool deliver(std::size_t size = 60) {
    return side_.deliver(std::vector<std::byte>(size, std::byte{7}));
  }
  std::vector<std::uint64_t> completions() {
    std::vector<std::uint64_t> all;
    const std::uint32_t count = completion_.readable(256);
    for (std::uint32_t i = 0; i < count; ++i) all.push_back(completion_[i]);
    completion_.release(count);
    return all;
  }
  int kick() { return kernel_.kick_tx(0); }
  std::uint64_t count(SimTrait trait) { return kernel_.counts()[trait]; }

  std::vector<std::byte> memory_ =
      std::vector<std::byte>(std::size_t{kFrame} * kFrames);
  SimKernel kernel_{memory_, kFrame, 1};
  SimPort& side_;
  ProducerRing<std::uint64_t> fill_{side_.rings().fill};
  ConsumerRing<xdp_desc> rx_{side_.rings().rx};
  ProducerRing<xdp_desc> tx_{side_.rings().tx};
  ConsumerRing<std::uint64_t> completion_{side_.rings().completion};
  std::uint64_t next_frame_ = 0;
  std::uint64_t sent_ = 0;
  std::vector<SimFate> fates_;
  SimFaults faults_;
};

struct LongRings : TraitTest {
  LongRings() : TraitTest({.ring_size = 128}) {}
};
struct GrantedBudget : TraitTest {
  GrantedBudget() : TraitTest({.ring_size = 128, .tx_budget = 128}) {}
};
struct ShortCompletion : TraitTest {
  ShortCompletion() : TraitTest({.completion_size = 8}) {}
};
struct ZeroCopy : TraitTest {
  ZeroCopy() : TraitTest({.ring_size = 16, .zero_copy = true}) {}
};
struct MultiBuffer : TraitTest {
  MultiBuffer() : TraitTest({.multi_buffer = true}) {}
};
struct LateIndices : TraitTest {
  LateIndices() : TraitTest({.ring_size = 16, .start = ~0U - 7}) {}
};

TEST_F(LongRings, AKickTakes32DescriptorsAndSaysAgain) {
  put_good(100);
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_EQ(tx_.unconsumed(), 68U);
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(side_.wire().sent, 100U);
  EXPECT_EQ(count(SimTrait::kick_budget), 3U);
}

TEST_F(LongRings, AKickOf32SaysNothing) {
  put_good(32);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(tx_.unconsumed(), 0U);
}

TEST_F(GrantedBudget, AKickTakesWhatWasGranted) {
  put_good(100);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(side_.wire().sent, 100U);
}

TEST_F(TraitTest, InCopyModeTxAsksToBeKickedAndFillNever) {
  EXPECT_TRUE(tx_.needs_wakeup());
  EXPECT_FALSE(fill_.needs_wakeup());
  put_good(1);
  EXPECT_EQ(kick(), 0);
  EXPECT_FALSE(deliver()) << "FILL is empty";
  kernel_.pass(1ms);
  EXPECT_TRUE(tx_.needs_wakeup());
  EXPECT_FALSE(fill_.needs_wakeup());
}

TEST_F(ZeroCopy, TheDriverTakesFromTxUntilItIsEmptyThenAsks) {
  EXPECT_TRUE(tx_.needs_wakeup());
  put_good(1);
  kernel_.pass(1ms);
  EXPECT_EQ(tx_.unconsumed(), 1U) << "nobody kicked";
  EXPECT_EQ(kick(), 0);
  EXPECT_FALSE(tx_.needs_wakeup());
  put_good(1);
  kernel_.pass(1ms);
  EXPECT_EQ(tx_.unconsumed(), 0U) << "the second went by itself";
  EXPECT_TRUE(tx_.needs_wakeup());
  EXPECT_EQ(count(SimTrait::tx_driver_dry), 1U);
}

TEST_F(ZeroCopy, ADriverWithoutFramesSleepsUntilItIsWoken) {
  kernel_.pass(1ms);
  EXPECT_TRUE(fill_.needs_wakeup());
  fill(16);
  EXPECT_FALSE(deliver());
  EXPECT_EQ(kernel_.wake_rx(0), 0);
  EXPECT_FALSE(fill_.needs_wakeup());
  EXPECT_TRUE(deliver());
  EXPECT_EQ(rx_.readable(16), 1U);
}

TEST_F(ZeroCopy, FramesComeBackInOrder) {
  faults_.completion_late = 0.5;
  kernel_.set_faults(faults_);
  put_good(16);
  EXPECT_EQ(kick(), 0);
  kernel_.pass(100ms);
  const auto back = completions();
  ASSERT_EQ(back.size(), 16U);
  EXPECT_TRUE(std::is_sorted(back.begin(), back.end()));
}

TEST_F(TraitTest, InvalidDescriptorsAreConsumedCountedAndComeBackAsTheyWere) {
  const std::uint64_t outside = std::uint64_t{kFrame} * kFrames + 64;
  for (const xdp_desc& bad :
       {xdp_desc{130 * kFrame, 0, 0}, xdp_desc{131 * kFrame + 2000, 100, 0},
        xdp_desc{outside, 60, 0}, xdp_desc{132 * kFrame, 60, 1U << 7}}) {
    put(bad);
    EXPECT_EQ(kick(), 0);
    EXPECT_EQ(tx_.unconsumed(), 0U);
    kernel_.pass(1ms);
    EXPECT_THAT(completions(), ElementsAre(bad.addr));
  }
  EXPECT_EQ(side_.wire().invalid, 4U);
  EXPECT_EQ(side_.wire().sent, 0U);
}

TEST_F(TraitTest, AKickStopsBehindAnInvalidDescriptorAndSaysNothing) {
  put_good(2);
  put({130 * kFrame, 0, 0});
  put_good(2);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(tx_.unconsumed(), 2U);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(side_.wire().sent, 4U);
  EXPECT_EQ(count(SimTrait::tx_behind_invalid), 1U);
}

TEST_F(ShortCompletion, AFullCompletionRingBlocksTx) {
  put_good(20);
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_EQ(side_.wire().sent, 8U);
  kernel_.pass(1ms);
  EXPECT_EQ(kick(), EAGAIN) << "nobody has read COMPLETION";
  EXPECT_EQ(side_.wire().sent, 8U);
  EXPECT_EQ(completions().size(), 8U);
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_EQ(side_.wire().sent, 16U);
}

TEST_F(TraitTest, FramesComeBackLateAndInAnyOrder) {
  faults_.completion_late = 0.5;
  kernel_.set_faults(faults_);
  put_good(32);
  EXPECT_EQ(kick(), 0);
  kernel_.pass(10us);
  const std::size_t early = completions().size();
  EXPECT_GT(early, 4U);
  EXPECT_LT(early, 28U);
  kernel_.pass(10ms);
  EXPECT_EQ(early + completions().size(), 32U);
  EXPECT_GT(count(SimTrait::completion_swapped), 0U);
}

TEST_F(TraitTest, WithoutFramesInFillPacketsAreLostAndCounted) {
  fill(2);
  EXPECT_TRUE(deliver());
  EXPECT_TRUE(deliver());
  EXPECT_FALSE(deliver());
  EXPECT_EQ(side_.wire().dropped_fill_empty, 1U);
  fill(1);
  EXPECT_TRUE(deliver());
}

TEST_F(LateIndices, WithoutRoomInRxPacketsAreLostAndTheFrameStays) {
  fill(20);
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(deliver());
  EXPECT_FALSE(deliver());
  EXPECT_EQ(side_.wire().dropped_rx_full, 1U);
  EXPECT_EQ(side_.receiving(), 20U);
  ASSERT_EQ(rx_.readable(16), 16U);
  rx_.release(16);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(deliver());
  EXPECT_GT(count(SimTrait::index_wrapped), 0U);
}

TEST_F(TraitTest, APacketBegins256BytesIntoItsFrame) {
  fill(1);
  ASSERT_TRUE(deliver(60));
  ASSERT_EQ(rx_.readable(1), 1U);
  EXPECT_EQ(rx_[0].addr, 256U);
  EXPECT_EQ(rx_[0].len, 60U);
  EXPECT_EQ(memory_[256], std::byte{7});
}

TEST_F(TraitTest, AnAddressInsideOfAFrameStandsForTheFrame) {
  fill_[0] = 3 * kFrame + 777;
  fill_.submit(1);
  ASSERT_TRUE(deliver());
  ASSERT_EQ(rx_.readable(1), 1U);
  EXPECT_EQ(rx_[0].addr, 3 * kFrame + 256);
}

TEST_F(TraitTest, WithoutSgALargePacketIsLost) {
  fill(8);
  EXPECT_TRUE(deliver(1792));
  EXPECT_FALSE(deliver(1793));
  EXPECT_EQ(side_.wire().dropped_too_large, 1U);
}

TEST_F(MultiBuffer, ALargePacketComesAsAChain) {
  fill(8);
  EXPECT_TRUE(deliver(2 * 1792 + 5));
  ASSERT_EQ(rx_.readable(8), 3U);
  EXPECT_EQ(rx_[0].options, std::uint32_t{XDP_PKT_CONTD});
  EXPECT_EQ(rx_[1].options, std::uint32_t{XDP_PKT_CONTD});
  EXPECT_EQ(rx_[2].options, 0U);
  EXPECT_EQ(rx_[2].len, 5U);
}

TEST_F(MultiBuffer, AChainThatLacksAFrameIsLostWhole) {
  fill(2);
  EXPECT_FALSE(deliver(2 * 1792 + 5));
  EXPECT_EQ(rx_.readable(8), 0U);
  EXPECT_EQ(side_.receiving(), 2U);
}

TEST_F(MultiBuffer, TheEndOfAChainMayComeLater) {
  faults_.chain_split = 1;
  kernel_.set_faults(faults_);
  fill(8);
  EXPECT_TRUE(deliver(3 * 1792));
  EXPECT_LT(rx_.readable(8), 3U);
  kernel_.pass(1ms);
  EXPECT_EQ(rx_.readable(8), 3U);
}

TEST_F(MultiBuffer, AChainIsSentAsOnePacketEvenIfTwoKicksTakeIt) {
  put_good(31);
  put({128 * kFrame, 100, XDP_PKT_CONTD});
  put({129 * kFrame, 50, 0});
  EXPECT_EQ(kick(), EAGAIN);
  EXPECT_EQ(side_.wire().sent, 31U);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(side_.wire().sent, 32U);
  EXPECT_EQ(side_.wire().sent_bytes, 31 * 60U + 150U);
}

TEST_F(MultiBuffer, ALongerChainThanThereMayBeIsDropped) {
  for (std::uint64_t i = 0; i < 19; ++i) {
    put({(128 + i) * kFrame, 60, i < 18 ? XDP_PKT_CONTD : 0U});
  }
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(fates_, ElementsAre(SimFate::oversized));
  kernel_.pass(1ms);
  EXPECT_EQ(completions().size(), 19U);
}

TEST_F(MultiBuffer, ABadDescriptorTakesItsChainWithIt) {
  put({128 * kFrame, 100, XDP_PKT_CONTD});
  put({129 * kFrame, 0, 0});
  EXPECT_EQ(kick(), 0);
  kernel_.pass(1ms);
  EXPECT_EQ(completions().size(), 2U);
  EXPECT_EQ(side_.wire().sent, 0U);
  EXPECT_THAT(fates_, ElementsAre(SimFate::invalid));
}

}  // namespace
}  // namespace sluice::testing
