// SPDX-License-Identifier: Apache-2.0
// The table of bypassed flows: what goes in, what goes out, and by whom.
#include <sluice/bypass.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace std::chrono_literals;
using sluice::Action;
using sluice::BypassTable;
using sluice::FlowKey;
using sluice::Protocol;
using sluice::Time;

constexpr Time kNow{5'000'000'000'000};

FlowKey flow(std::uint32_t number) {
  FlowKey key{};
  const auto byte = [&](int shift) {
    return static_cast<std::uint8_t>(number >> shift);
  };
  key.source = sluice::Ipv6Address::mapped({{10, byte(16), byte(8), byte(0)}});
  key.destination = sluice::Ipv6Address::mapped({{192, 0, 2, 1}});
  key.source_port = 4000;
  key.destination_port = 53;
  key.protocol = Protocol::udp;
  key.version = 4;
  return key;
}

class BypassTableTest : public ::testing::Test {
 protected:
  BypassTable table(std::uint32_t flows) {
    memory_.assign(BypassTable::bytes(flows) / sizeof(sluice_line), {});
    const auto bytes = std::as_writable_bytes(std::span(memory_));
    BypassTable::make(bytes, flows);
    return BypassTable(bytes, bypassing_);
  }
  std::uint32_t bypassing_ = 0;

 private:
  std::vector<sluice_line> memory_;
};

TEST_F(BypassTableTest, AFlowIsKnownUntilItsTimeIsOver) {
  BypassTable table = this->table(100);
  EXPECT_FALSE(table.ask(flow(1), 60, kNow));
  EXPECT_TRUE(table.insert(flow(1), Action::reflect, 10s, kNow));
  EXPECT_EQ(table.ask(flow(1), 60, kNow), Action::reflect);
  EXPECT_EQ(table.ask(flow(1), 40, kNow + 9'999ms), Action::reflect);
  EXPECT_FALSE(table.ask(flow(1), 60, kNow + 10'003ms));
  EXPECT_FALSE(table.ask(flow(2), 60, kNow));
  const auto count = table.count(flow(1));
  ASSERT_TRUE(count);
  EXPECT_EQ(count->packets, 2u);
  EXPECT_EQ(count->bytes, 100u);
}

TEST_F(BypassTableTest, TheWordSaysWhetherItWasEverUsed) {
  BypassTable table = this->table(100);
  EXPECT_TRUE(table.insert(flow(1), Action::drop, 0s, kNow));
  EXPECT_EQ(bypassing_, 0u) << "nothing was there to take back";
  EXPECT_TRUE(table.insert(flow(1), Action::drop, 1s, kNow));
  EXPECT_EQ(bypassing_, 1u);
}

TEST_F(BypassTableTest, TheLastWordCounts) {
  BypassTable table = this->table(100);
  EXPECT_TRUE(table.insert(flow(1), Action::drop, 10s, kNow));
  EXPECT_TRUE(table.insert(flow(1), Action::pass, 20s, kNow));
  EXPECT_EQ(table.ask(flow(1), 60, kNow + 15s), Action::pass);
  EXPECT_TRUE(table.insert(flow(1), Action::drop, 1s, kNow));
  EXPECT_FALSE(table.ask(flow(1), 60, kNow + 15s));
  EXPECT_TRUE(table.insert(flow(1), Action::drop, -1s, kNow));
  EXPECT_FALSE(table.ask(flow(1), 60, kNow));
  EXPECT_EQ(table.inserted(), 1u);
  EXPECT_EQ(table.evicted(), 0u);
  ASSERT_TRUE(table.count(flow(1)));
  EXPECT_EQ(table.count(flow(1))->packets, 1u) << "it is the same flow";
}

TEST_F(BypassTableTest, OnlyFinalActionsAndKnownFlowsAreTaken) {
  BypassTable table = this->table(100);
  for (const Action action : {Action::steer, Action::mirror, Action::count}) {
    EXPECT_FALSE(table.insert(flow(1), action, 10s, kNow));
  }
  EXPECT_FALSE(table.insert(FlowKey{}, Action::drop, 10s, kNow));
  FlowKey ip6 = flow(1);
  ip6.version = 6;
  EXPECT_TRUE(table.insert(ip6, Action::drop, 10s, kNow));
  EXPECT_FALSE(table.ask(flow(1), 60, kNow)) << "of the other version";
  for (const Protocol protocol :
       {Protocol::hop_by_hop, Protocol::routing, Protocol::fragment,
        Protocol::authentication, Protocol::destination_options}) {
    ip6.protocol = protocol;
    EXPECT_FALSE(table.insert(ip6, Action::drop, 10s, kNow));
  }
  EXPECT_EQ(table.inserted(), 1u);
}

TEST_F(BypassTableTest, PortsAreThoseOfTcpAndUdpAlone) {
  BypassTable table = this->table(100);
  FlowKey key = flow(1);
  key.protocol = static_cast<Protocol>(132);
  EXPECT_TRUE(table.insert(key, Action::drop, 10s, kNow));
  key.source_port = 1;
  EXPECT_EQ(table.ask(key, 60, kNow), Action::drop);
  key.protocol = Protocol::tcp;
  EXPECT_TRUE(table.insert(key, Action::drop, 10s, kNow));
  key.source_port = 2;
  EXPECT_FALSE(table.ask(key, 60, kNow));
}

TEST_F(BypassTableTest, WhereItIsFullTheFirstToExpireGoes) {
  BypassTable table = this->table(1);  // A bucket of 15.
  for (std::uint32_t i = 0; i < 15; ++i) {
    const auto time = std::chrono::seconds(i == 7 ? 50 : 100 + i);
    EXPECT_TRUE(table.insert(flow(i), Action::drop, time, kNow));
  }
  EXPECT_EQ(table.evicted(), 0u);
  EXPECT_TRUE(table.insert(flow(15), Action::pass, 200s, kNow));
  EXPECT_EQ(table.evicted(), 1u);
  EXPECT_EQ(table.inserted(), 16u);
  for (std::uint32_t i = 0; i < 15; ++i) {
    EXPECT_EQ(table.ask(flow(i), 60, kNow).has_value(), i != 7) << i;
  }
  EXPECT_EQ(table.ask(flow(15), 60, kNow), Action::pass);
}

TEST_F(BypassTableTest, WhatExpiredGoesFirstAndIsNoEviction) {
  BypassTable table = this->table(1);
  for (std::uint32_t i = 0; i < 15; ++i) {
    EXPECT_TRUE(table.insert(flow(i), Action::drop, 10s, kNow));
    (void)table.ask(flow(i), 60, kNow);
  }
  const Time later = kNow + 20s;
  for (std::uint32_t i = 15; i < 30; ++i) {
    EXPECT_TRUE(table.insert(flow(i), Action::pass, 10s, later));
  }
  EXPECT_EQ(table.evicted(), 0u);
  for (std::uint32_t i = 0; i < 15; ++i) {
    EXPECT_FALSE(table.ask(flow(i), 60, later));
    EXPECT_EQ(table.ask(flow(15 + i), 60, later), Action::pass);
    EXPECT_EQ(table.count(flow(15 + i))->packets, 1u) << "counts from zero";
  }
}

// Addresses that follow each other, as of a scan: whatever the table's secret
// is, they spread over it as if they were drawn.
TEST_F(BypassTableTest, FlowsOfOneSubnetSpreadOverTheTable) {
  constexpr std::uint32_t kFlows = 50'000;
  for (int i = 0; i < 40; ++i) {
    BypassTable table = this->table(kFlows);
    for (std::uint32_t number = 0; number < kFlows; ++number) {
      ASSERT_TRUE(table.insert(flow(number), Action::drop, 100s, kNow));
    }
    ASSERT_LT(table.evicted(), kFlows / 200) << "of table " << i;
  }
}

TEST_F(BypassTableTest, AsManyFlowsAsItIsMadeForMostlyFit) {
  constexpr std::uint32_t kFlows = 100'000;
  BypassTable table = this->table(kFlows);
  for (std::uint32_t i = 0; i < kFlows; ++i) {
    ASSERT_TRUE(table.insert(flow(i), Action::drop, 100s, kNow));
  }
  EXPECT_LT(table.evicted(), kFlows / 200);
  std::uint64_t found = 0;
  for (std::uint32_t i = 0; i < kFlows; ++i) {
    found += table.ask(flow(i), 60, kNow) ? 1U : 0U;
  }
  EXPECT_EQ(found, kFlows - table.evicted());
}

// Each flow's action follows from its number.
TEST_F(BypassTableTest, SeveralThreadsMayInsert) {
  BypassTable table = this->table(8);
  const auto action = [](std::uint32_t i) {
    return i % 2 == 0 ? Action::drop : Action::pass;
  };
  std::vector<std::jthread> threads;
  for (std::uint32_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < 30'000; ++i) {
        const std::uint32_t number = (t * 7 + i) % 64;
        (void)table.insert(flow(number), action(number), 100s, kNow);
        const auto said = table.ask(flow((i * 5) % 64), 60, kNow);
        if (said) {
          EXPECT_EQ(*said, action((i * 5) % 64));
        }
      }
    });
  }
  threads.clear();
  EXPECT_GE(table.inserted(), 64u);
  EXPECT_EQ(table.inserted() > table.evicted(), true);
  EXPECT_TRUE(table.insert(flow(0), Action::reflect, 100s, kNow));
  EXPECT_EQ(table.ask(flow(0), 60, kNow), Action::reflect)
      << "no entry was left busy";
}

}  // namespace
