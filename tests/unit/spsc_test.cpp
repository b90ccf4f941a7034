// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <sluice/spsc.hpp>
#include <thread>

namespace sluice {
namespace {

TEST(SpscTest, GivesBackInOrder) {
  Spsc<int, 4> queue;
  int value = 0;
  EXPECT_FALSE(queue.ready());
  EXPECT_FALSE(queue.pop(value));
  EXPECT_TRUE(queue.push(1));
  EXPECT_TRUE(queue.push(2));
  EXPECT_TRUE(queue.ready());
  EXPECT_TRUE(queue.pop(value));
  EXPECT_EQ(value, 1);
  EXPECT_TRUE(queue.pop(value));
  EXPECT_EQ(value, 2);
  EXPECT_FALSE(queue.ready());
}

TEST(SpscTest, RefusesWhenFullAndLosesNothing) {
  Spsc<int, 4> queue;
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.push(i));
  EXPECT_FALSE(queue.push(4));
  for (int i = 0; i < 4; ++i) {
    int value = -1;
    ASSERT_TRUE(queue.pop(value));
    EXPECT_EQ(value, i);
  }
  EXPECT_TRUE(queue.push(5));
}

TEST(SpscTest, CarriesWholeValuesBetweenThreads) {
  struct Pair {
    std::uint64_t a = 0;
    std::uint64_t b = 0;
  };
  constexpr std::uint64_t kCount = 200'000;
  Spsc<Pair, 64> queue;
  std::thread producer([&queue] {
    for (std::uint64_t i = 0; i < kCount; ++i) {
      while (!queue.push({i, ~i})) std::this_thread::yield();
    }
  });
  for (std::uint64_t i = 0; i < kCount; ++i) {
    Pair got;
    while (!queue.pop(got)) std::this_thread::yield();
    ASSERT_EQ(got.a, i);
    ASSERT_EQ(got.b, ~i);
  }
  producer.join();
  EXPECT_FALSE(queue.ready());
}

}  // namespace
}  // namespace sluice
