// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <sluice/parse.hpp>
#include <span>

#include "samples.hpp"

namespace sluice {
namespace {

using namespace testing;

// Reads every byte that `layers` points at: ASan watches.
unsigned touch(const Layers& layers) {
  unsigned sum = 0;
  const auto read = [&sum](const auto* header) {
    if (header == nullptr) return;
    for (const std::byte byte : std::as_bytes(std::span(header, 1))) {
      sum += std::to_integer<unsigned>(byte);
    }
  };
  read(layers.ethernet());
  for (std::size_t i = 0; i < layers.vlan_tags(); ++i) read(layers.vlan(i));
  read(layers.arp());
  read(layers.ipv4());
  read(layers.ipv6());
  read(layers.fragment_header());
  read(layers.udp());
  read(layers.tcp());
  read(layers.icmp());
  read(layers.icmpv6());
  for (const std::byte b : layers.payload()) {
    sum += std::to_integer<unsigned>(b);
  }
  for (const std::byte b : layers.segment()) {
    sum += std::to_integer<unsigned>(b);
  }
  static_cast<void>(layers.flow().hash());
  static_cast<void>(layers.checksum_state());
  layers.reverse();
  layers.complete_checksums();
  return sum;
}

TEST(ParseTest, UdpOverIpv4IsWalkedToItsPayload) {
  Bytes bytes = udp4().payload("hello").bytes();
  const Layers layers = parse(bytes);
  ASSERT_EQ(layers.shape(), Shape::whole);
  ASSERT_NE(layers.udp(), nullptr);
  EXPECT_EQ(layers.ethernet()->type(), EtherType::ipv4);
  EXPECT_EQ(layers.ipv4()->source.text(), kV4A);
  EXPECT_EQ(layers.ipv4()->ttl, 64);
  EXPECT_EQ(layers.udp()->destination_port, 53);
  EXPECT_EQ(text_of(layers.payload()), "hello");
  EXPECT_EQ(layers.segment().size(), 13u);
  EXPECT_EQ(layers.payload_offset(), 42u);
  EXPECT_EQ(layers.tcp(), nullptr);
  EXPECT_EQ(layers.ipv6(), nullptr);
  EXPECT_EQ(layers.arp(), nullptr);
  EXPECT_EQ(layers.vlan(), nullptr);
}

TEST(ParseTest, EthernetPaddingIsNotPayload) {
  for (const Frame& frame :
       {udp4().payload("hi"), Frame().eth().ipv4(kV4A, kV4B).tcp(1, 2),
        Frame().eth().ipv4(kV4A, kV4B).icmp(8).payload("hi")}) {
    Bytes bytes = frame.padded(80);
    const Layers layers = parse(bytes);
    EXPECT_EQ(layers.shape(), Shape::whole);
    EXPECT_EQ(layers.payload_end(), frame.bytes().size());
    EXPECT_EQ(layers.checksum_state(), ChecksumState::good);
  }
}

TEST(ParseTest, UdpLengthBelowThatOfIpLimitsThePayload) {
  Bytes bytes = udp4().payload("hello").bytes();
  parse(bytes).udp()->length = 8 + 2;
  EXPECT_EQ(text_of(parse(bytes).payload()), "he");
}

TEST(ParseTest, TcpOptionsAreNotPayload) {
  Bytes bytes = Frame()
                    .eth()
                    .ipv6(kV6A, kV6B)
                    .tcp(80, 443, 0x18, 5, 6, 10)
                    .payload("data")
                    .bytes();
  const Layers layers = parse(bytes);
  ASSERT_NE(layers.tcp(), nullptr);
  EXPECT_EQ(layers.tcp()->header_size(), 60u);
  EXPECT_EQ(text_of(layers.payload()), "data");
}

TEST(ParseTest, StackedVlanTagsAreWalkedUpToTheirBound) {
  for (std::size_t tags = 0; tags <= Layers::kVlanTagsMax + 1; ++tags) {
    Frame frame = Frame().eth();
    for (std::size_t i = 0; i < tags; ++i) {
      frame.vlan(static_cast<std::uint16_t>(100 + i), i == 0 ? 0x88a8 : 0x8100);
    }
    Bytes bytes = frame.ipv4(kV4A, kV4B).udp(1, 2).payload("x").bytes();
    const Layers layers = parse(bytes);
    if (tags > Layers::kVlanTagsMax) {
      EXPECT_EQ(layers.shape(), Shape::unknown);
      EXPECT_EQ(layers.udp(), nullptr);
      continue;
    }
    ASSERT_NE(layers.udp(), nullptr) << tags;
    EXPECT_EQ(layers.vlan_tags(), tags);
    for (std::size_t i = 0; i < tags; ++i) {
      EXPECT_EQ(layers.vlan(i)->id(), 100 + i);
    }
    EXPECT_EQ(layers.vlan(tags), nullptr);
    EXPECT_EQ(layers.type(), EtherType::ipv4);
  }
}

TEST(ParseTest, ExtensionHeadersAreWalkedUpToTheirBound) {
  for (std::size_t count = 0; count <= Layers::kExtensionsMax + 1; ++count) {
    Frame frame = Frame().eth().ipv6(kV6A, kV6B);
    for (std::size_t i = 0; i < count; ++i) frame.extension(i == 0 ? 0 : 60);
    Bytes bytes = frame.udp(1, 2).payload("x").bytes();
    const Layers layers = parse(bytes);
    if (count > Layers::kExtensionsMax) {
      EXPECT_EQ(layers.shape(), Shape::unknown);
      EXPECT_EQ(layers.udp(), nullptr);
    } else {
      ASSERT_NE(layers.udp(), nullptr) << count;
      EXPECT_EQ(layers.checksum_state(), ChecksumState::good);
    }
  }
}

TEST(ParseTest, ExtensionThatClaimsTooMuchIsTruncated) {
  Bytes bytes = Frame().eth().ipv6(kV6A, kV6B).extension(60).udp(1, 2).bytes();
  bytes.at(14 + 40 + 1) = std::byte{255};
  const Layers layers = parse(bytes);
  EXPECT_EQ(layers.shape(), Shape::truncated);
  EXPECT_NE(layers.ipv6(), nullptr);
  EXPECT_EQ(layers.udp(), nullptr);
}

TEST(ParseTest, RoutingHeaderOnItsWayIsUnknown) {
  Bytes bytes = Frame().eth().ipv6(kV6A, kV6B).extension(43).udp(1, 2).bytes();
  bytes.at(14 + 40 + 3) = std::byte{1};
  EXPECT_EQ(parse(bytes).shape(), Shape::unknown);
  bytes.at(14 + 40 + 3) = std::byte{0};
  EXPECT_EQ(parse(bytes).shape(), Shape::whole);
}

TEST(ParseTest, AuthenticationHeaderCountsInWordsOfFour) {
  // 12 bytes of AH and 12 of check value: length field 4.
  Bytes bytes = Frame().eth().ipv6(kV6A, kV6B).extension(51).bytes();
  bytes.resize(14 + 40 + 24 + 8);
  const Bytes udp = udp6().bytes();
  std::copy(udp.begin() + 54, udp.end(), bytes.begin() + 14 + 40 + 24);
  bytes.at(14 + 40) = std::byte{17};
  bytes.at(14 + 40 + 1) = std::byte{4};
  parse(bytes).ipv6()->payload_length = 24 + 8;
  const Layers layers = parse(bytes);
  ASSERT_NE(layers.udp(), nullptr);
  EXPECT_EQ(layers.udp()->destination_port, 53);
}

TEST(ParseTest, FragmentsHaveNoLayer4NotEvenTheFirst) {
  for (const Ipv4Fields& fields :
       {Ipv4Fields{.more_fragments = true},
        Ipv4Fields{.more_fragments = true, .fragment_offset = 100},
        Ipv4Fields{.fragment_offset = 100}}) {
    Bytes bytes =
        Frame().eth().ipv4(kV4A, kV4B, fields).udp(1, 2).payload("x").bytes();
    const Layers layers = parse(bytes);
    EXPECT_EQ(layers.shape(), Shape::fragment);
    EXPECT_EQ(layers.udp(), nullptr);
    EXPECT_NE(layers.ipv4(), nullptr);
    EXPECT_EQ(layers.payload().size(), 9u);
    EXPECT_EQ(layers.protocol(), Protocol::udp);
    EXPECT_EQ(layers.checksum_state(), ChecksumState::absent);
    EXPECT_EQ(layers.flow().source_port, 0);
  }
  Bytes bytes =
      Frame().eth().ipv6(kV6A, kV6B).fragment6(0, true).udp(1, 2).bytes();
  const Layers layers = parse(bytes);
  EXPECT_EQ(layers.shape(), Shape::fragment);
  EXPECT_EQ(layers.udp(), nullptr);
  ASSERT_NE(layers.fragment_header(), nullptr);
  EXPECT_TRUE(layers.fragment_header()->more_fragments());
}

TEST(ParseTest, FragmentsOfADatagramShareTheirFlow) {
  Bytes first = Frame()
                    .eth()
                    .ipv4(kV4A, kV4B, {.more_fragments = true})
                    .udp(4000, 53)
                    .payload(16)
                    .bytes();
  Bytes second = Frame()
                     .eth()
                     .ipv4(kV4A, kV4B, {.fragment_offset = 3})
                     .protocol(17)
                     .payload(16)
                     .bytes();
  EXPECT_EQ(parse(first).flow(), parse(second).flow());
}

TEST(ParseTest, AtomicFragmentIsWhole) {
  Bytes bytes = Frame()
                    .eth()
                    .ipv6(kV6A, kV6B)
                    .fragment6(0, false)
                    .udp(1, 2)
                    .payload("x")
                    .bytes();
  const Layers layers = parse(bytes);
  EXPECT_EQ(layers.shape(), Shape::whole);
  ASSERT_NE(layers.udp(), nullptr);
  EXPECT_NE(layers.fragment_header(), nullptr);
}

TEST(ParseTest, BadIhlIsMalformed) {
  for (int words = 0; words < 16; ++words) {
    Bytes bytes = udp4().payload(200).bytes();
    bytes.at(14) = static_cast<std::byte>(0x40 | words);
    const Layers layers = parse(bytes);
    if (words < 5) {
      EXPECT_EQ(layers.shape(), Shape::malformed) << words;
      EXPECT_EQ(layers.ipv4(), nullptr);
    } else {
      EXPECT_NE(layers.ipv4(), nullptr);
    }
  }
}

TEST(ParseTest, WrongVersionIsMalformed) {
  Bytes v4 = udp4().bytes();
  v4.at(14) = std::byte{0x65};
  EXPECT_EQ(parse(v4).shape(), Shape::malformed);
  Bytes v6 = udp6().bytes();
  v6.at(14) = std::byte{0x40};
  EXPECT_EQ(parse(v6).shape(), Shape::malformed);
  EXPECT_EQ(parse(v6).ipv6(), nullptr);
}

TEST(ParseTest, EveryTotalLengthIsJudgedByItsSize) {
  const Bytes original = udp4().payload("hello").bytes();
  const std::size_t right = original.size() - 14;
  for (std::size_t length = 0; length < 100; ++length) {
    Bytes bytes = original;
    bytes.at(16) = std::byte{0};
    bytes.at(17) = static_cast<std::byte>(length);
    const Layers layers = parse(bytes);
    const Shape expected = length < 20       ? Shape::malformed
                           : length == right ? Shape::whole
                                             : Shape::truncated;
    EXPECT_EQ(layers.shape(), expected) << length;
    EXPECT_EQ(layers.udp() != nullptr, length == right) << length;
    touch(layers);
  }
}

TEST(ParseTest, BadUdpAndTcpLengthsAreToldApart) {
  Bytes udp = udp4().payload("hello").bytes();
  parse(udp).udp()->length = 7;
  EXPECT_EQ(parse(udp).shape(), Shape::malformed);
  udp.at(14 + 20 + 5) = std::byte{14};
  EXPECT_EQ(parse(udp).shape(), Shape::truncated);

  Bytes tcp = Frame().eth().ipv4(kV4A, kV4B).tcp(1, 2).bytes();
  tcp.at(14 + 20 + 12) = std::byte{0x40};
  EXPECT_EQ(parse(tcp).shape(), Shape::malformed);
  tcp.at(14 + 20 + 12) = std::byte{0x60};
  EXPECT_EQ(parse(tcp).shape(), Shape::truncated);
}

TEST(ParseTest, UnknownProtocolsGiveTheirBytes) {
  Bytes sctp = Frame().eth().ipv4(kV4A, kV4B).sctp(1, 2).bytes();
  const Layers inner = parse(sctp);
  EXPECT_EQ(inner.shape(), Shape::unknown);
  EXPECT_EQ(inner.protocol(), Protocol{132});
  EXPECT_EQ(inner.payload().size(), 12u);
  EXPECT_EQ(inner.checksum_state(), ChecksumState::absent);

  Bytes lldp = Frame().eth().ethertype(0x88cc).payload("lldp").bytes();
  const Layers outer = parse(lldp);
  EXPECT_EQ(outer.shape(), Shape::unknown);
  EXPECT_EQ(text_of(outer.payload()), "lldp");
  EXPECT_EQ(outer.flow(), FlowKey{});
}

TEST(ParseTest, IcmpOfTheOtherFamilyIsUnknown) {
  Bytes v4 = Frame().eth().ipv4(kV4A, kV4B).protocol(58).payload(8).bytes();
  EXPECT_EQ(parse(v4).shape(), Shape::unknown);
  Bytes v6 = Frame().eth().ipv6(kV6A, kV6B).protocol(1).payload(8).bytes();
  EXPECT_EQ(parse(v6).shape(), Shape::unknown);
}

TEST(ParseTest, ArpIsWholeAndOtherHardwareUnknown) {
  Bytes bytes = Frame().eth().arp(1, kV4A, kV4B).padded();
  const Layers layers = parse(bytes);
  EXPECT_EQ(layers.shape(), Shape::whole);
  ASSERT_NE(layers.arp(), nullptr);
  EXPECT_EQ(layers.arp()->target.text(), kV4B);
  EXPECT_TRUE(layers.payload().empty());
  bytes.at(14 + 4) = std::byte{8};
  EXPECT_EQ(parse(bytes).shape(), Shape::unknown);
  EXPECT_EQ(parse(bytes).arp(), nullptr);
}

TEST(ParseTest, TruncationAtEveryLengthReadsNothingBeyond) {
  for (const Bytes& sample : samples()) {
    Bytes copy = sample;
    const Shape full = parse(copy).shape();
    for (std::size_t size = 0; size <= sample.size(); ++size) {
      // On the heap to its last byte, so that ASan sees any byte too many.
      const auto exact = std::make_unique<std::byte[]>(size);
      std::ranges::copy(std::span(sample).first(size), exact.get());
      const Layers layers = parse(std::span(exact.get(), size));
      if (size == sample.size()) {
        EXPECT_EQ(layers.shape(), full);
      } else if (full == Shape::whole) {
        EXPECT_EQ(layers.shape(), Shape::truncated) << size;
        EXPECT_EQ(layers.udp(), nullptr);
        EXPECT_EQ(layers.tcp(), nullptr);
        EXPECT_EQ(layers.icmp(), nullptr);
        EXPECT_EQ(layers.icmpv6(), nullptr);
      }
      touch(layers);
    }
  }
}

TEST(ParseTest, RandomDamageReadsNothingBeyond) {
  std::mt19937 random(7);
  for (const Bytes& sample : samples()) {
    for (int round = 0; round < 3000; ++round) {
      const std::size_t size = random() % (sample.size() + 1);
      const auto exact = std::make_unique<std::byte[]>(size);
      std::ranges::copy(std::span(sample).first(size), exact.get());
      for (int i = 0; i < 4 && size > 12; ++i) {
        exact[12 + random() % (size - 12)] = static_cast<std::byte>(random());
      }
      touch(parse(std::span(exact.get(), size)));
    }
  }
}

}  // namespace
}  // namespace sluice
