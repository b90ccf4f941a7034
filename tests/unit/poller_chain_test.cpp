// SPDX-License-Identifier: Apache-2.0
// Packets of several frames, whole and broken.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <sluice/poller.hpp>
#include <utility>
#include <vector>

#include "rig.hpp"

namespace sluice::test {
namespace {

using Bytes = std::vector<std::byte>;

class PollerChainTest : public ::testing::Test {
 protected:
  // The segments of one packet; its first descriptors say that it goes on.
  void arrive_chain(std::uint32_t number, int segments, bool whole = true) {
    for (int i = 0; i < segments; ++i) {
      const bool last = whole && i == segments - 1;
      ASSERT_TRUE(rig_.kernel.deliver(
          0, numbered(number + static_cast<std::uint32_t>(i)),
          last ? 0U : std::uint32_t{XDP_PKT_CONTD}));
    }
  }
  static Bytes chained(std::uint32_t number, int segments) {
    Bytes all;
    for (int i = 0; i < segments; ++i) {
      const Bytes one = numbered(number + static_cast<std::uint32_t>(i));
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }
  xdp_desc& newest() {
    return rig_.side().rx.slots[(rig_.side().rx.producer - 1) % 64];
  }
  Bytes wire() {
    Bytes all;
    for (const Bytes& one : rig_.side().wire) {
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }

  std::vector<Bytes> seen_;
  std::function<void(Packet, Core&)> then_ = reply_to_all;
  Rig<OnPacket> rig_{[this](Packet packet, Core& core) {
    EXPECT_EQ(packet.size(), bytes_of(packet).size());
    seen_.push_back(bytes_of(packet));
    then_(std::move(packet), core);
  }};
};

TEST_F(PollerChainTest, AChainIsOnePacketToTheHandler) {
  arrive_chain(10, 3);
  ASSERT_TRUE(rig_.arrive(99));
  rig_.turn();
  ASSERT_EQ(seen_.size(), 2U);
  EXPECT_EQ(seen_[0], chained(10, 3));
  EXPECT_EQ(seen_[1], numbered(99));
  EXPECT_EQ(rig_.counters().rx_packets.value(), 2U);
  EXPECT_EQ(rig_.counters().rx_bytes.value(), 4 * 64U);
}

TEST_F(PollerChainTest, AForwardedChainSaysWhereItGoesOn) {
  arrive_chain(10, 3);
  ASSERT_TRUE(rig_.arrive(99));
  rig_.turn();
  ASSERT_EQ(rig_.side().sent.size(), 4U);
  EXPECT_EQ(rig_.side().sent[0].options, std::uint32_t{XDP_PKT_CONTD});
  EXPECT_EQ(rig_.side().sent[1].options, std::uint32_t{XDP_PKT_CONTD});
  EXPECT_EQ(rig_.side().sent[2].options, 0U);
  EXPECT_EQ(rig_.side().sent[3].options, 0U);
  EXPECT_EQ(rig_.counters().tx_packets.value(), 2U);
  EXPECT_EQ(rig_.counters().tx_bytes.value(), 4 * 64U);
  rig_.turn();
  EXPECT_EQ(rig_.core->ledger().transmitting, 0U);
}

TEST_F(PollerChainTest, AChainMayBeSplitOverBursts) {
  arrive_chain(10, 2, false);
  rig_.turn();
  EXPECT_TRUE(seen_.empty());
  EXPECT_EQ(rig_.core->ledger().chain, 2U);
  arrive_chain(12, 1, false);
  rig_.turn();
  arrive_chain(13, 1);
  rig_.turn();
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_EQ(seen_[0], chained(10, 4));
  EXPECT_EQ(rig_.core->ledger().chain, 0U);
}

TEST_F(PollerChainTest, ADroppedChainGoesHomeWhole) {
  then_ = drop_all;
  const std::uint64_t before = rig_.core->ledger().pool;
  arrive_chain(10, 5);
  rig_.turns(2);
  EXPECT_EQ(seen_.size(), 1U);
  EXPECT_EQ(rig_.core->ledger().handler, 0U);
  EXPECT_GE(rig_.core->ledger().pool + 64, before + 64 - 5);
  for (std::uint32_t i = 0; i < 500; ++i) {
    arrive_chain(i, 4);
    rig_.turn();
  }
  EXPECT_EQ(rig_.core->ledger().handler, 0U);
}

TEST_F(PollerChainTest, TheLongestChainThereIsComesThrough) {
  constexpr int kLongest = static_cast<int>(Packet::kSegmentsMax);
  arrive_chain(10, kLongest);
  rig_.turns(2);
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_EQ(wire(), chained(10, kLongest));
  EXPECT_EQ(rig_.counters().rx_broken.value(), 0U);
}

TEST_F(PollerChainTest, ALongerOneIsDroppedWhole) {
  arrive_chain(10, static_cast<int>(Packet::kSegmentsMax) + 3);
  ASSERT_TRUE(rig_.arrive(99));
  rig_.turns(2);
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_EQ(seen_[0], numbered(99)) << "the next packet is not part of it";
  EXPECT_EQ(rig_.counters().rx_broken.value(), 1U);
}

TEST_F(PollerChainTest, ABadDescriptorWithinBreaksTheChainAlone) {
  arrive_chain(10, 2, false);
  newest().addr = 1ULL << 40;
  arrive_chain(12, 2);
  ASSERT_TRUE(rig_.arrive(99));
  rig_.turns(2);
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_EQ(seen_[0], numbered(99));
  EXPECT_EQ(rig_.counters().rx_invalid.value(), 1U);
  EXPECT_EQ(rig_.counters().rx_broken.value(), 1U);
  EXPECT_EQ(rig_.core->ledger().astray, 1U);
}

TEST_F(PollerChainTest, ABadLastDescriptorBreaksTheChainToo) {
  arrive_chain(10, 3);
  newest().len = 4000;
  ASSERT_TRUE(rig_.arrive(99));
  rig_.turns(2);
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_EQ(seen_[0], numbered(99));
  EXPECT_EQ(rig_.core->ledger().chain, 0U);
  EXPECT_EQ(rig_.core->ledger().astray, 0U);
}

TEST_F(PollerChainTest, ACopiedChainIsSentBesideItsOriginal) {
  then_ = [](Packet packet, Core& core) {
    auto copy = packet.copy();
    ASSERT_TRUE(copy);
    core.reply(std::move(packet));
    core.reply(std::move(*copy));
  };
  arrive_chain(10, 3);
  rig_.turns(2);
  Bytes twice = chained(10, 3);
  const Bytes once = twice;
  twice.insert(twice.end(), once.begin(), once.end());
  EXPECT_EQ(wire(), twice);
}

TEST_F(PollerChainTest, ATrimmedChainLeavesWithoutItsEnd) {
  then_ = [](Packet packet, Core& core) {
    EXPECT_TRUE(packet.trim_back(80));
    core.reply(std::move(packet));
  };
  arrive_chain(10, 3);
  rig_.turns(2);
  Bytes expected = chained(10, 3);
  expected.resize(112);
  EXPECT_EQ(wire(), expected);
  ASSERT_EQ(rig_.side().sent.size(), 2U);
  EXPECT_EQ(rig_.side().sent[1].options, 0U);
}

TEST_F(PollerChainTest, AKeptChainStaysAsItWas) {
  std::optional<Packet> kept;
  then_ = [&kept](Packet packet, Core& core) {
    if (packet.segments().size() > 1) {
      kept = std::move(packet);
    } else {
      core.reply(std::move(packet));
    }
  };
  arrive_chain(10, 3);
  for (std::uint32_t i = 0; i < 500; ++i) {
    ASSERT_TRUE(rig_.arrive(1000 + i));
    rig_.turn();
  }
  ASSERT_TRUE(kept);
  EXPECT_EQ(bytes_of(*kept), chained(10, 3));
  EXPECT_EQ(rig_.core->ledger().handler, 3U);
  kept.reset();
  EXPECT_EQ(rig_.core->ledger().handler, 0U);
}

TEST(BurstChainTest, AChainIsOneOfABurst) {
  std::vector<std::uint32_t> sizes;
  Rig<OnBurst> rig([&sizes](Burst& burst, Core&) {
    for (const Packet& packet : burst) sizes.push_back(packet.size());
  });
  ASSERT_TRUE(rig.arrive(1));
  ASSERT_TRUE(rig.kernel.deliver(0, numbered(2), XDP_PKT_CONTD));
  ASSERT_TRUE(rig.kernel.deliver(0, numbered(3)));
  ASSERT_TRUE(rig.arrive(4));
  rig.turn();
  EXPECT_EQ(sizes, (std::vector<std::uint32_t>{64, 128, 64}));
}

}  // namespace
}  // namespace sluice::test
