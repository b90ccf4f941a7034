// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/parse.hpp>
#include <span>

#include "samples.hpp"

namespace sluice {
namespace {

using namespace testing;

class ResizeTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kFrameSize = 2048;

  Packet packet(const Bytes& bytes) {
    const std::uint64_t frame = pool_.frame_of(pool_.take());
    pool_.moved(frame, FrameOwner::pool, FrameOwner::handler);
    pool_.hold(1);
    Packet packet(pool_, frame + Packet::kHeadroom,
                  static_cast<std::uint32_t>(bytes.size()), {});
    // What was there before must not show in a payload that grows.
    const auto room = kFrameSize - Packet::kHeadroom;
    std::fill_n(packet.bytes().data(), room, std::byte{0xa5});
    std::copy(bytes.begin(), bytes.end(), packet.bytes().begin());
    return packet;
  }
  static Bytes bytes_of(const Packet& packet) {
    return {packet.bytes().begin(), packet.bytes().end()};
  }

  std::unique_ptr<std::byte[]> umem_{new std::byte[4 * kFrameSize]};
  FramePool pool_{std::span(umem_.get(), 4 * kFrameSize), kFrameSize};
};

// The frame as its builder would have made it with that payload.
Bytes rebuilt(const Frame& head, const Bytes& payload, std::size_t size) {
  Bytes resized = payload;
  resized.resize(size);
  Frame frame = head;
  return frame.payload(std::span<const std::byte>(resized)).bytes();
}

TEST_F(ResizeTest, EverySizeGivesWhatASenderWouldHaveWritten) {
  const Bytes text(37, std::byte{0x93});
  for (const Frame& head :
       {udp4(), udp6(), Frame().eth().vlan(9).ipv4(kV4A, kV4B).udp(1, 2),
        Frame().eth().ipv4(kV4A, kV4B, {.option_words = 1}).tcp(1, 2),
        Frame().eth().ipv6(kV6A, kV6B).extension(60).tcp(1, 2, 2, 1, 1, 3),
        Frame().eth().ipv4(kV4A, kV4B).icmp(8),
        Frame().eth().ipv6(kV6A, kV6B).icmp6(128)}) {
    for (std::size_t from = 0; from <= text.size(); ++from) {
      const Bytes payload(text.begin(),
                          text.begin() + static_cast<std::ptrdiff_t>(from));
      for (std::size_t to = 0; to <= 64; ++to) {
        Packet packet = this->packet(rebuilt(head, payload, from));
        ASSERT_TRUE(resize_payload(packet, to));
        ASSERT_EQ(bytes_of(packet), rebuilt(head, payload, to))
            << from << " to " << to;
      }
    }
  }
}

TEST_F(ResizeTest, EthernetPaddingGoesAndNeverShows) {
  Frame frame = udp4().payload("hi");
  for (const std::size_t to : {0u, 2u, 5u, 30u}) {
    Bytes padded = frame.padded(60);
    std::fill(padded.begin() + 44, padded.end(), std::byte{0xee});
    Packet packet = this->packet(padded);
    ASSERT_TRUE(resize_payload(packet, to));
    EXPECT_EQ(bytes_of(packet),
              rebuilt(udp4(), {std::byte{'h'}, std::byte{'i'}}, to));
  }
}

TEST_F(ResizeTest, UnfinishedStaysUnfinishedAndNoneStaysNone) {
  for (const std::size_t to : {3u, 5u, 40u}) {
    Packet packet = this->packet(udp4().payload("hello").bytes());
    unfinish(parse(packet));
    ASSERT_TRUE(resize_payload(packet, to));
    EXPECT_EQ(parse(packet).checksum_state(), ChecksumState::unfinished);

    Packet without = this->packet(udp4().payload("hello").bytes());
    parse(without).udp()->checksum = 0;
    ASSERT_TRUE(resize_payload(without, to));
    EXPECT_EQ(parse(without).udp()->checksum, 0);
    EXPECT_EQ(parse(without).checksum_state(), ChecksumState::absent);
  }
}

TEST_F(ResizeTest, WrongSumStaysWrong) {
  Packet packet = this->packet(udp4().payload("hello").bytes());
  parse(packet).payload()[0] ^= std::byte{1};
  ASSERT_TRUE(resize_payload(packet, 3));
  EXPECT_EQ(parse(packet).checksum_state(), ChecksumState::bad);
}

TEST_F(ResizeTest, GoodSumThatLooksUnfinishedIsMended) {
  // Look for the payload whose right sum is that of the pseudo-header.
  for (unsigned value = 0; value <= 0xffff; ++value) {
    Packet packet = this->packet(udp4().payload(4).bytes());
    const Layers layers = parse(packet);
    layers.payload()[0] = static_cast<std::byte>(value >> 8);
    layers.payload()[1] = static_cast<std::byte>(value);
    unfinish(layers);
    if (layers.checksum_state() != ChecksumState::good) continue;
    ASSERT_TRUE(resize_payload(packet, 3));
    EXPECT_EQ(parse(packet).checksum_state(), ChecksumState::good);
    return;
  }
  FAIL() << "no such payload";
}

TEST_F(ResizeTest, WhatCannotBeResizedIsLeftAlone) {
  const std::size_t room = kFrameSize - Packet::kHeadroom - 42;
  Packet packet = this->packet(udp4().payload("hello").bytes());
  EXPECT_FALSE(resize_payload(packet, room + 1));
  EXPECT_FALSE(resize_payload(packet, 65536));
  EXPECT_FALSE(resize_payload(packet, SIZE_MAX));
  EXPECT_EQ(bytes_of(packet), udp4().payload("hello").bytes());
  EXPECT_TRUE(resize_payload(packet, room));
  EXPECT_EQ(parse(packet).checksum_state(), ChecksumState::good);

  for (const Bytes& bytes : {Frame().eth().arp(1, kV4A, kV4B).bytes(),
                             Frame().eth().ipv4(kV4A, kV4B).sctp(1, 2).bytes(),
                             Frame()
                                 .eth()
                                 .ipv4(kV4A, kV4B, {.more_fragments = true})
                                 .udp(1, 2)
                                 .bytes()}) {
    Packet other = this->packet(bytes);
    EXPECT_FALSE(resize_payload(other, 4));
    EXPECT_EQ(bytes_of(other), bytes);
  }
}

}  // namespace
}  // namespace sluice
