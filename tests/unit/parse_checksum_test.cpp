// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <sluice/parse.hpp>

#include "samples.hpp"

namespace sluice {
namespace {

using namespace testing;

TEST(ParseChecksumTest, SamplesAreGoodAndAnyFlippedBitIsBad) {
  for (Bytes bytes : samples()) {
    const Layers layers = parse(bytes);
    if (layers.segment().empty()) continue;
    ASSERT_EQ(layers.checksum_state(), ChecksumState::good);
    // Behind the lengths of UDP: these would change what the packet is.
    for (std::size_t i = layers.payload_offset(); i < bytes.size(); ++i) {
      bytes.at(i) ^= std::byte{4};
      ASSERT_EQ(layers.checksum_state(), ChecksumState::bad) << i;
      bytes.at(i) ^= std::byte{4};
    }
    layers.ethernet()->swap_addresses();  // Not covered.
    EXPECT_EQ(layers.checksum_state(), ChecksumState::good);
  }
}

TEST(ParseChecksumTest, Ipv4HeaderCountsToo) {
  Bytes bytes = udp4().payload("x").bytes();
  parse(bytes).ipv4()->ttl--;
  EXPECT_EQ(parse(bytes).checksum_state(), ChecksumState::bad);
}

TEST(ParseChecksumTest, UdpWithoutIsAbsentOverIpv4AndBadOverIpv6) {
  Bytes v4 = udp4().payload("x").bytes();
  parse(v4).udp()->checksum = 0;
  EXPECT_EQ(parse(v4).checksum_state(), ChecksumState::absent);
  Bytes v6 = udp6().payload("x").bytes();
  parse(v6).udp()->checksum = 0;
  EXPECT_EQ(parse(v6).checksum_state(), ChecksumState::bad);
}

TEST(ParseChecksumTest, UnfinishedIsToldAndCompleted) {
  for (const Frame& frame :
       {udp4().payload("hello"), udp6().payload("hello!"),
        Frame().eth().ipv4(kV4A, kV4B).tcp(1, 2, 0x18, 1, 1, 3).payload("a"),
        Frame().eth().vlan(5).ipv6(kV6A, kV6B).tcp(1, 2).payload("ab")}) {
    Bytes bytes = frame.bytes();
    const Layers layers = parse(bytes);
    unfinish(layers);
    EXPECT_EQ(layers.checksum_state(), ChecksumState::unfinished);
    layers.complete_checksums();
    EXPECT_EQ(layers.checksum_state(), ChecksumState::good);
    EXPECT_EQ(bytes, frame.bytes());
  }
}

TEST(ParseChecksumTest, CompletingEverythingGivesWhatASenderWouldHaveWritten) {
  for (const Bytes& sample : samples()) {
    Bytes bytes = sample;
    const Layers layers = parse(bytes);
    if (layers.shape() == Shape::fragment) continue;
    if (Ipv4* ip = layers.ipv4()) ip->checksum = 0x1234;
    if (Udp* udp = layers.udp()) udp->checksum = 0x1234;
    if (Tcp* tcp = layers.tcp()) tcp->checksum = 0x1234;
    if (Icmp* icmp = layers.icmp()) icmp->checksum = 0x1234;
    if (Icmpv6* icmp = layers.icmpv6()) icmp->checksum = 0x1234;
    layers.complete_checksums();
    EXPECT_EQ(bytes, sample);
  }
}

TEST(ParseChecksumTest, UdpSumOfZeroIsSentAsOnes) {
  // One of the 65536 payloads of two bytes sums to zero.
  for (unsigned value = 0; value <= 0xffff; ++value) {
    Bytes bytes = udp4().payload(2).bytes();
    const Layers layers = parse(bytes);
    layers.payload()[0] = static_cast<std::byte>(value >> 8);
    layers.payload()[1] = static_cast<std::byte>(value);
    layers.complete_checksums();
    ASSERT_NE(layers.udp()->checksum, 0);
    ASSERT_EQ(layers.checksum_state(), ChecksumState::good);
    if (layers.udp()->checksum == 0xffff) return;
  }
  FAIL() << "no payload summed to zero";
}

TEST(ParseChecksumTest, ReversingKeepsSumsAndGivesTheReversedFlow) {
  for (Bytes bytes : samples()) {
    const Bytes original = bytes;
    const Layers layers = parse(bytes);
    const ChecksumState before = layers.checksum_state();
    const FlowKey flow = layers.flow();
    const MacAddress source = layers.ethernet()->source;
    layers.reverse();
    EXPECT_EQ(layers.checksum_state(), before);
    EXPECT_EQ(layers.flow(), flow.reversed());
    EXPECT_EQ(layers.ethernet()->destination, source);
    layers.reverse();
    EXPECT_EQ(bytes, original);
  }
}

}  // namespace
}  // namespace sluice
