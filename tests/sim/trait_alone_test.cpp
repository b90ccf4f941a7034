// SPDX-License-Identifier: Apache-2.0
// Traits that no veth pair shows, or not when it is asked to: those of
// zero-copy drivers and of bad days, and the truth about frames.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <ostream>
#include <sluice/testing/sim_kernel.hpp>
#include <string>
#include <vector>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

class SimTraits : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kFrame = 2048;
  static constexpr std::uint32_t kFrames = 64;

  explicit SimTraits(const SimPortOptions& options = {})
      : side_(kernel_.add_port(options)) {}

  void fill(std::uint64_t frame) {
    ASSERT_GE(fill_.writable(1), 1U);
    fill_[0] = frame * kFrame;
    fill_.submit(1);
  }
  void put(std::uint64_t frame) {
    ASSERT_GE(tx_.writable(1), 1U);
    tx_[0] = {frame * kFrame, 60, 0};
    tx_.submit(1);
  }
  int kick() { return kernel_.kick_tx(0); }
  bool deliver(std::size_t size = 60) {
    return side_.deliver(std::vector<std::byte>(size));
  }
  std::vector<std::uint64_t> completions() {
    std::vector<std::uint64_t> all;
    const std::uint32_t count = completion_.readable(kFrames);
    for (std::uint32_t i = 0; i < count; ++i) all.push_back(completion_[i]);
    completion_.release(count);
    return all;
  }
  void feed(Duration after) {
    side_.feed([this, after, sent = false](SimArrival& arrival) mutable {
      if (sent) return false;
      sent = true;
      arrival.at = kernel_.clock() + after;
      arrival.bytes.assign(60, std::byte{1});
      return true;
    });
  }
  Duration slept(Duration most, std::uint32_t watched) {
    const Time before = kernel_.clock();
    kernel_.wait(before + most, watched);
    return kernel_.clock() - before;
  }
  void suffer(double SimFaults::* rate, double value) {
    SimFaults faults;
    faults.*rate = value;
    kernel_.set_faults(faults);
  }
  std::uint64_t count(SimTrait trait) { return kernel_.counts()[trait]; }

  std::vector<std::byte> memory_ =
      std::vector<std::byte>(std::size_t{kFrames} * kFrame);
  SimKernel kernel_{memory_, kFrame, 1};
  SimPort& side_;
  ProducerRing<std::uint64_t> fill_{side_.rings().fill};
  ConsumerRing<xdp_desc> rx_{side_.rings().rx};
  ProducerRing<xdp_desc> tx_{side_.rings().tx};
  ConsumerRing<std::uint64_t> completion_{side_.rings().completion};
};

struct ZeroCopy : SimTraits {
  ZeroCopy() : SimTraits({.ring_size = 16, .zero_copy = true}) {}
};
struct SimMultiBuffer : SimTraits {
  SimMultiBuffer() : SimTraits({.multi_buffer = true}) {}
};
struct LateIndices : SimTraits {
  LateIndices() : SimTraits({.ring_size = 16, .start = ~0U - 7}) {}
};

TEST_F(ZeroCopy, TheDriverTakesFromTxUntilItIsEmptyThenAsks) {
  EXPECT_TRUE(tx_.needs_wakeup());
  put(1);
  kernel_.pass(1ms);
  EXPECT_EQ(tx_.unconsumed(), 1U) << "nobody kicked";
  EXPECT_EQ(kick(), 0);
  EXPECT_FALSE(tx_.needs_wakeup());
  put(2);
  kernel_.pass(1ms);
  EXPECT_EQ(tx_.unconsumed(), 0U) << "the second went by itself";
  EXPECT_TRUE(tx_.needs_wakeup());
  EXPECT_EQ(count(SimTrait::tx_driver_dry), 1U);
}

TEST_F(ZeroCopy, ADriverWithoutFramesSleepsUntilItIsWoken) {
  kernel_.pass(1ms);
  EXPECT_TRUE(fill_.needs_wakeup());
  for (std::uint64_t i = 0; i < 16; ++i) fill(i);
  EXPECT_FALSE(deliver());
  EXPECT_EQ(kernel_.wake_rx(0), 0);
  EXPECT_FALSE(fill_.needs_wakeup());
  EXPECT_TRUE(deliver());
  EXPECT_EQ(rx_.readable(16), 1U);
  EXPECT_GT(count(SimTrait::rx_driver_dry), 0U);
}

TEST_F(ZeroCopy, FramesComeBackInOrder) {
  suffer(&SimFaults::completion_late, 0.5);
  for (std::uint64_t i = 0; i < 16; ++i) put(i);
  EXPECT_EQ(kick(), 0);
  kernel_.pass(100ms);
  const auto back = completions();
  ASSERT_EQ(back.size(), 16U);
  EXPECT_TRUE(std::is_sorted(back.begin(), back.end()));
}

TEST_F(ZeroCopy, WithoutACarrierPacketsWait) {
  side_.set_carrier(false);
  put(1);
  EXPECT_EQ(kick(), 0);
  kernel_.pass(1ms);
  EXPECT_EQ(tx_.unconsumed(), 1U);
  side_.set_carrier(true);
  kernel_.pass(1ms);
  EXPECT_EQ(tx_.unconsumed(), 0U);
  EXPECT_EQ(side_.wire().sent, 1U);
}

TEST_F(SimTraits, FramesComeBackInAnyOrder) {
  suffer(&SimFaults::completion_late, 0.5);
  for (std::uint64_t i = 0; i < 32; ++i) put(i);
  EXPECT_EQ(kick(), 0);
  kernel_.pass(10us);
  const std::size_t early = completions().size();
  EXPECT_GT(early, 4U);
  EXPECT_LT(early, 28U);
  kernel_.pass(10ms);
  EXPECT_EQ(early + completions().size(), 32U);
  EXPECT_GT(count(SimTrait::completion_swapped), 0U);
}

TEST_F(LateIndices, GoPast2To32) {
  for (std::uint64_t i = 0; i < 16; ++i) {
    fill(i);
    put(32 + i);
  }
  EXPECT_EQ(kick(), 0);
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(deliver());
  kernel_.pass(1ms);
  EXPECT_EQ(rx_.readable(16), 16U);
  EXPECT_EQ(completions().size(), 16U);
  EXPECT_EQ(count(SimTrait::index_wrapped), 4U) << "each of the rings";
}

TEST_F(SimMultiBuffer, TheEndOfAChainMayComeLater) {
  suffer(&SimFaults::chain_split, 1);
  for (std::uint64_t i = 0; i < 8; ++i) fill(i);
  EXPECT_TRUE(deliver(3 * 1792));
  EXPECT_LT(rx_.readable(8), 3U);
  kernel_.pass(1ms);
  EXPECT_EQ(rx_.readable(8), 3U);
  EXPECT_EQ(count(SimTrait::rx_chain_split), 1U);
}

TEST_F(SimMultiBuffer, ADescriptorOfAChainMayBeBad) {
  suffer(&SimFaults::chain_cut, 1);
  for (std::uint64_t i = 0; i < 8; ++i) fill(i);
  EXPECT_TRUE(deliver(3 * 1792));
  ASSERT_EQ(rx_.readable(8), 3U);
  int bad = 0;
  for (std::uint32_t i = 0; i < 3; ++i) {
    bad += rx_[i].addr % kFrame + rx_[i].len > kFrame ? 1 : 0;
  }
  EXPECT_EQ(bad, 1);
  EXPECT_EQ(count(SimTrait::rx_chain_cut), 1U);
}

struct KickError {
  const char* name;
  double SimFaults::* rate;
  int code;
};
// The end of its name in ctest.
void PrintTo(const KickError& error, std::ostream* out) { *out << error.name; }
class SimKickError : public SimTraits,
                     public ::testing::WithParamInterface<KickError> {};

TEST_P(SimKickError, TakesNothing) {
  put(1);
  suffer(GetParam().rate, 1);
  EXPECT_EQ(kick(), GetParam().code);
  EXPECT_EQ(tx_.unconsumed(), 1U);
  kernel_.set_faults({});
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(side_.wire().sent, 1U);
}

INSTANTIATE_TEST_SUITE_P(
    Each, SimKickError,
    ::testing::Values(KickError{"ENOBUFS", &SimFaults::kick_enobufs, ENOBUFS},
                      KickError{"EINTR", &SimFaults::kick_eintr, EINTR}));

TEST_F(SimTraits, ADeviceMayLoseAPacketWhileTheLinkIsUp) {
  put(1);
  put(2);
  suffer(&SimFaults::tx_refused, 1);
  EXPECT_EQ(kick(), EBUSY);
  EXPECT_EQ(tx_.unconsumed(), 1U);
  kernel_.pass(1ms);
  EXPECT_EQ(completion_.readable(8), 1U);
  EXPECT_EQ(side_.wire().refused, 1U);
  EXPECT_EQ(side_.wire().sent, 0U);
}

TEST_F(SimTraits, AFlappingLinkGoesDownAtEitherEndAndComesUpByItself) {
  bool down = false;
  bool without_carrier = false;
  for (int i = 0; i < 100; ++i) {
    put(1);
    suffer(&SimFaults::link_flap, 1);
    const int error = kick();
    down |= error == ENETDOWN;
    without_carrier |= error == EBUSY;
    kernel_.set_faults({});
    kernel_.pass(SimFaults().down_max);
    EXPECT_EQ(kick(), 0);
    kernel_.pass(1ms);
    EXPECT_EQ(completions().size(), 1U);
  }
  EXPECT_TRUE(down);
  EXPECT_TRUE(without_carrier);
}

TEST_F(SimTraits, AStuckQueueTakesPacketsAndCompletesNone) {
  side_.stick(Time::never());
  put(1);
  EXPECT_EQ(kick(), 0);
  kernel_.pass(3600s);
  EXPECT_EQ(completion_.readable(8), 0U);
  EXPECT_EQ(side_.transmitting(), 1U);
  kernel_.heal();
  kernel_.pass(1us);
  EXPECT_EQ(completion_.readable(8), 1U);
}

TEST_F(SimTraits, AQueueMayGetStuckByItself) {
  suffer(&SimFaults::tx_stuck, 1);
  put(1);
  EXPECT_EQ(kick(), 0);
  kernel_.pass(1s);
  EXPECT_EQ(completion_.readable(8), 0U);
  kernel_.pass(1s);
  EXPECT_EQ(completion_.readable(8), 1U) << "and goes on after a while";
  EXPECT_EQ(count(SimTrait::tx_stuck), 1U);
}

TEST_F(SimTraits, SleepDoesNotEndForPacketsThatWereThere) {
  fill(1);
  ASSERT_TRUE(deliver());
  EXPECT_EQ(slept(1s, 1), 1s);
  EXPECT_EQ(kernel_.counts()[SimTrait::wake_missed], 1U);
}

TEST_F(SimTraits, SleepDoesNotEndForPortsThatAreNotWatched) {
  fill(1);
  feed(5ms);
  EXPECT_EQ(slept(1s, 0b10), 1s);
  EXPECT_EQ(rx_.readable(1), 1U);
}

TEST_F(SimTraits, SleepEndsForEvents) {
  kernel_.stop_at(kernel_.clock() + 3ms);
  EXPECT_EQ(slept(1s, 0), 3ms);
}

TEST_F(SimTraits, SleepMayEndForNoReason) {
  suffer(&SimFaults::wake_spurious, 1);
  EXPECT_LT(slept(1s, 1), 1ms);
  EXPECT_EQ(count(SimTrait::wake_spurious), 1U);
}

TEST_F(SimTraits, AFrameGivenToFillTwiceIsAViolation) {
  fill(5);
  kernel_.pass(1us);
  EXPECT_TRUE(kernel_.violations().empty());
  fill(5);
  kernel_.pass(1us);
  ASSERT_EQ(kernel_.violations().size(), 1U);
  EXPECT_NE(kernel_.violations()[0].find("frame 5 was put into FILL"),
            std::string::npos)
      << kernel_.violations()[0];
}

TEST_F(SimTraits, AFrameInFillThatIsSentIsAViolation) {
  fill(5);
  kernel_.pass(1us);
  put(5);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(kernel_.violations().size(), 1U);
}

TEST_F(SimTraits, AFrameInTxThatIsGivenToFillIsAViolation) {
  put(5);
  kernel_.pass(1us);
  fill(5);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(kernel_.violations().size(), 1U);
}

TEST_F(SimTraits, AFrameThatCameBackMayBeGivenAgain) {
  put(5);
  EXPECT_EQ(kick(), 0);
  kernel_.pass(1ms);
  fill(5);
  kernel_.pass(1us);
  ASSERT_TRUE(deliver());
  put(5);
  EXPECT_EQ(kick(), 0);
  EXPECT_TRUE(kernel_.violations().empty());
}

}  // namespace
}  // namespace sluice::testing
