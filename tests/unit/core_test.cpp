// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <sluice/core.hpp>
#include <vector>

#include "rig.hpp"

namespace sluice::test {
namespace {

class CoreTest : public ::testing::Test {
 protected:
  HandCore hand_{{.ports = 2, .frames = 64, .ring_size = 16}};
  Core& core_ = *hand_.core;
};

TEST_F(CoreTest, MakesPacketsWithHeadRoom) {
  auto packet = core_.make_packet(100);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->size(), 100U);
  EXPECT_EQ(packet->port(), 0);
  EXPECT_TRUE(packet->prepend(Packet::kHeadroom));
  EXPECT_EQ(hand_.pool.held(), 1U);
  expect_books_agree(hand_);
}

TEST_F(CoreTest, MakesNoPacketThatDoesNotFitAFrame) {
  EXPECT_TRUE(core_.make_packet(2048 - Packet::kHeadroom));
  EXPECT_FALSE(core_.make_packet(2048 - Packet::kHeadroom + 1));
  EXPECT_FALSE(core_.make_packet(0xffff'ffff));
}

TEST_F(CoreTest, MakesNoPacketFromADryPool) {
  std::vector<Packet> kept;
  while (auto packet = core_.make_packet(64))
    kept.push_back(std::move(*packet));
  EXPECT_EQ(kept.size(), 64U - 2 * 16);
  expect_books_agree(hand_);
  kept.pop_back();
  EXPECT_TRUE(core_.make_packet(64));
}

TEST_F(CoreTest, FindsPortsByName) {
  EXPECT_EQ(core_.port("p1").index(), 1);
  EXPECT_EQ(core_.port("p1").name(), "p1");
  EXPECT_EQ(core_.port(std::size_t{0}).mtu(), 1500U);
  EXPECT_FALSE(core_.failure());
}

TEST_F(CoreTest, APortThatIsNotThereMakesTheStartFailWithASentence) {
  EXPECT_EQ(core_.port("inside").index(), 0);
  ASSERT_TRUE(core_.failure());
  EXPECT_EQ(core_.failure()->code, ENOENT);
  EXPECT_NE(core_.failure()->message().find("'inside'"), std::string::npos);
  EXPECT_NE(core_.failure()->message().find("p0, p1"), std::string::npos);
}

TEST_F(CoreTest, TheFirstFailureIsTheOneTold) {
  core_.fail({EINVAL, "first"});
  core_.fail({EPERM, "second"});
  EXPECT_STREQ(core_.failure()->call, "first");
}

TEST_F(CoreTest, ANameIsOneNumber) {
  Counter& flows = core_.counter("flows");
  flows += 3;
  for (int i = 0; i < 100; ++i) {
    (void)core_.counter("other " + std::to_string(i));
  }
  EXPECT_EQ(&core_.counter("flows"), &flows) << "it stays where it is";
  EXPECT_EQ(core_.counters().front().name, "flows");
  EXPECT_EQ(core_.counters().front().value.value(), 3U);
  core_.gauge("depth").set(-1);
  EXPECT_EQ(core_.gauges().front().value.value(), -1);
  core_.histogram("size").record(7);
  EXPECT_EQ(core_.histograms().front().value.count(), 1U);
}

TEST_F(CoreTest, ARefusedReplyIsCountedAndDropped) {
  for (int i = 0; i < 16; ++i) core_.reply(*core_.make_packet(64));
  EXPECT_EQ(core_.room(), 0U);
  core_.reply(*core_.make_packet(64));
  EXPECT_EQ(core_.ports()[0].counters().tx_full.value(), 1U);
  auto kept = core_.make_packet(64);
  EXPECT_FALSE(core_.try_reply(*kept));
  EXPECT_EQ(kept->size(), 64U);
  EXPECT_TRUE(core_.port("p1").try_send(*kept)) << "the other port has room";
  core_.port("p1").send(*core_.make_packet(64));
  EXPECT_EQ(core_.port("p1").room(), 14U);
  for (Port& port : hand_.ports) port.submit();
  expect_books_agree(hand_);
}

TEST_F(CoreTest, LedgersAddUp) {
  Ledger sum = core_.ledger();
  sum += core_.ledger();
  EXPECT_EQ(sum.frames, 128U);
  EXPECT_EQ(sum.receiving, 64U);
  EXPECT_TRUE(sum.balanced());
  sum.pool -= 1;
  EXPECT_FALSE(sum.balanced());
}

TEST_F(CoreTest, FlushIsTakenOnce) {
  EXPECT_FALSE(core_.take_flush());
  core_.flush();
  EXPECT_TRUE(core_.take_flush());
  EXPECT_FALSE(core_.take_flush());
}

}  // namespace
}  // namespace sluice::test
