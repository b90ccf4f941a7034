// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <sluice/checksum.hpp>
#include <span>
#include <vector>

namespace sluice {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

// The definition, word by word: what the fast one must agree with.
std::uint16_t reference_sum(std::span<const std::byte> bytes) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = std::to_integer<std::uint64_t>(bytes[i]);
    total += i % 2 == 0 ? byte << 8 : byte;
  }
  while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint16_t>(total);
}

class Random {
 public:
  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(engine_);
  }
  // Many zeros and ones: where carries and the two zeros hide.
  Bytes bytes(std::size_t size) {
    const std::size_t kind = below(4);
    Bytes bytes(size);
    for (std::byte& byte : bytes) {
      byte = kind == 0   ? std::byte{0xff}
             : kind == 1 ? static_cast<std::byte>(below(2) * 0xff)
                         : static_cast<std::byte>(below(256));
    }
    return bytes;
  }

 private:
  std::mt19937_64 engine_{20240607};
};

TEST(ChecksumTest, ExampleOfRfc1071AddsUpToDdf2) {
  const Bytes bytes =
      bytes_of({0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7});
  EXPECT_EQ(sum_of(bytes).folded(), 0xddf2);
  EXPECT_EQ(sum_of(bytes).checksum(), 0x220d);
}

TEST(ChecksumTest, NothingSumsToZero) {
  EXPECT_EQ(Sum().folded(), 0);
  EXPECT_EQ(sum_of(Bytes{}).checksum(), 0xffff);
}

TEST(ChecksumTest, EverySizeAtEveryAlignmentAgreesWithTheDefinition) {
  Random random;
  for (std::size_t size = 0; size <= 130; ++size) {
    for (std::size_t offset = 0; offset < 9; ++offset) {
      const Bytes bytes = random.bytes(offset + size);
      // On the heap to its last byte, so that ASan sees any byte too many.
      const auto exact = std::make_unique<std::byte[]>(bytes.size());
      std::copy(bytes.begin(), bytes.end(), exact.get());
      const std::span part(exact.get() + offset, size);
      ASSERT_EQ(sum_of(part).folded(), reference_sum(part))
          << size << " bytes at " << offset;
    }
  }
}

TEST(ChecksumTest, LongRunsOfOnesKeepTheirCarries) {
  for (const std::size_t size : {1499u, 1500u, 9001u, 65535u}) {
    const Bytes ones(size, std::byte{0xff});
    EXPECT_EQ(sum_of(ones).folded(), reference_sum(ones)) << size;
  }
}

TEST(ChecksumTest, PartsAddUpToTheWholeWhereverItIsCut) {
  Random random;
  for (int round = 0; round < 2000; ++round) {
    const Bytes whole = random.bytes(random.below(90));
    const std::size_t first = random.below(whole.size() + 1);
    const std::size_t second = first + random.below(whole.size() - first + 1);
    const std::span all(whole);
    Sum sum;
    sum.add(all.first(first))
        .add(all.subspan(first, second - first))
        .add(all.subspan(second));
    ASSERT_EQ(sum.folded(), reference_sum(whole))
        << whole.size() << " cut at " << first << " and " << second;
  }
}

TEST(ChecksumTest, NumbersAndHeadersAddLikeTheirBytes) {
  const Bytes bytes = bytes_of({0x12, 0x34, 0xfe, 0xdc, 0xba, 0x98});
  Sum numbers;
  numbers.add(be16{0x1234}).add(be32{0xfedcba98});
  EXPECT_EQ(numbers.folded(), sum_of(bytes).folded());

  const Ipv4Address address{{10, 0, 0, 1}};
  EXPECT_EQ(sum_of(address).folded(), 0x0a00 + 0x0001);
}

TEST(ChecksumTest, PseudoHeadersAreThoseOfTheRfcs) {
  const Ipv4Address a{{192, 0, 2, 1}};
  const Ipv4Address b{{198, 51, 100, 2}};
  const Bytes v4 = bytes_of({192, 0, 2, 1, 198, 51, 100, 2, 0, 17, 0x02, 0x01});
  EXPECT_EQ(pseudo_header_sum(a, b, Protocol::udp, 0x0201).folded(),
            reference_sum(v4));

  const Ipv6Address c{{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  Bytes v6;
  for (int twice = 0; twice < 2; ++twice) {
    for (const auto byte : c.bytes) v6.push_back(std::byte{byte});
  }
  for (const int byte : {0, 1, 0x86, 0xa1, 0, 0, 0, 58}) {
    v6.push_back(static_cast<std::byte>(byte));
  }
  EXPECT_EQ(pseudo_header_sum(c, c, Protocol::icmpv6, 100001).folded(),
            reference_sum(v6));
}

// RFC 1624, 4: the example in which equation 2 gives 0xffff.
TEST(ChecksumTest, ExampleOfRfc1624GivesZeroAndNotOnes) {
  be16 checksum = 0xdd2f;
  mend_checksum(checksum, Sum().add(be16{0x5555}), Sum().add(be16{0x3285}));
  EXPECT_EQ(checksum, 0x0000);
}

TEST(ChecksumTest, MendingAWordGivesTheFullSumAlways) {
  // All 65536 values of the word that changes, against neighbours that bring
  // the sum to both zeros and beside them.
  for (std::uint32_t from = 0; from <= 0xffff; from += 0x101) {
    for (std::uint32_t to = 0; to <= 0xffff; ++to) {
      const be16 old_word = static_cast<std::uint16_t>(from);
      const be16 new_word = static_cast<std::uint16_t>(to);
      const be16 rest = static_cast<std::uint16_t>(~to | 1);
      be16 checksum = Sum().add(rest).add(old_word).checksum();
      mend_checksum(checksum, Sum().add(old_word), Sum().add(new_word));
      ASSERT_EQ(checksum, Sum().add(rest).add(new_word).checksum())
          << from << " to " << to;
    }
  }
}

TEST(ChecksumTest, MendingAnyPartGivesTheFullSum) {
  Random random;
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = random.bytes(20 + random.below(60));
    bytes[0] = std::byte{0x45};  // As of a header, it is never all zeros.
    const std::size_t at = 2 + random.below(bytes.size() - 2);
    const std::size_t size = random.below(bytes.size() - at + 1);
    const std::span part = std::span(bytes).subspan(at, size);
    const bool odd = at % 2 != 0;
    be16 checksum = sum_of(bytes).checksum();
    be16 udp = sum_of(bytes).udp_checksum();
    const Sum before = Sum().start_odd(odd).add(part);
    const Bytes with = random.bytes(size);
    std::copy(with.begin(), with.end(), part.begin());
    const Sum after = Sum().start_odd(odd).add(part);
    mend_checksum(checksum, before, after);
    mend_udp_checksum(udp, before, after);
    ASSERT_EQ(checksum, sum_of(bytes).checksum()) << round;
    ASSERT_EQ(udp, sum_of(bytes).udp_checksum()) << round;
  }
}

TEST(ChecksumTest, UdpWithoutChecksumStaysWithout) {
  be16 checksum = 0;
  mend_udp_checksum(checksum, Sum().add(be16{1}), Sum().add(be16{2}));
  EXPECT_EQ(checksum, 0);
}

TEST(ChecksumTest, UdpSumOfZeroIsWrittenAsOnes) {
  EXPECT_EQ(Sum().add(be16{0xffff}).checksum(), 0);
  EXPECT_EQ(Sum().add(be16{0xffff}).udp_checksum(), 0xffff);

  be16 checksum = Sum().add(be16{0x1234}).udp_checksum();
  mend_udp_checksum(checksum, Sum().add(be16{0x1234}), Sum().add(be16{0xffff}));
  EXPECT_EQ(checksum, 0xffff);
}

}  // namespace
}  // namespace sluice
