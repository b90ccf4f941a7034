// SPDX-License-Identifier: Apache-2.0
// Errors, links, sleep and the truth about frames, on rings played by hand.
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <sluice/testing/sim_kernel.hpp>
#include <string>
#include <vector>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kFrame = 2048;

class SimErrorTest : public ::testing::Test {
 protected:
  void fill(std::uint64_t frame) {
    fill_[0] = frame * kFrame;
    fill_.submit(1);
  }
  void put(std::uint64_t frame) {
    ASSERT_GE(tx_.writable(1), 1U);
    tx_[0] = {frame * kFrame, 60, 0};
    tx_.submit(1);
  }
  int kick() { return kernel_.kick_tx(0); }
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

  std::vector<std::byte> memory_ = std::vector<std::byte>(64 * kFrame);
  SimKernel kernel_{memory_, kFrame, 1};
  SimPort& side_ = kernel_.add_port({});
  ProducerRing<std::uint64_t> fill_{side_.rings().fill};
  ConsumerRing<xdp_desc> rx_{side_.rings().rx};
  ProducerRing<xdp_desc> tx_{side_.rings().tx};
  ConsumerRing<std::uint64_t> completion_{side_.rings().completion};
  SimFaults faults_;
};

struct KickError {
  const char* name;
  double SimFaults::* rate;
  int code;
};
class SimKickErrorTest : public SimErrorTest,
                         public ::testing::WithParamInterface<KickError> {};

TEST_P(SimKickErrorTest, TakesNothing) {
  put(1);
  faults_.*GetParam().rate = 1;
  kernel_.set_faults(faults_);
  EXPECT_EQ(kick(), GetParam().code);
  EXPECT_EQ(tx_.unconsumed(), 1U);
  kernel_.set_faults({});
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(side_.wire().sent, 1U);
}

INSTANTIATE_TEST_SUITE_P(
    Each, SimKickErrorTest,
    ::testing::Values(KickError{"ENXIO", &SimFaults::kick_enxio, ENXIO},
                      KickError{"ENOBUFS", &SimFaults::kick_enobufs, ENOBUFS},
                      KickError{"EINTR", &SimFaults::kick_eintr, EINTR},
                      KickError{"EAGAIN", &SimFaults::kick_eagain, EAGAIN}),
    [](const auto& each) { return std::string(each.param.name); });

TEST_F(SimErrorTest, EbusyLosesThePacketAndCompletesItsFrame) {
  put(1);
  put(2);
  faults_.tx_refused = 1;
  kernel_.set_faults(faults_);
  EXPECT_EQ(kick(), EBUSY);
  EXPECT_EQ(tx_.unconsumed(), 1U);
  kernel_.pass(1ms);
  EXPECT_EQ(completion_.readable(8), 1U);
  EXPECT_EQ(side_.wire().refused, 1U);
  EXPECT_EQ(side_.wire().sent, 0U);
}

TEST_F(SimErrorTest, ALinkThatIsDownRefusesAllAndIsAnEvent) {
  fill(1);
  put(2);
  side_.set_link(false);
  EXPECT_EQ(kick(), ENETDOWN);
  EXPECT_EQ(kernel_.wake_rx(0), ENETDOWN);
  EXPECT_EQ(tx_.unconsumed(), 1U);
  EXPECT_FALSE(side_.deliver(std::vector<std::byte>(60)));
  EXPECT_EQ(side_.wire().dropped_link_down, 1U);
  Event event;
  ASSERT_TRUE(kernel_.next_event(event));
  EXPECT_EQ(event.kind, Event::Kind::link_down);
  side_.set_link(true);
  ASSERT_TRUE(kernel_.next_event(event));
  EXPECT_EQ(event.kind, Event::Kind::link_up);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(side_.wire().sent, 1U);
}

TEST_F(SimErrorTest, AFlappingLinkComesUpByItself) {
  faults_.link_flap = 1;
  kernel_.set_faults(faults_);
  EXPECT_EQ(kick(), ENETDOWN);
  kernel_.set_faults({});
  kernel_.pass(faults_.down_max);
  EXPECT_EQ(kick(), 0);
}

TEST_F(SimErrorTest, AStuckQueueTakesPacketsAndCompletesNone) {
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

TEST_F(SimErrorTest, SleepEndsWithAPacketThatArrives) {
  fill(1);
  feed(5ms);
  const Duration took = slept(1s, 1);
  EXPECT_GE(took, 5ms);
  EXPECT_LT(took, 6ms);
}

TEST_F(SimErrorTest, SleepDoesNotEndForPacketsThatWereThere) {
  fill(1);
  ASSERT_TRUE(side_.deliver(std::vector<std::byte>(60)));
  EXPECT_EQ(slept(1s, 1), 1s);
  EXPECT_EQ(kernel_.counts()[SimTrait::wake_missed], 1U);
}

TEST_F(SimErrorTest, SleepDoesNotEndForPortsThatAreNotWatched) {
  fill(1);
  feed(5ms);
  EXPECT_EQ(slept(1s, 0b10), 1s);
  EXPECT_EQ(rx_.readable(1), 1U);
}

TEST_F(SimErrorTest, SleepDoesNotEndForALostPacketOrACompletion) {
  put(1);
  EXPECT_EQ(kick(), 0);
  feed(5ms);
  EXPECT_EQ(slept(1s, 1), 1s);
  EXPECT_EQ(side_.wire().dropped_fill_empty, 1U);
  EXPECT_EQ(completion_.readable(1), 1U);
}

TEST_F(SimErrorTest, SleepEndsForEvents) {
  kernel_.stop_at(kernel_.clock() + 3ms);
  EXPECT_EQ(slept(1s, 0), 3ms);
}

TEST_F(SimErrorTest, SleepMayEndForNoReason) {
  faults_.wake_spurious = 1;
  kernel_.set_faults(faults_);
  EXPECT_LT(slept(1s, 1), 1ms);
}

TEST_F(SimErrorTest, AFrameGivenToFillTwiceIsAViolation) {
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

TEST_F(SimErrorTest, AFrameInFillThatIsSentIsAViolation) {
  fill(5);
  kernel_.pass(1us);
  put(5);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(kernel_.violations().size(), 1U);
}

TEST_F(SimErrorTest, AFrameInTxThatIsGivenToFillIsAViolation) {
  put(5);
  kernel_.pass(1us);
  fill(5);
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(kernel_.violations().size(), 1U);
}

TEST_F(SimErrorTest, AFrameThatCameBackMayBeGivenAgain) {
  put(5);
  EXPECT_EQ(kick(), 0);
  kernel_.pass(1ms);
  fill(5);
  kernel_.pass(1us);
  ASSERT_TRUE(side_.deliver(std::vector<std::byte>(60)));
  put(5);
  EXPECT_EQ(kick(), 0);
  EXPECT_TRUE(kernel_.violations().empty());
}

TEST_F(SimErrorTest, FillMayNameNoFrameAndThatIsCounted) {
  fill(1000);
  EXPECT_FALSE(side_.deliver(std::vector<std::byte>(60)));
  EXPECT_EQ(kernel_.counts()[SimTrait::fill_invalid], 1U);
}

}  // namespace
}  // namespace sluice::testing
