// SPDX-License-Identifier: Apache-2.0
// Scenarios of TX metadata. For one source of a program.
// Source: Documentation/networking/xsk-tx-metadata.rst.
#pragma once

#include <array>
#include <bit>
#include <cstring>
#include <sluice/checksum.hpp>

#include "kernel_traits.hpp"

namespace sluice::testing {

/// A packet of one frame, at `kAt` in it, and what is asked for it.
class OffloadTraits : public KernelTraits {
 protected:
  OffloadTraits() : KernelTraits({.multi_buffer = true, .tx_metadata = true}) {}

  static constexpr std::uint64_t kAt = 256;
  static constexpr std::uint16_t kStart = 14;  // Behind the Ethernet header.
  static constexpr std::uint16_t kOffset = 4;

  void SetUp() override {
    KernelTraits::SetUp();
    if (side_ && !side_->tx_metadata()) {
      GTEST_SKIP() << "This kernel takes no TX metadata (Linux 6.8).";
    }
  }
  void ask(std::uint64_t number, const TxMetadata& asked) {
    std::memcpy(&at(number) - sizeof asked, &asked, sizeof asked);
  }
  TxMetadata asked(std::uint64_t number) {
    TxMetadata metadata{};
    std::memcpy(&metadata, &at(number) - sizeof metadata, sizeof metadata);
    return metadata;
  }
  // With a field of zero for the checksum.
  void write_packet(std::uint64_t number, std::uint32_t size) {
    write(frame(number) + kAt, size);
    std::memset(&at(number) + kStart + kOffset, 0, 2);
  }
  void put_packet(std::uint64_t number, std::uint32_t size,
                  std::uint32_t options) {
    write_packet(number, size);
    put({frame(number) + kAt, size, options});
  }
  static TxMetadata checksum() {
    TxMetadata metadata{};
    metadata.flags = kTxChecksum;
    metadata.checksum_start = kStart;
    metadata.checksum_offset = kOffset;
    return metadata;
  }
  static std::array<std::uint64_t, 3> words(const TxMetadata& metadata) {
    return std::bit_cast<std::array<std::uint64_t, 3>>(metadata);
  }
  static bool complete(const Bytes& packet) {
    return sum_of(std::span(packet).subspan(kStart)).folded() == 0xffff;
  }
  std::byte& at(std::uint64_t number) {
    return side_->memory()[frame(number) + kAt];
  }
};

TEST_P(OffloadTraits, ADescriptorWithoutRoomForMetadataIsInvalid) {
  write(frame(130) + 23, 60);
  put({frame(130) + 23, 60, 0});  // Though it says that it has none.
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(side_->statistics().tx_invalid, 1U);
  EXPECT_THAT(completions(1), ElementsAre(frame(130) + 23));
  write(frame(131) + 24, 60);
  put({frame(131) + 24, 60, 0});
  EXPECT_EQ(kick(), 0);
  EXPECT_EQ(side_->statistics().tx_invalid, 1U);
  EXPECT_THAT(departed(), ElementsAre(60U));
}

TEST_P(OffloadTraits, TheChecksumIsCompletedOfThosePacketsThatSaySo) {
  for (std::uint64_t i = 128; i < 136; ++i) ask(i, checksum());
  for (std::uint64_t i = 128; i < 136; ++i) {
    put_packet(i, 60 + static_cast<std::uint32_t>(i % 8),
               i % 2 == 0 ? XDP_TX_METADATA : 0U);
  }
  EXPECT_EQ(kick(), 0);
  const auto sent = side_->departed();
  ASSERT_THAT(sent, SizeIs(8));
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(complete(sent[i]), i % 2 == 0) << i;
  }
  EXPECT_THAT(completions(8), SizeIs(8));
}

TEST_P(OffloadTraits, OfAChainTheFirstDescriptorSpeaksForAll) {
  ask(128, checksum());
  write_packet(128, 61);
  write(frame(129) + kAt, 50);
  TxMetadata nonsense{};
  nonsense.flags = 1U << 7;
  ask(129, nonsense);
  put({frame(128) + kAt, 61, XDP_TX_METADATA | XDP_PKT_CONTD});
  put({frame(129) + kAt, 50, XDP_TX_METADATA});
  EXPECT_EQ(kick(), 0);
  const auto sent = side_->departed();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].size(), 111U);
  EXPECT_TRUE(complete(sent[0]));
}

TEST_P(OffloadTraits, TheTimeIsThereWhenTheFrameComesBack) {
  TxMetadata metadata = checksum();
  metadata.flags |= kTxTimestamp;
  ask(128, metadata);
  ask(129, metadata);
  put_packet(128, 60, XDP_TX_METADATA);
  put_packet(129, 60, 0);
  EXPECT_EQ(kick(), 0);
  EXPECT_THAT(completions(2), SizeIs(2));
  EXPECT_NE(words(asked(128))[1], words(metadata)[1]);
  EXPECT_EQ(words(asked(129)), words(metadata)) << "it did not say so";
  const auto sent = side_->departed();
  ASSERT_THAT(sent, SizeIs(2));
  EXPECT_TRUE(complete(sent[0])) << "both at once";
}

TEST_P(OffloadTraits, WhatTheKernelDoesNotKnowIsRefusedAndStays) {
  TxMetadata unknown{};
  unknown.flags = 1U << 7;
  TxMetadata beyond = checksum();
  beyond.checksum_offset = 60 - kStart - 1;
  std::uint64_t number = 128;
  for (const TxMetadata& bad : {unknown, beyond}) {
    ask(number, bad);
    put_packet(number, 60, XDP_TX_METADATA);
    EXPECT_EQ(kick(), EINVAL);
    EXPECT_EQ(kick(), EINVAL);
    EXPECT_EQ(tx_->unconsumed(), 1U);
    EXPECT_THAT(completions(2),
                ElementsAre(frame(number) + kAt, frame(number) + kAt));
    EXPECT_EQ(side_->statistics().tx_invalid, 0U);
    ask(number, {});  // Nothing is asked: now it goes.
    EXPECT_EQ(kick(), 0);
    EXPECT_THAT(completions(1), ElementsAre(frame(number) + kAt));
    EXPECT_THAT(departed(), ElementsAre(60U));
    ++number;
  }
}

TEST_P(OffloadTraits, InCopyModeALaunchTimeHoldsNothingBack) {
  TxMetadata late{};
  late.flags = kTxLaunchTime;
  late.launch_time = ~0ULL >> 1;
  ask(128, late);
  put_packet(128, 60, XDP_TX_METADATA);
  const int error = kick();
  if (error == EINVAL) GTEST_SKIP() << "It came with Linux 6.14.";
  EXPECT_EQ(error, 0);
  EXPECT_THAT(departed(), ElementsAre(60U));
  EXPECT_THAT(completions(1), ElementsAre(frame(128) + kAt));
}

}  // namespace sluice::testing
