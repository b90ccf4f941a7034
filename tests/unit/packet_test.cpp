// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/packet.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice {
namespace {

static_assert(!std::is_copy_constructible_v<Packet>);
static_assert(!std::is_copy_assignable_v<Packet>);
static_assert(std::is_nothrow_move_constructible_v<Packet>);
static_assert(!std::is_default_constructible_v<Packet>);

struct Four {
  std::array<std::byte, 4> bytes;
};

class PacketTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kFrameSize = 2048;
  static constexpr std::uint32_t kFrames = 8;
  static constexpr std::uint32_t kRoom = kFrameSize - Packet::kHeadroom;

  ~PacketTest() override {
    EXPECT_EQ(pool_.available(), kFrames) << "a frame did not come home";
    EXPECT_EQ(pool_.held(), 0U);
  }

  std::uint64_t frame() {
    const std::uint64_t frame = pool_.frame_of(pool_.take());
    pool_.moved(frame, FrameOwner::pool, FrameOwner::handler);
    pool_.hold(1);
    return frame;
  }
  Packet packet(std::uint32_t size) {
    Packet packet(pool_, frame() + Packet::kHeadroom, size, {17, 3, 1});
    fill(packet.bytes(), 0);
    return packet;
  }
  // Segments of these sizes, bytes counted through.
  Packet chain(const std::vector<std::uint32_t>& sizes) {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const std::uint64_t addr = frame() + Packet::kHeadroom;
      fill({pool_.at(addr), sizes[i]}, at);
      at += sizes[i];
      if (i == 0) {
        first = addr;
      } else {
        pool_.link(last) = {addr, sizes[i]};
      }
      last = addr;
    }
    return {pool_,
            first,
            sizes[0],
            {17, 3, static_cast<std::uint8_t>(sizes.size())}};
  }
  static void fill(std::span<std::byte> bytes, std::size_t from) {
    for (auto& byte : bytes) byte = static_cast<std::byte>(from++);
  }
  static std::vector<std::size_t> sizes(const Packet& packet) {
    std::vector<std::size_t> all;
    for (const auto segment : packet.segments()) all.push_back(segment.size());
    return all;
  }

  std::vector<std::byte> umem_ =
      std::vector<std::byte>(std::size_t{kFrames} * kFrameSize);
  FramePool pool_{umem_, kFrameSize};
};

using Sizes = std::vector<std::size_t>;

TEST_F(PacketTest, APacketThatDiesGoesHome) {
  {
    const Packet held = packet(64);
    EXPECT_EQ(pool_.available(), kFrames - 1);
    EXPECT_EQ(pool_.held(), 1U);
    EXPECT_EQ(held.size(), 64U);
    EXPECT_EQ(held.port(), 3);
    EXPECT_EQ(held.queue(), 17);
  }
  EXPECT_EQ(pool_.available(), kFrames);
}

TEST_F(PacketTest, MovingGivesTheFrameAwayOnce) {
  Packet first = packet(64);
  Packet second = std::move(first);
  EXPECT_EQ(pool_.held(), 1U);
  EXPECT_EQ(second.bytes()[5], std::byte{5});
}

TEST_F(PacketTest, AssigningDropsWhatWasHeldBefore) {
  Packet kept = packet(64);
  kept = packet(100);
  EXPECT_EQ(pool_.held(), 1U);
  EXPECT_EQ(kept.size(), 100U);
}

TEST_F(PacketTest, AHeaderIsThereOnlyWhereItFits) {
  const Packet p = packet(10);
  ASSERT_NE(p.header<Four>(), nullptr);
  EXPECT_EQ(p.header<Four>(6)->bytes[0], std::byte{6});
  EXPECT_EQ(p.header<Four>(7), nullptr);
  EXPECT_EQ(p.header<Four>(10), nullptr);
  EXPECT_EQ(p.header<Four>(11), nullptr);
  EXPECT_EQ(p.header<Four>(~std::size_t{0}), nullptr);
}

TEST_F(PacketTest, GrowsIntoTheHeadRoomAndNoFurther) {
  Packet p = packet(64);
  EXPECT_FALSE(p.prepend(Packet::kHeadroom + 1));
  EXPECT_TRUE(p.prepend(Packet::kHeadroom));
  EXPECT_EQ(p.size(), 64 + Packet::kHeadroom);
  EXPECT_EQ(p.bytes()[Packet::kHeadroom + 7], std::byte{7});
  EXPECT_FALSE(p.prepend(1));
}

TEST_F(PacketTest, GrowsToTheEndOfTheFrameAndNoFurther) {
  Packet p = packet(64);
  EXPECT_FALSE(p.append(kRoom - 64 + 1));
  EXPECT_FALSE(p.append(0xffff'ffff)) << "a size that wraps is no size";
  EXPECT_TRUE(p.append(kRoom - 64));
  EXPECT_EQ(p.size(), kRoom);
  EXPECT_FALSE(p.append(1));
  EXPECT_EQ(p.bytes()[63], std::byte{63});
}

TEST_F(PacketTest, ShrinksAtBothEnds) {
  Packet p = packet(64);
  EXPECT_TRUE(p.trim_front(14));
  EXPECT_EQ(p.bytes()[0], std::byte{14});
  EXPECT_TRUE(p.trim_back(10));
  EXPECT_EQ(p.size(), 40U);
  EXPECT_FALSE(p.trim_front(41));
  EXPECT_FALSE(p.trim_back(41));
  EXPECT_EQ(p.size(), 40U);
  EXPECT_TRUE(p.prepend(14)) << "what was trimmed is room";
}

// The first byte past a full frame is another frame's.
TEST_F(PacketTest, AnEmptiedPacketStillNamesItsOwnFrame) {
  const Packet neighbour = packet(64);
  Packet p = packet(kRoom);
  const bool emptied = p.trim_front(kRoom);
  EXPECT_FALSE(emptied) << "a packet keeps a byte in front";
  EXPECT_TRUE(p.trim_front(kRoom - 1));
  EXPECT_EQ(p.size(), 1U);
}

TEST_F(PacketTest, ACopyHasBytesOfItsOwn) {
  Packet original = packet(64);
  std::optional<Packet> copy = original.copy();
  ASSERT_TRUE(copy);
  EXPECT_EQ(pool_.held(), 2U);
  original.bytes()[0] = std::byte{0xff};
  EXPECT_EQ(copy->bytes()[0], std::byte{0});
  EXPECT_EQ(copy->bytes()[63], std::byte{63});
  EXPECT_EQ(copy->port(), 3);
  EXPECT_EQ(copy->queue(), 17);
  EXPECT_TRUE(copy->prepend(Packet::kHeadroom)) << "with the same head room";
}

TEST_F(PacketTest, WithoutAFrameThereIsNoCopy) {
  std::vector<Packet> all;
  while (pool_.available() > 0) all.push_back(packet(64));
  EXPECT_FALSE(all.front().copy());
  all.pop_back();
  EXPECT_TRUE(all.front().copy());
}

TEST_F(PacketTest, AChainIsOnePacket) {
  const Packet p = chain({100, 200, 50});
  EXPECT_EQ(p.size(), 350U);
  EXPECT_EQ(p.bytes().size(), 100U);
  EXPECT_EQ(sizes(p), (Sizes{100, 200, 50}));
  EXPECT_EQ(p.segments()[1][0], static_cast<std::byte>(100));
  EXPECT_EQ(pool_.held(), 3U);
}

TEST_F(PacketTest, AChainGrowsInItsLastSegment) {
  Packet p = chain({100, 200, 50});
  EXPECT_TRUE(p.append(10));
  EXPECT_EQ(sizes(p), (Sizes{100, 200, 60}));
  EXPECT_FALSE(p.append(kRoom - 59));
  EXPECT_FALSE(p.append(0xffff'ffff));
  EXPECT_EQ(p.size(), 360U);
}

TEST_F(PacketTest, AChainLosesWholeSegmentsFromItsEnd) {
  Packet p = chain({100, 200, 50});
  EXPECT_TRUE(p.trim_back(10));
  EXPECT_EQ(sizes(p), (Sizes{100, 200, 40}));
  EXPECT_TRUE(p.trim_back(40));
  EXPECT_EQ(sizes(p), (Sizes{100, 200}));
  EXPECT_EQ(pool_.held(), 2U);
  EXPECT_TRUE(p.trim_back(250));
  EXPECT_EQ(sizes(p), (Sizes{50}));
  EXPECT_EQ(pool_.held(), 1U);
  EXPECT_FALSE(p.trim_back(51));
}

TEST_F(PacketTest, AChainIsCopiedWhole) {
  const Packet p = chain({100, 200});
  const auto copy = p.copy();
  ASSERT_TRUE(copy);
  EXPECT_EQ(sizes(*copy), (Sizes{100, 200}));
  EXPECT_EQ(copy->segments()[1][3], static_cast<std::byte>(103));
  EXPECT_EQ(pool_.held(), 4U);
}

TEST_F(PacketTest, AChainIsNotCopiedByHalves) {
  const Packet p = chain({10, 10, 10, 10, 10});
  EXPECT_FALSE(p.copy()) << "three frames are left, five are needed";
  EXPECT_EQ(pool_.available(), kFrames - 5);
}

TEST_F(PacketTest, TheLongestChainGoesHomeWhole) {
  (void)chain({1, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_EQ(pool_.available(), kFrames);
}

using PacketDeathTest = PacketTest;

TEST_F(PacketDeathTest, TouchingAPacketAfterItWasMovedIsCaught) {
  Packet first = packet(64);
  const Packet second = std::move(first);
  const char* const why = kCheckFrames
                              ? "used after it moved away.*move 1: the pool -> "
                                "a handler"
                              : "pool_ != nullptr";
  EXPECT_DEATH((void)first.bytes(), why);
  EXPECT_DEATH((void)first.header<Four>(), why);
}

#ifdef SLUICE_CHECK_FRAMES
TEST_F(PacketDeathTest, NothingOfAPacketIsLeftAfterItWasMoved) {
  Packet first = packet(64);
  const Packet second = std::move(first);
  const char* const why = "frame 0 is of a packet that was used after";
  EXPECT_DEATH((void)first.size(), why);
  EXPECT_DEATH((void)first.segments(), why);
  EXPECT_DEATH((void)first.copy(), why);
  EXPECT_DEATH((void)first.prepend(1), why);
  EXPECT_DEATH((void)first.append(1), why);
  EXPECT_DEATH((void)first.trim_front(1), why);
  EXPECT_DEATH((void)first.trim_back(1), why);
}
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
TEST_F(PacketDeathTest, TouchingTheFrameOfAPacketThatDiedIsCaught) {
  std::span<std::byte> stale;
  {
    const Packet p = packet(64);
    stale = p.bytes();
  }
  EXPECT_DEATH(stale[0] = std::byte{1}, "use-after-poison");
}
#endif
#endif

}  // namespace
}  // namespace sluice
