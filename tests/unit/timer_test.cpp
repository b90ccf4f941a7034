// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <sluice/timer.hpp>
#include <utility>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr Time kStart{1'000'000};

TEST(TimersTest, WithoutTimersNothingIsEverDue) {
  Timers timers;
  EXPECT_EQ(timers.next(), Time::never());
  EXPECT_EQ(timers.run(kStart), 0U);
}

TEST(TimersTest, RunsAtEveryPeriodAndNotBefore) {
  Timers timers;
  int ran = 0;
  timers.every(10ms, kStart, [&ran] { ++ran; });
  EXPECT_EQ(timers.next(), kStart + 10ms);
  EXPECT_EQ(timers.run(kStart + 9'999us), 0U);
  EXPECT_EQ(timers.run(kStart + 10ms), 1U);
  EXPECT_EQ(timers.run(kStart + 10ms), 0U);
  EXPECT_EQ(timers.next(), kStart + 20ms);
  EXPECT_EQ(timers.run(kStart + 21ms), 1U);
  EXPECT_EQ(timers.next(), kStart + 30ms) << "no drift from being late";
  EXPECT_EQ(ran, 2);
}

TEST(TimersTest, ALateLoopDoesNotMakeUpForLostPeriods) {
  Timers timers;
  int ran = 0;
  timers.every(10ms, kStart, [&ran] { ++ran; });
  EXPECT_EQ(timers.run(kStart + 1s), 1U);
  EXPECT_EQ(timers.run(kStart + 1s), 0U);
  EXPECT_EQ(timers.next(), kStart + 1010ms);
  EXPECT_EQ(ran, 1);
}

TEST(TimersTest, TheSoonestOfSeveralIsNext) {
  Timers timers;
  int slow = 0;
  int fast = 0;
  timers.every(25ms, kStart, [&slow] { ++slow; });
  timers.every(10ms, kStart, [&fast] { ++fast; });
  for (auto at = 1ms; at <= 100ms; at += 1ms) (void)timers.run(kStart + at);
  EXPECT_EQ(slow, 4);
  EXPECT_EQ(fast, 10);
}

TEST(TimersTest, ATimerMayAddAnother) {
  Timers timers;
  int second = 0;
  bool added = false;
  timers.every(10ms, kStart, [&] {
    if (std::exchange(added, true)) return;
    timers.every(1ms, kStart + 10ms, [&second] { ++second; });
  });
  EXPECT_EQ(timers.run(kStart + 10ms), 1U);
  EXPECT_EQ(timers.next(), kStart + 11ms);
  EXPECT_EQ(timers.run(kStart + 11ms), 1U);
  EXPECT_EQ(second, 1);
}

}  // namespace
}  // namespace sluice
