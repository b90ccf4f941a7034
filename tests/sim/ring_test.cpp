// SPDX-License-Identifier: Apache-2.0
// The kernel's end of a ring against ours.
#include <gtest/gtest.h>

#include <cstdint>
#include <sluice/ring.hpp>
#include <sluice/testing/sim_ring.hpp>

namespace sluice::testing {
namespace {

TEST(SimRingTest, WhatUserSpaceSubmitsTheKernelTakesInOrder) {
  SimRing<std::uint64_t> ring(8, ~0U - 3);
  ProducerRing<std::uint64_t> ours(ring.memory());
  for (std::uint64_t round = 0; round < 5; ++round) {
    ASSERT_EQ(ours.writable(8), 8U);
    for (std::uint32_t i = 0; i < 5; ++i) ours[i] = round * 10 + i;
    ours.submit(5);
    ASSERT_EQ(ring.readable(), 5U);
    EXPECT_EQ(ring.peek(2), round * 10 + 2);
    ring.pop(5);
    EXPECT_EQ(ring.used(), 0U);
  }
}

TEST(SimRingTest, WhatTheKernelPutsUserSpaceReadsInOrder) {
  SimRing<std::uint64_t> ring(8, ~0U - 3);
  ConsumerRing<std::uint64_t> ours(ring.memory());
  for (std::uint64_t round = 0; round < 5; ++round) {
    ASSERT_EQ(ring.room(), 8U);
    for (std::uint64_t i = 0; i < 6; ++i) ring.push(round * 10 + i);
    EXPECT_EQ(ring.room(), 2U);
    ASSERT_EQ(ours.readable(8), 6U);
    EXPECT_EQ(ours[5], round * 10 + 5);
    ours.release(6);
  }
}

TEST(SimRingTest, TheFlagIsSeen) {
  SimRing<std::uint64_t> ring(8, 0);
  const ProducerRing<std::uint64_t> ours(ring.memory());
  EXPECT_FALSE(ours.needs_wakeup());
  ring.ask_for_wakeup(true);
  EXPECT_TRUE(ours.needs_wakeup());
}

}  // namespace
}  // namespace sluice::testing
