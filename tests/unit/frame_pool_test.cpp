// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <set>
#include <sluice/frame_pool.hpp>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint32_t kFrameSize = 2048;
constexpr std::uint32_t kFrames = 8;

class FramePoolTest : public ::testing::Test {
 protected:
  std::vector<std::byte> umem_ =
      std::vector<std::byte>(std::size_t{kFrames} * kFrameSize);
  FramePool pool_{umem_, kFrameSize};
};

TEST_F(FramePoolTest, HandsOutEveryFrameOnce) {
  std::set<std::uint64_t> frames;
  while (pool_.available() > 0) frames.insert(pool_.frame_of(pool_.take()));
  EXPECT_EQ(frames.size(), kFrames);
  EXPECT_EQ(*frames.begin(), 0U);
  EXPECT_EQ(*frames.rbegin(), (kFrames - 1) * kFrameSize);
}

TEST_F(FramePoolTest, GivesTheWarmestFrameFirst) {
  const std::uint64_t first = pool_.take();
  const std::uint64_t second = pool_.take();
  pool_.moved(first, FrameOwner::pool, FrameOwner::handler);
  pool_.moved(second, FrameOwner::pool, FrameOwner::handler);
  pool_.put(first, FrameOwner::handler);
  pool_.put(second, FrameOwner::handler);
  EXPECT_EQ(pool_.frame_of(pool_.take()), pool_.frame_of(second));
  EXPECT_EQ(pool_.frame_of(pool_.take()), pool_.frame_of(first));
}

TEST_F(FramePoolTest, AnyAddressInsideAFrameStandsForIt) {
  const std::uint64_t frame = pool_.take();
  pool_.moved(frame, FrameOwner::pool, FrameOwner::handler);
  pool_.put(frame + 300, FrameOwner::handler);
  EXPECT_EQ(pool_.frame_of(pool_.take()), pool_.frame_of(frame));
}

TEST_F(FramePoolTest, KnowsWhatLiesInsideOneFrame) {
  EXPECT_TRUE(pool_.contains(0, 0));
  EXPECT_TRUE(pool_.contains(0, kFrameSize));
  EXPECT_FALSE(pool_.contains(0, kFrameSize + 1));
  EXPECT_TRUE(pool_.contains(kFrameSize + 100, kFrameSize - 100));
  EXPECT_FALSE(pool_.contains(kFrameSize + 100, kFrameSize - 99));
  EXPECT_FALSE(pool_.contains(0, 0xffff'ffff));
}

TEST_F(FramePoolTest, KnowsWhatLiesOutsideOfTheMemory) {
  constexpr std::uint64_t kEnd = std::uint64_t{kFrames} * kFrameSize;
  EXPECT_TRUE(pool_.contains(kEnd - 1, 1));
  EXPECT_FALSE(pool_.contains(kEnd, 0));
  EXPECT_FALSE(pool_.contains(~0ULL, 0));
  EXPECT_FALSE(pool_.contains(1ULL << 48, 64));
}

TEST_F(FramePoolTest, FramesLentBeforehandAreNotInThePool) {
  const FramePool pool(umem_, kFrameSize, 3);
  EXPECT_EQ(pool.available(), kFrames - 3);
  EXPECT_EQ(pool.frames(), kFrames);
}

TEST_F(FramePoolTest, CountsWhatHandlersHoldOnItsOwn) {
  pool_.hold(5);
  pool_.unhold(2);
  EXPECT_EQ(pool_.held(), 3U);
  EXPECT_EQ(pool_.available(), kFrames) << "one count does not follow another";
}

TEST_F(FramePoolTest, EachFrameHasALinkOfItsOwn) {
  pool_.link(10) = {1, 2};
  pool_.link(kFrameSize) = {3, 4};
  EXPECT_EQ(pool_.link(kFrameSize - 1).addr, 1U);
  EXPECT_EQ(pool_.link(2 * kFrameSize - 1).addr, 3U);
}

#ifdef SLUICE_CHECK_FRAMES  // Owners are tracked in checked builds.
using FramePoolDeathTest = FramePoolTest;

TEST_F(FramePoolDeathTest, AFrameThatComesHomeTwiceIsCaught) {
  const std::uint64_t frame = pool_.take();
  pool_.moved(frame, FrameOwner::pool, FrameOwner::handler);
  pool_.put(frame, FrameOwner::handler);
  EXPECT_DEATH(pool_.put(frame, FrameOwner::handler),
               "should be owned by a handler.*its owner is the pool");
}

TEST_F(FramePoolDeathTest, AFrameOfTheKernelsIsNotAHandlers) {
  const std::uint64_t frame = pool_.take();
  pool_.moved(frame, FrameOwner::pool, FrameOwner::fill);
  EXPECT_DEATH(pool_.moved(frame, FrameOwner::handler, FrameOwner::tx),
               "its owner is the kernel, to receive into");
}

TEST_F(FramePoolDeathTest, AFrameThatWentHomeLooksDead) {
  const std::uint64_t frame = pool_.take();
  pool_.moved(frame, FrameOwner::pool, FrameOwner::handler);
  *pool_.at(frame) = std::byte{1};
  pool_.put(frame, FrameOwner::handler);
  const std::uint64_t again = pool_.take();
  pool_.moved(again, FrameOwner::pool, FrameOwner::handler);
  ASSERT_EQ(again, frame);
  EXPECT_EQ(*pool_.at(again), std::byte{0xdb});
}

#endif

}  // namespace
}  // namespace sluice
