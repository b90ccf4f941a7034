// SPDX-License-Identifier: Apache-2.0
// What is asked of a device as it sends: what stands in front of a packet, and
// what the CPU does instead.
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <sluice/parse.hpp>
#include <sluice/tx_offload.hpp>
#include <utility>
#include <vector>

#include "offering_core.hpp"

namespace sluice::test {
namespace {

using testing::Bytes;
using testing::Frame;

// --- leave_checksum ----------------------------------------------------------

Bytes completed(Bytes bytes) {
  parse(bytes).complete_checksums();
  return bytes;
}
// As a device does it.
void complete(Bytes& bytes, const TxChecksum& checksum) {
  const be16 sum =
      sum_of(std::span(bytes).subspan(checksum.start)).udp_checksum();
  std::memcpy(&bytes.at(std::size_t{checksum.start} + checksum.offset), &sum,
              sizeof sum);
}

TEST(LeaveChecksumTest, LeavesLayer4ToTheDeviceAndCompletesTheRest) {
  for (Bytes bytes : testing::samples()) {
    const Layers layers = parse(bytes);
    if (layers.segment().empty()) continue;
    const Bytes right = completed(bytes);
    // Whatever stood in the fields before.
    if (Ipv4* ip = layers.ipv4()) ip->checksum = 0x1234;
    if (Udp* udp = layers.udp()) udp->checksum = 0x1234;
    const auto left = layers.leave_checksum();
    if (!left) {
      EXPECT_EQ(bytes, right) << "what is not left is complete";
      continue;
    }
    EXPECT_EQ(layers.segment().data(), bytes.data() + left->start);
    complete(bytes, *left);
    EXPECT_EQ(bytes, right);
  }
}

TEST(LeaveChecksumTest, PaddingIsNotForADeviceToAdd) {
  Bytes bytes = testing::udp4().payload("x").bytes();
  const Bytes right = completed(bytes);
  ASSERT_TRUE(parse(bytes).leave_checksum());
  bytes.resize(bytes.size() + 7, std::byte{0x55});
  EXPECT_FALSE(parse(bytes).leave_checksum());
  bytes.resize(right.size());
  EXPECT_EQ(bytes, right);
}

TEST(LeaveChecksumTest, WithoutLayer4OnlyTheHeaderIsCompleted) {
  Bytes bytes = Frame()
                    .eth()
                    .ipv4(testing::kV4A, testing::kV4B)
                    .protocol(99)
                    .payload("?");
  const Bytes right = bytes;
  parse(bytes).ipv4()->checksum = 0;
  EXPECT_FALSE(parse(bytes).leave_checksum());
  EXPECT_EQ(bytes, right);
}

// --- A port ------------------------------------------------------------------

TEST(PortOffloadTest, WhatIsAskedStandsInFrontOfThePacketThatSaysSo) {
  OfferingCore hand;
  Packet first = hand.packet(kQuestion);
  Packet second = hand.packet(kQuestion);
  Packet third = hand.packet(kQuestion);
  ASSERT_TRUE(hand.port.send(first));
  ASSERT_TRUE(hand.port.send(second, {.checksum = TxChecksum{34, 6},
                                      .timestamp = 7,
                                      .launch_time = 123456789}));
  ASSERT_TRUE(hand.port.send(third, {}));
  hand.side.completes = false;
  const auto taken = hand.taken();
  ASSERT_EQ(taken.size(), 3U);
  EXPECT_EQ(taken[0].options, 0U);
  EXPECT_EQ(taken[2].options, 0U) << "nothing was asked";
  ASSERT_EQ(taken[1].options, XDP_TX_METADATA);
  const TxMetadata metadata = hand.kernel.metadata(taken[1]);
  EXPECT_EQ(metadata.flags, kTxChecksum | kTxTimestamp | kTxLaunchTime);
  EXPECT_EQ(metadata.checksum_start, 34U);
  EXPECT_EQ(metadata.checksum_offset, 6U);
  EXPECT_EQ(metadata.reserved, 0U);
  EXPECT_EQ(metadata.launch_time, 123456789U);
  for (const auto& sent : hand.side.wire) EXPECT_EQ(sent, kQuestion);
  hand.kernel.complete(0, 3);
  hand.port.reclaim();
  expect_books_agree(hand);
}

TEST(PortOffloadTest, OfAChainTheFirstDescriptorSaysSo) {
  Rig<OnPacket> rig(reply_to_all, {.tx_offload = kAllOffloads});
  rig.handler.work = [](Packet packet, Core& core) {
    ASSERT_EQ(packet.segments().size(), 2U);
    core.reply(std::move(packet), {.checksum = TxChecksum{0, 2}});
  };
  ASSERT_TRUE(rig.kernel.deliver(0, kQuestion, XDP_PKT_CONTD));
  ASSERT_TRUE(rig.kernel.deliver(0, kQuestion));
  rig.turn();
  rig.settle();
  const auto& sent = rig.kernel.port(0).sent;
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(sent[0].options, XDP_TX_METADATA | XDP_PKT_CONTD);
  EXPECT_EQ(sent[1].options, 0U);
}

TEST(PortOffloadTest, WithoutRoomNothingIsTouched) {
  OfferingCore hand;
  for (std::uint32_t i = 0; i < kRing; ++i) {
    Packet packet = hand.packet(kQuestion);
    ASSERT_TRUE(hand.port.send(packet));
  }
  Packet packet = hand.packet(kQuestion);
  std::memset(packet.bytes().data() - 24, 0x33, 24);
  EXPECT_FALSE(
      hand.port.send(packet, {.checksum = TxChecksum{34, 6}, .timestamp = 1}));
  EXPECT_TRUE(std::ranges::equal(packet.bytes(), kQuestion));
  EXPECT_EQ(std::ranges::count(std::span(packet.bytes().data() - 24, 24),
                               std::byte{0x33}),
            24);
  EXPECT_EQ(hand.port.awaited(), 0U);
  hand.port.submit();
}

TEST(PortOffloadTest, TheCpuCompletesWhatThePortWasNotGranted) {
  for (const auto& offload :
       {std::optional<TxOffload>(), std::optional<TxOffload>(TxOffload{})}) {
    OfferingCore hand(offload);
    Packet packet = hand.packet(kQuestion);
    const Layers layers = parse(packet);
    const auto left = layers.leave_checksum();
    EXPECT_EQ(layers.checksum_state(), ChecksumState::unfinished);
    ASSERT_TRUE(hand.port.send(
        packet, {.checksum = left, .timestamp = 1, .launch_time = 2}));
    const auto taken = hand.taken();
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_EQ(taken[0].options, 0U);
    EXPECT_EQ(hand.side.wire.front(), kQuestion);
    EXPECT_EQ(hand.port.awaited(), 0U);
  }
}

TEST(PortOffloadTest, TheCpuSumsOverAllSegmentsOfAChain) {
  for (const std::size_t cut : {43U, 50U}) {  // Odd and even.
    Bytes bytes = testing::udp4().payload("an answer of some length").bytes();
    const Bytes right = bytes;
    const auto left = parse(bytes).leave_checksum();
    ASSERT_TRUE(left);
    Rig<OnPacket> rig(reply_to_all);
    rig.handler.work = [&](Packet packet, Core& core) {
      core.reply(std::move(packet), {.checksum = left});
    };
    const std::span<std::byte> all(bytes);
    ASSERT_TRUE(rig.kernel.deliver(0, all.first(cut), XDP_PKT_CONTD));
    ASSERT_TRUE(rig.kernel.deliver(0, all.subspan(cut)));
    rig.turn();
    rig.settle();
    const auto& wire = rig.kernel.port(0).wire;
    ASSERT_EQ(wire.size(), 2U);
    Bytes sent = wire[0];
    sent.insert(sent.end(), wire[1].begin(), wire[1].end());
    EXPECT_EQ(sent, right);
  }
}

TEST(PortOffloadTest, ASumOfZeroIsWrittenAsOnes) {
  OfferingCore hand(std::nullopt);
  Packet packet = hand.packet(Bytes(20, std::byte{0xff}));
  ASSERT_TRUE(hand.port.send(packet, {.checksum = TxChecksum{0, 18}}));
  ASSERT_EQ(hand.taken().size(), 1U);
  EXPECT_EQ(hand.side.wire.front()[18], std::byte{0xff});
  EXPECT_EQ(hand.side.wire.front()[19], std::byte{0xff});
}

TEST(PortOffloadTest, NoPacketGrowsIntoTheRoomForMetadata) {
  OfferingCore hand;
  Packet packet = hand.packet(kQuestion);
  EXPECT_FALSE(packet.prepend(Packet::kHeadroom - 23));
  EXPECT_FALSE(packet.prepend(0xffff'ffff)) << "nor by going round";
  ASSERT_TRUE(packet.prepend(Packet::kHeadroom - 24));
  EXPECT_FALSE(packet.prepend(1));
  ASSERT_TRUE(hand.port.send(packet, {.launch_time = 5}));
  const auto taken = hand.taken();
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].addr % 2048, 24U);
  EXPECT_EQ(hand.kernel.metadata(taken[0]).launch_time, 5U);
}

}  // namespace
}  // namespace sluice::test
