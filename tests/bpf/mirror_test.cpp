// SPDX-License-Identifier: Apache-2.0
// What mirror rules send to user space, and who reads it.
#include <poll.h>

#include <algorithm>
#include <string>
#include <vector>

#include <sluice/mirror.hpp>
#include <sluice/testing/frame.hpp>

#include "program_test.hpp"

namespace {

using sluice::Action;
using sluice::Mirror;
using sluice::Mirrored;
using sluice::testing::Bytes;
using sluice::testing::Frame;
using sluice::testing::udp_to;

struct Seen {
  Mirrored packet;
  Bytes bytes;
};

class MirrorTest : public sluice::testing::ProgramTest {
 protected:
  Mirror open() {
    auto mirror = Mirror::open(program());
    EXPECT_TRUE(mirror) << mirror.error().message();
    return std::move(*mirror);
  }
  static std::vector<Seen> all(Mirror& mirror) {
    std::vector<Seen> seen;
    mirror.read([&](const Mirrored& packet) {
      seen.push_back({packet, {packet.bytes.begin(), packet.bytes.end()}});
    });
    return seen;
  }
  static bool readable(const Mirror& mirror) {
    pollfd wait{mirror.fd(), POLLIN, 0};
    return poll(&wait, 1, 0) == 1;
  }
};

TEST_F(MirrorTest, ARulesPacketsComeAndGoOnToTheNextRule) {
  Mirror mirror = open();
  use("pass arp\nmirror udp\ndrop dst port 53");
  EXPECT_FALSE(readable(mirror));
  const std::uint64_t before = sluice::monotonic_now().ns;
  EXPECT_EQ(*program().run_on(udp_to(53)), Action::drop);
  EXPECT_EQ(*program().run_on(udp_to(54)), Action::pass);
  EXPECT_EQ(*program().run_on(
                Bytes(Frame().eth().ipv4("192.0.2.9", "192.0.2.1").tcp(1, 2))),
            Action::pass);
  EXPECT_TRUE(readable(mirror));
  const auto seen = all(mirror);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].bytes, udp_to(53));
  EXPECT_EQ(seen[1].bytes, udp_to(54));
  for (const auto& [packet, bytes] : seen) {
    EXPECT_EQ(packet.rule, 1u);
    EXPECT_EQ(packet.size, udp_to(53).size());
    EXPECT_EQ(packet.queue, 0u);
    EXPECT_GE(packet.time.ns, before);
    EXPECT_LE(packet.time.ns, sluice::monotonic_now().ns);
  }
  EXPECT_TRUE(all(mirror).empty());
  EXPECT_EQ(program().counts()->rules.at(1).packets, 2u);
}

TEST_F(MirrorTest, OfALongPacketTheFirstBytesCome) {
  Mirror mirror = open();
  use("mirror udp");
  const Bytes packet = udp_to(53, 1000);
  ASSERT_TRUE(program().run_on(packet));
  const auto seen = all(mirror);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].packet.size, packet.size());
  ASSERT_EQ(seen[0].bytes.size(), std::size_t{SLUICE_MIRROR_BYTES});
  EXPECT_TRUE(std::ranges::equal(seen[0].bytes,
                                 std::span(packet).first(SLUICE_MIRROR_BYTES)));
}

TEST_F(MirrorTest, NoMoreAreReadThanAskedFor) {
  Mirror mirror = open();
  use("mirror udp");
  for (std::uint16_t i = 0; i < 5; ++i) {
    ASSERT_TRUE(program().run_on(udp_to(i)));
  }
  std::vector<Bytes> seen;
  const auto keep = [&](const Mirrored& packet) {
    seen.emplace_back(packet.bytes.begin(), packet.bytes.end());
  };
  EXPECT_EQ(mirror.read(keep, 0), 0u);
  EXPECT_EQ(mirror.read(keep, 2), 2u);
  EXPECT_EQ(mirror.read(keep, 10), 3u);
  ASSERT_EQ(seen.size(), 5u);
  for (std::uint16_t i = 0; i < 5; ++i) EXPECT_EQ(seen[i], udp_to(i));
}

TEST_F(MirrorTest, WhatFindsTheRingFullIsCountedAndGoesItsWay) {
  use("mirror udp\ndrop udp");
  constexpr std::uint64_t kPackets = 5000;  // 1 MiB of 288 bytes is 3640.
  for (std::uint64_t i = 0; i < kPackets; ++i) {
    ASSERT_EQ(*program().run_on(udp_to(53)), Action::drop);
  }
  Mirror mirror = open();
  const std::uint64_t lost = program().counts()->mirrors_lost;
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(all(mirror).size(), kPackets - lost);
  ASSERT_TRUE(program().run_on(udp_to(53)));
  EXPECT_EQ(all(mirror).size(), 1u) << "there is room again";
}

}  // namespace
