// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <random>
#include <sluice/ring.hpp>

#include "fake_kernel.hpp"

namespace sluice::test {
namespace {

using Hand = HandRing<std::uint64_t>;
using Consumer = ConsumerRing<std::uint64_t>;
using Producer = ProducerRing<std::uint64_t>;

constexpr std::uint32_t kSize = 8;
constexpr std::uint32_t kNearWrap = 0xffff'fffd;

class RingTest : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  Hand hand_{kSize, GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Starts, RingTest,
                         ::testing::Values(0U, 5U, 0x7fff'fffeU, kNearWrap));

TEST_P(RingTest, AnEmptyRingHasNothingToRead) {
  Consumer ring(hand_.memory());
  EXPECT_EQ(ring.readable(64), 0U);
  EXPECT_EQ(ring.size(), kSize);
}

TEST_P(RingTest, ReadsAFullRingAcrossTheWrap) {
  Consumer ring(hand_.memory());
  for (std::uint64_t i = 0; i < kSize; ++i) hand_.push(100 + i);
  ASSERT_EQ(ring.readable(64), kSize);
  for (std::uint32_t i = 0; i < kSize; ++i) EXPECT_EQ(ring[i], 100 + i);
  std::uint64_t next = 100;
  for (const auto run : ring.unread(kSize)) {
    for (const std::uint64_t entry : run) EXPECT_EQ(entry, next++);
  }
  EXPECT_EQ(next, 100 + kSize);
  EXPECT_EQ(hand_.used(), kSize) << "looking must not consume";
  ring.release(kSize);
  EXPECT_EQ(hand_.used(), 0U);
  EXPECT_EQ(ring.readable(1), 0U);
}

TEST_P(RingTest, ReleasesOnlyWhatItIsTold) {
  Consumer ring(hand_.memory());
  for (std::uint64_t i = 0; i < 5; ++i) hand_.push(i);
  ASSERT_EQ(ring.readable(5), 5U);
  ring.release(2);
  EXPECT_EQ(hand_.used(), 3U);
  EXPECT_EQ(ring.readable(64), 3U);
  EXPECT_EQ(ring[0], 2U);
}

TEST_P(RingTest, LooksAtTheProducerAgainOnlyWhenTheCacheHasTooLittle) {
  Consumer ring(hand_.memory());
  hand_.push(1);
  EXPECT_EQ(ring.readable(1), 1U);
  hand_.push(2);
  EXPECT_EQ(ring.readable(1), 1U) << "the limit holds";
  EXPECT_EQ(ring.readable(2), 2U) << "a stale index is read afresh";
}

TEST_P(RingTest, AFullRingHasNoRoom) {
  Producer ring(hand_.memory());
  ASSERT_EQ(ring.writable(64), kSize);
  for (std::uint32_t i = 0; i < kSize; ++i) ring[i] = i;
  EXPECT_EQ(hand_.used(), 0U) << "writing must not submit";
  ring.submit(kSize);
  EXPECT_EQ(hand_.used(), kSize);
  EXPECT_EQ(ring.writable(1), 0U);
  EXPECT_EQ(ring.unconsumed(), kSize);
  for (std::uint32_t i = 0; i < kSize; ++i) EXPECT_EQ(hand_.pop(), i);
  EXPECT_EQ(ring.writable(64), kSize);
}

TEST_P(RingTest, SeesRoomOnceTheConsumerMadeSome) {
  Producer ring(hand_.memory());
  ASSERT_EQ(ring.writable(kSize), kSize);
  ring.submit(kSize);
  ASSERT_EQ(ring.writable(1), 0U);
  (void)hand_.pop();
  (void)hand_.pop();
  EXPECT_EQ(ring.writable(64), 2U);
  EXPECT_EQ(ring.unconsumed(), kSize - 2);
}

TEST_P(RingTest, AdoptsARingThatIsInUse) {
  hand_.push(1);
  hand_.push(2);
  Consumer consumer(hand_.memory());
  EXPECT_EQ(consumer.readable(64), 2U);
  Producer producer(hand_.memory());
  EXPECT_EQ(producer.writable(64), kSize - 2);
  EXPECT_EQ(producer.unconsumed(), 2U);
}

TEST_P(RingTest, TellsWhetherTheKernelWantsToBeWoken) {
  Producer ring(hand_.memory());
  EXPECT_FALSE(ring.needs_wakeup());
  hand_.flags = 1;
  EXPECT_TRUE(ring.needs_wakeup());
  hand_.flags = 2;  // Some other flag.
  EXPECT_FALSE(ring.needs_wakeup());
}

TEST(RingDeathTest, ProducersThatClaimMoreThanTheRingHoldsAreNotBelieved) {
  Hand hand(kSize, 0);
  Consumer ring(hand.memory());
  hand.producer = kSize + 1;
  EXPECT_DEATH((void)ring.readable(64), "size");
}

// The slots are reached through a mask, so that no index leaves the ring.
TEST_P(RingTest, AProducerThatGoesBackTakesBackWhatWasNotRead) {
  Consumer ring(hand_.memory());
  for (std::uint64_t i = 0; i < 5; ++i) hand_.push(i);
  ASSERT_EQ(ring.readable(5), 5U);
  hand_.producer -= 3;
  EXPECT_EQ(ring.readable(64), 2U);
  EXPECT_EQ(ring[1], 1U);
  ring.release(2);
  EXPECT_EQ(ring.readable(64), 0U);
}

TEST(RingDeathTest, ProducersThatGoBackBehindUsAreNotBelieved) {
  Hand hand(kSize, 0);
  Consumer ring(hand.memory());
  hand.push(1);
  ASSERT_EQ(ring.readable(1), 1U);
  ring.release(1);
  hand.producer = 0;
  EXPECT_DEATH((void)ring.readable(1), "size");
}

TEST(RingDeathTest, ConsumersThatTakeWhatWasNotSubmittedAreNotBelieved) {
  Hand hand(kSize, 0);
  Producer ring(hand.memory());
  hand.consumer = 1;
  EXPECT_DEATH((void)ring.unconsumed(), "size");
  ring.submit(kSize);
  hand.consumer = kSize + 1;
  EXPECT_DEATH((void)ring.writable(1), "size");
}

TEST(RingDeathTest, ReleasingWhatWasNeverReadStops) {
  Hand hand(kSize, 0);
  Consumer ring(hand.memory());
  EXPECT_DEATH(ring.release(1), "count");
  Producer other(hand.memory());
  EXPECT_DEATH(other.submit(kSize + 1), "count");
}

// A seed of one's own: SLUICE_SEED=N.
std::uint32_t seed() {
  const char* text = std::getenv("SLUICE_SEED");
  const std::uint32_t value =
      text != nullptr
          ? static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10))
          : std::random_device{}();
  ::testing::Test::RecordProperty("seed", std::to_string(value));
  return value;
}

// Both ends over one memory, against a queue that can't be wrong.
TEST_P(RingTest, BehavesAsAQueueWhateverTheOrderOfSteps) {
  const std::uint32_t chosen = seed();
  SCOPED_TRACE("SLUICE_SEED=" + std::to_string(chosen));
  std::mt19937 random(chosen);
  const auto below = [&random](std::uint32_t limit) {
    return std::uniform_int_distribution<std::uint32_t>(0, limit - 1)(random);
  };
  Producer producer(hand_.memory());
  Consumer consumer(hand_.memory());
  std::deque<std::uint64_t> model;
  std::uint64_t next = 0;
  for (int step = 0; step < 20'000; ++step) {
    if (below(2) == 0) {
      const std::uint32_t wanted = below(kSize + 3);
      const std::uint32_t room = producer.writable(wanted);
      ASSERT_LE(room, wanted);
      const auto space = static_cast<std::uint32_t>(kSize - model.size());
      ASSERT_EQ(room, std::min(wanted, space));
      const std::uint32_t count = room == 0 ? 0 : below(room + 1);
      for (std::uint32_t i = 0; i < count; ++i) {
        producer[i] = next;
        model.push_back(next++);
      }
      producer.submit(count);
    } else {
      const std::uint32_t wanted = below(kSize + 3);
      const std::uint32_t ready = consumer.readable(wanted);
      const auto used = static_cast<std::uint32_t>(model.size());
      ASSERT_EQ(ready, std::min(wanted, used));
      for (std::uint32_t i = 0; i < ready; ++i) {
        ASSERT_EQ(consumer[i], model[i]);
      }
      const std::uint32_t count = ready == 0 ? 0 : below(ready + 1);
      consumer.release(count);
      model.erase(model.begin(), model.begin() + count);
    }
    ASSERT_EQ(producer.unconsumed(), model.size());
  }
}

}  // namespace
}  // namespace sluice::test
