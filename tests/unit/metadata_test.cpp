// SPDX-License-Identifier: Apache-2.0
// What a packet says of the rule that steered it: its own, or nothing.
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <sluice/metadata.hpp>
#include <sluice/packet.hpp>
#include <sluice/rules.hpp>
#include <utility>
#include <vector>

#include "rig.hpp"

namespace sluice {
namespace {

static_assert(rule_id("dns").value == 0xda6ae8bc);
static_assert(rule_id("dns") != rule_id("dnt"));
static_assert(!rule_id(""));

class MetadataTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kFrameSize = 2048;
  static constexpr std::uint64_t kVersion = 7;

  MetadataTest() { pool_.expect_metadata(); }

  Packet packet(std::uint32_t size = 64) {
    const std::uint64_t frame = pool_.frame_of(pool_.take());
    pool_.moved(frame, FrameOwner::pool, FrameOwner::handler);
    pool_.hold(1);
    return Packet(pool_, frame + Packet::kHeadroom, size, {});
  }
  // As the XDP program steers it.
  Packet steered(std::uint8_t hints = SLUICE_HINT_HASH | SLUICE_HINT_VLAN) {
    Packet made = packet();
    const sluice_metadata metadata{
        .magic = SLUICE_METADATA_MAGIC,
        .rule = 3,
        .version = kVersion,
        .time = 12345,
        .label = rule_id("dns").value,
        .clock = SLUICE_CLOCK_MONOTONIC,
        .hints = hints,
        .hash_type = RxHash::kIpv4 | RxHash::kL4,
    };
    std::byte* const at = made.bytes().data() - sizeof metadata;
    std::memcpy(at, &metadata, sizeof metadata);
    const sluice_hints told{
        .hash = 0x12345678, .vlan_protocol = 0x88a8, .vlan_control = 0xa007};
    std::memcpy(at - sizeof told, &told, sizeof told);
    return made;
  }
  static void expect_told(const Packet& packet) {
    EXPECT_EQ(packet.rule(), rule_id("dns"));
    EXPECT_EQ(packet.list_version(), kVersion);
    EXPECT_EQ(packet.timestamp(),
              (Timestamp{12345, Timestamp::Clock::monotonic}));
    EXPECT_EQ(packet.rx_hash(),
              (RxHash{0x12345678, RxHash::kIpv4 | RxHash::kL4}));
    ASSERT_EQ(packet.vlan_tag(), (VlanTag{0x88a8, 0xa007}));
    EXPECT_EQ(packet.vlan_tag()->id(), 7);
    EXPECT_EQ(packet.vlan_tag()->priority(), 5);
  }
  static void expect_nothing(const Packet& packet) {
    EXPECT_EQ(packet.rule(), RuleId{});
    EXPECT_EQ(packet.list_version(), 0U);
    EXPECT_EQ(packet.timestamp(), std::nullopt);
    EXPECT_EQ(packet.rx_hash(), std::nullopt);
    EXPECT_EQ(packet.vlan_tag(), std::nullopt);
  }

  std::vector<std::byte> umem_ =
      std::vector<std::byte>(std::size_t{4} * kFrameSize);
  FramePool pool_{umem_, kFrameSize};
};

TEST_F(MetadataTest, IsReadWhereItIsAndNowhereElse) {
  expect_told(steered());
  Packet without = packet();
  std::memset(without.bytes().data() - sizeof(sluice_metadata), 0,
              sizeof(sluice_metadata));
  expect_nothing(without);
}

TEST_F(MetadataTest, HintsAreThereOrNotEachByItself) {
  const Packet hash = steered(SLUICE_HINT_HASH);
  EXPECT_TRUE(hash.rx_hash());
  EXPECT_FALSE(hash.vlan_tag());
  const Packet tag = steered(SLUICE_HINT_VLAN);
  EXPECT_FALSE(tag.rx_hash());
  EXPECT_TRUE(tag.vlan_tag());
  for (std::uint16_t bits = 0; bits < 8; ++bits) {
    EXPECT_EQ(RxHints::of(bits).bits(), bits);
  }
}

TEST_F(MetadataTest, StaysWithWhatIsTrimmedMovedAndCopied) {
  Packet p = steered();
  ASSERT_TRUE(p.trim_front(14));
  ASSERT_TRUE(p.trim_back(10));
  ASSERT_TRUE(p.prepend(14));
  expect_told(p);
  const Packet moved = std::move(p);
  expect_told(moved);
  const auto copy = moved.copy();
  ASSERT_TRUE(copy);
  expect_told(*copy);
}

TEST_F(MetadataTest, WhatIsPrependedIsNotTakenForIt) {
  for (const std::uint32_t size : {1U, 8U, 40U, 64U}) {
    Packet p = steered();
    ASSERT_TRUE(p.prepend(size));
    expect_nothing(p);
    const auto copy = p.copy();
    ASSERT_TRUE(copy);
    expect_nothing(*copy);
    ASSERT_TRUE(p.trim_front(size));
    expect_nothing(p);
  }
}

// Trimming step by step must not touch what is still of the packet.
TEST_F(MetadataTest, TrimmingLeavesEveryByteOfThePacket) {
  Packet p = steered();
  ASSERT_TRUE(p.prepend(64));
  for (std::size_t i = 0; i < 128; ++i) {
    p.bytes()[i] = static_cast<std::byte>(i + 1);
  }
  for (std::size_t cut = 1; cut < 128; ++cut) {
    ASSERT_TRUE(p.trim_front(1));
    for (std::size_t i = 0; i < p.bytes().size(); ++i) {
      ASSERT_EQ(p.bytes()[i], static_cast<std::byte>(cut + i + 1)) << cut;
    }
  }
}

TEST_F(MetadataTest, PoolsThatExpectNoneHaveNone) {
  FramePool other(umem_, kFrameSize);
  const Packet p = steered();
  EXPECT_TRUE(p.rule());
  const std::uint64_t frame = other.frame_of(other.take());
  other.moved(frame, FrameOwner::pool, FrameOwner::handler);
  other.hold(1);
  const Packet same(other, frame + Packet::kHeadroom, 64, {});
  expect_nothing(same);
}

// A driver that gives metadata to some packets, and frames that come again.
TEST(MetadataRigTest, AnEarlierPacketsIsNeverSeen) {
  std::vector<RuleId> seen;
  int made = 0;
  test::Rig<test::OnPacket> rig([&](Packet packet, Core& core) {
    seen.push_back(packet.rule());
    const sluice_metadata metadata{.magic = SLUICE_METADATA_MAGIC,
                                   .rule = 0,
                                   .version = 1,
                                   .time = 0,
                                   .label = 1,
                                   .clock = SLUICE_CLOCK_NONE,
                                   .hints = 0,
                                   .hash_type = 0};
    std::memcpy(packet.bytes().data() - sizeof metadata, &metadata,
                sizeof metadata);
    EXPECT_EQ(packet.rule(), RuleId{1});
    if (const auto fresh = core.make_packet(64)) {
      ++made;
      EXPECT_EQ(fresh->rule(), RuleId{});
      std::memcpy(fresh->bytes().data() - sizeof metadata, &metadata,
                  sizeof metadata);
    }
    core.reply(std::move(packet));
  });
  rig.core->pool().expect_metadata();
  for (std::uint32_t i = 0; i < 500; ++i) {
    ASSERT_TRUE(rig.arrive(i));
    rig.later(std::chrono::milliseconds(1));
    rig.turn();
  }
  rig.settle();
  EXPECT_EQ(seen.size(), 500U);
  EXPECT_GT(made, 0);
  for (const RuleId each : seen) EXPECT_EQ(each, RuleId{});
}

TEST(RuleIdTest, TwoLabelsOfOneIdAreRefused) {
  ASSERT_EQ(rule_id("yiijsv"), rule_id("ktodoe"));
  const auto rules = Rules::parse("steer @yiijsv udp\nsteer @ktodoe tcp\n");
  ASSERT_FALSE(rules);
  EXPECT_EQ(rules.error().advice,
            "The label '@ktodoe' has the same id as '@yiijsv' of rules line 1: "
            "change one of them");
}

}  // namespace
}  // namespace sluice
