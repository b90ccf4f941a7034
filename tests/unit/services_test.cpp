// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <sluice/handler.hpp>
#include <sluice/services/drop.hpp>
#include <sluice/services/forward.hpp>
#include <sluice/services/macswap.hpp>
#include <sluice/services/reflect.hpp>

#include "handler_bench.hpp"
#include "samples.hpp"

namespace sluice::services {
namespace {

using namespace testing;

static_assert(Handler<Drop> && Handler<MacSwap> && Handler<Reflect>);
static_assert(Handler<Forward>);

TEST(DropTest, EveryPacketDiesCounted) {
  Bench<Drop> bench;
  std::size_t bytes = 0;
  for (const Bytes& sample : samples()) {
    EXPECT_FALSE(bench.answer(sample));
    bytes += sample.size();
  }
  EXPECT_EQ(bench.count("dropped_packets"), samples().size());
  EXPECT_EQ(bench.count("dropped_bytes"), bytes);
}

TEST(MacSwapTest, AddressesAreSwappedAndNothingElse) {
  Bench<MacSwap> bench;
  for (const Bytes& sample : samples()) {
    Bytes expected = sample;
    parse(expected).ethernet()->swap_addresses();
    EXPECT_EQ(bench.answer(sample), expected);
  }
}

TEST(MacSwapTest, RuntsDieCounted) {
  Bench<MacSwap> bench;
  EXPECT_FALSE(bench.answer(Bytes(13)));
  EXPECT_TRUE(bench.answer(Bytes(14)));
  EXPECT_EQ(bench.count("dropped_truncated"), 1u);
}

TEST(ForwardTest, PacketsLeaveByTheOtherPortUnchanged) {
  Bench<Forward> bench({}, 2);
  for (const Bytes& sample : samples()) {
    EXPECT_EQ(bench.answer(sample, 0, 1), sample);
    EXPECT_EQ(bench.answer(sample, 1, 0), sample);
  }
}

TEST(ForwardTest, OtherThanTwoPortsIsRefused) {
  EXPECT_TRUE(Bench<Forward>({}, 1).failure());
  EXPECT_FALSE(Bench<Forward>({}, 2).failure());
  EXPECT_TRUE(Bench<Forward>({}, 3).failure());
}

TEST(ReflectTest, UdpAndTcpComeBackAsTheirAnswersWouldBe) {
  Bench<Reflect> bench;
  EXPECT_EQ(bench.answer(udp4().payload("hello")), Frame()
                                                       .eth(kMacB, kMacA)
                                                       .ipv4(kV4B, kV4A)
                                                       .udp(53, 4000)
                                                       .payload("hello")
                                                       .bytes());
  EXPECT_EQ(
      bench.answer(Frame().eth().vlan(7).ipv6(kV6A, kV6B).tcp(1, 2)),
      Frame().eth(kMacB, kMacA).vlan(7).ipv6(kV6B, kV6A).tcp(2, 1).bytes());
  EXPECT_EQ(bench.count("reflected"), 2u);
}

TEST(ReflectTest, PingsAreAnswered) {
  Bench<Reflect> bench;
  EXPECT_EQ(bench.answer(
                Frame().eth().ipv4(kV4A, kV4B).icmp(8, 0, 7, 9).payload("abc")),
            Frame()
                .eth(kMacB, kMacA)
                .ipv4(kV4B, kV4A)
                .icmp(0, 0, 7, 9)
                .payload("abc")
                .bytes());
  EXPECT_EQ(
      bench.answer(
          Frame().eth().ipv6(kV6A, kV6B).icmp6(128, 0, 7, 9).payload("abc")),
      Frame()
          .eth(kMacB, kMacA)
          .ipv6(kV6B, kV6A)
          .icmp6(129, 0, 7, 9)
          .payload("abc")
          .bytes());
}

TEST(ReflectTest, UnfinishedSumsAreCompleted) {
  Bench<Reflect> bench;
  Bytes bytes = udp6().payload("hello");
  unfinish(parse(bytes));
  auto answer = bench.answer(bytes);
  ASSERT_TRUE(answer);
  EXPECT_EQ(parse(*answer).checksum_state(), ChecksumState::good);
  EXPECT_EQ(bench.count("checksums_completed"), 1u);
}

TEST(ReflectTest, WrongSumsAreNotMadeRight) {
  Bench<Reflect> bench;
  Bytes bytes = udp4().payload("hello");
  bytes.back() ^= std::byte{1};
  auto answer = bench.answer(bytes);
  ASSERT_TRUE(answer);
  EXPECT_EQ(parse(*answer).checksum_state(), ChecksumState::bad);
}

TEST(ReflectTest, TheRestDiesCountedByReason) {
  Bench<Reflect> bench;
  EXPECT_FALSE(bench.answer(Frame().eth().arp(1, kV4A, kV4B)));
  EXPECT_FALSE(bench.answer(Frame().eth().ipv4(kV4A, kV4B).icmp(0)));
  EXPECT_FALSE(bench.answer(Frame().eth().ipv4(kV4A, kV4B).sctp(1, 2)));
  EXPECT_EQ(bench.count("dropped_unknown"), 3u);
  EXPECT_FALSE(bench.answer(
      Frame().eth().ipv4(kV4A, kV4B, {.more_fragments = true}).udp(1, 2)));
  EXPECT_EQ(bench.count("dropped_fragment"), 1u);
  Bytes cut = udp4().payload("hello");
  cut.pop_back();
  EXPECT_FALSE(bench.answer(cut));
  EXPECT_EQ(bench.count("dropped_truncated"), 1u);
  Bytes bad = udp4();
  bad.at(14) = std::byte{0x44};
  EXPECT_FALSE(bench.answer(bad));
  EXPECT_EQ(bench.count("dropped_malformed"), 1u);
  EXPECT_EQ(bench.count("reflected"), 0u);
}

TEST(ReflectTest, TruncatedSamplesAtEveryLengthNeverGoOut) {
  Bench<Reflect> bench;
  for (const Bytes& sample : samples()) {
    for (std::size_t size = 1; size < sample.size(); ++size) {
      const auto part = sample.begin() + static_cast<std::ptrdiff_t>(size);
      ASSERT_FALSE(bench.answer(Bytes(sample.begin(), part))) << size;
    }
  }
}

}  // namespace
}  // namespace sluice::services
