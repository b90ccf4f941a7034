// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <random>
#include <sluice/parse.hpp>
#include <unordered_set>
#include <vector>

#include "samples.hpp"

namespace sluice {
namespace {

using namespace testing;

TEST(FlowKeyTest, HoldsTheFiveTuple) {
  Bytes bytes = udp4().bytes();
  const FlowKey key = parse(bytes).flow();
  EXPECT_EQ(key.source.text(), "::ffff:192.0.2.1");
  EXPECT_EQ(key.destination.text(), "::ffff:198.51.100.2");
  EXPECT_EQ(key.source_port, 4000);
  EXPECT_EQ(key.destination_port, 53);
  EXPECT_EQ(key.protocol, Protocol::udp);
  EXPECT_EQ(key.version, 4);
  EXPECT_EQ(key.reversed().reversed(), key);
  EXPECT_NE(key.reversed(), key);

  Bytes tcp = Frame().eth().ipv4(kV4A, kV4B).tcp(4000, 53).bytes();
  EXPECT_NE(parse(tcp).flow(), key);
}

TEST(FlowKeyTest, VlanTagsAndOptionsDoNotChangeTheFlow) {
  Bytes plain = udp4().bytes();
  Bytes tagged = Frame()
                     .eth()
                     .vlan(3)
                     .ipv4(kV4A, kV4B, {.option_words = 2})
                     .udp(4000, 53)
                     .payload("x")
                     .bytes();
  EXPECT_EQ(parse(plain).flow(), parse(tagged).flow());
}

TEST(FlowKeyTest, EveryBitOfTheKeyChangesHalfOfTheHash) {
  std::mt19937_64 random(11);
  using Raw = std::array<std::uint64_t, 5>;
  constexpr int kRounds = 400;
  for (std::size_t bit = 0; bit < 304; ++bit) {  // The last 16 are zero.
    int flipped = 0;
    for (int round = 0; round < kRounds; ++round) {
      Raw raw{};
      for (auto& word : raw) word = random();
      const auto a = std::bit_cast<FlowKey>(raw).hash();
      raw[bit / 64] ^= std::uint64_t{1} << (bit % 64);
      const auto b = std::bit_cast<FlowKey>(raw).hash();
      flipped += std::popcount(a ^ b);
    }
    const double share = flipped / (64.0 * kRounds);
    ASSERT_NEAR(share, 0.5, 0.02) << "bit " << bit;
  }
}

TEST(FlowKeyTest, NeighbouringFlowsSpreadOverBucketsAndNeverCollide) {
  constexpr std::size_t kBuckets = 256;
  std::vector<int> low(kBuckets);
  std::vector<int> high(kBuckets);
  std::unordered_set<std::uint64_t> seen;
  FlowKey key{};
  key.version = 4;
  key.protocol = Protocol::udp;
  for (unsigned host = 0; host < 256; ++host) {
    for (unsigned port = 0; port < 256; ++port) {
      key.source =
          Ipv6Address::mapped({{10, 0, 0, static_cast<std::uint8_t>(host)}});
      key.source_port = static_cast<std::uint16_t>(1024 + port);
      const std::uint64_t hash = key.hash();
      seen.insert(hash);
      ++low[hash % kBuckets];
      ++high[hash >> 56];
    }
  }
  EXPECT_EQ(seen.size(), 65536u);
  for (std::size_t i = 0; i < kBuckets; ++i) {  // 256 ± 6 standard deviations.
    EXPECT_NEAR(low[i], 256, 96);
    EXPECT_NEAR(high[i], 256, 96);
  }
  EXPECT_NE(key.hash(1), key.hash(2));
}

}  // namespace
}  // namespace sluice
