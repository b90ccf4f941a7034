// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <sluice/frame_pool.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

class FramePoolTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kFrameSize = 2048;
  static constexpr std::uint32_t kFrames = 8;

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

TEST_F(FramePoolTest, ManyComeHomeUpToTheFirstThatIsNotOurs) {
  std::array<std::uint64_t, 3> addrs{pool_.take(), ~0ULL, pool_.take()};
  for (const std::uint64_t addr : {addrs[0], addrs[2]}) {
    pool_.moved(addr, FrameOwner::pool, FrameOwner::tx);
  }
  EXPECT_EQ(pool_.put(addrs, pool_.map(), FrameOwner::tx), 1U);
  EXPECT_EQ(pool_.available(), kFrames - 1);
  std::swap(addrs[0], addrs[2]);
  EXPECT_EQ(pool_.put(std::span(addrs).first(1), pool_.map(), FrameOwner::tx),
            1U);
  EXPECT_EQ(pool_.available(), kFrames);
  EXPECT_EQ(pool_.take(), addrs[0]) << "the one used last";
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
  EXPECT_TRUE(pool_.contains(kEnd - 1));
  EXPECT_FALSE(pool_.contains(kEnd));
  EXPECT_FALSE(pool_.contains(~0ULL));
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
class FramePoolDeathTest : public FramePoolTest {
 protected:
  // A frame that a handler owns, as a receiver or a maker of packets gets it.
  std::uint64_t handlers() {
    const std::uint64_t frame = pool_.take();
    pool_.moved(frame, FrameOwner::pool, FrameOwner::handler);
    return frame;
  }
  void send(std::uint64_t frame) {
    pool_.moved(frame, FrameOwner::handler, FrameOwner::tx);
    pool_.sent(frame, 64);
  }
};

TEST_F(FramePoolDeathTest, AFrameThatComesHomeTwiceIsCaught) {
  const std::uint64_t frame = handlers();
  pool_.put(frame, FrameOwner::handler);
  EXPECT_DEATH(pool_.put(frame, FrameOwner::handler),
               "frame 0 should be owned by a handler.*its owner is the pool\n"
               "sluice: the last owners of frame 0, oldest first, 2 moves into "
               "the run:\n"
               "  move 1: the pool -> a handler\n"
               "  move 2: a handler -> the pool\n");
}

TEST_F(FramePoolDeathTest, AFrameSentTwiceTellsItsOwners) {
  const std::uint64_t other = handlers();
  const std::uint64_t frame = handlers();
  send(frame);
  EXPECT_DEATH(pool_.moved(frame, FrameOwner::handler, FrameOwner::tx),
               "its owner is the kernel, to transmit\n.*"
               "  move 2: the pool -> a handler\n"
               "  move 3: a handler -> the kernel, to transmit\n");
  pool_.put(other, FrameOwner::handler);
}

TEST_F(FramePoolDeathTest, AFrameOfTheKernelsIsNotAHandlers) {
  const std::uint64_t frame = pool_.take();
  pool_.moved(frame, FrameOwner::pool, FrameOwner::fill);
  EXPECT_DEATH(pool_.moved(frame, FrameOwner::handler, FrameOwner::tx),
               "its owner is the kernel, to receive into");
}

TEST_F(FramePoolDeathTest, OnlyTheLastOwnersAreKept) {
  for (int i = 0; i < 20; ++i) pool_.put(handlers(), FrameOwner::handler);
  const std::string history = pool_.history(0);
  EXPECT_EQ(std::ranges::count(history, '\n'), 1 + 8) << history;
  EXPECT_NE(history.find("  move 33: the pool"), history.npos) << history;
  EXPECT_NE(history.find("  move 40: a handler"), history.npos) << history;
  EXPECT_EQ(history.find("move 32:"), history.npos) << history;
}

TEST_F(FramePoolDeathTest, AFrameThatNeverMovedSaysSo) {
  const FramePool pool(umem_, kFrameSize, 1);
  EXPECT_NE(pool.history(0).find("always the kernel, to receive into"),
            std::string::npos);
}

TEST_F(FramePoolDeathTest, AFrameThatWentHomeLooksDead) {
  std::uint64_t frame = handlers();
  *pool_.at(frame) = std::byte{1};
  pool_.put(frame, FrameOwner::handler);
  frame = handlers();
  EXPECT_EQ(*pool_.at(frame), std::byte{0xdb});
  pool_.put(frame, FrameOwner::handler);
}

TEST_F(FramePoolDeathTest, LeakedFramesAreToldWhenThePoolEnds) {
  EXPECT_DEATH(
      {
        FramePool pool(umem_, kFrameSize);
        for (int i = 0; i < 6; ++i) {
          pool.moved(pool.take(), FrameOwner::pool, FrameOwner::handler);
        }
      },
      "the pool ends, and handlers still own 6 of its frames\n"
      "sluice: the last owners of frame 0, oldest first, 6 moves into the run:"
      "\n  move 1: the pool -> a handler\n.*owners of frame 3,.*"
      "  move 4: the pool -> a handler\n$");
}

// As DMA or code without instrumentation writes: past every sanitizer.
#if defined(__clang__) || defined(__GNUC__)
__attribute__((no_sanitize("address"), noinline))
#endif
void scribble(std::byte* at) {
  *at = std::byte{1};
}

TEST_F(FramePoolDeathTest, AWriteToAFrameInThePoolIsFound) {
  const std::uint64_t frame = handlers();
  pool_.put(frame, FrameOwner::handler);
  scribble(pool_.at(frame + 700));
  EXPECT_DEATH((void)handlers(),
               "frame 0 was written to while it was in the pool\n.*"
               "move 2: a handler -> the pool");
}

TEST_F(FramePoolDeathTest, AWriteAfterSendIsFoundWhenTheFrameComesHome) {
  const std::uint64_t frame = handlers();
  send(frame);
  scribble(pool_.at(frame + 63));
  EXPECT_DEATH(pool_.put(frame, FrameOwner::tx),
               "frame 0 was written to after it was sent\n.*"
               "move 2: a handler -> the kernel, to transmit");
}

TEST_F(FramePoolDeathTest, BytesBesideASentPacketAreNotIts) {
  const std::uint64_t frame = handlers();
  send(frame);
  scribble(pool_.at(frame + 64));
  pool_.put(frame, FrameOwner::tx);
  EXPECT_EQ(pool_.available(), kFrames);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
TEST_F(FramePoolDeathTest, AsanTellsTheOwnersOfAFrameTouchedAfterSend) {
  const std::uint64_t frame = handlers();
  send(frame);
  EXPECT_DEATH(*pool_.at(frame) = std::byte{1},
               "use-after-poison.*the last owners of frame 0, oldest first.*"
               "move 2: a handler -> the kernel, to transmit");
}
#endif
#endif

#endif

}  // namespace
}  // namespace sluice
