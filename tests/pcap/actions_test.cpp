// SPDX-License-Identifier: Apache-2.0
// Captures obey every action of a list, as interfaces do.
#include <gtest/gtest.h>

#include <sluice/testing/replay.hpp>
#include <string>
#include <utility>

#include "send_back.hpp"

namespace sluice::testing {
namespace {

Result<Replayed> run(const std::string& text, std::vector<Arrival> packets) {
  PcapOptions options;
  auto rules = Rules::parse(text);
  EXPECT_TRUE(rules) << rules.error().message();
  if (rules) options.rules = *rules;
  return replay<SendBack>(std::move(packets), {}, options);
}

TEST(Actions, WhatIsReflectedComesBackUnseenByTheHandler) {
  const auto replayed =
      run("reflect udp and dst port 7",
          {Frame().eth().vlan(7).ipv4("192.0.2.1", "192.0.2.2").udp(1, 7),
           Frame().eth().ipv4("192.0.2.1", "192.0.2.2").udp(1, 7)});
  ASSERT_TRUE(replayed);
  EXPECT_EQ(replayed->received, 0u);
  ASSERT_EQ(replayed->sent.size(), 1u);
  EXPECT_EQ(replayed->sent[0].bytes, Frame()
                                         .eth(kMacB, kMacA)
                                         .ipv4("192.0.2.2", "192.0.2.1")
                                         .udp(7, 1)
                                         .bytes());
  const Counts& counts = *replayed->stats.ports.at(0).verdicts;
  EXPECT_EQ(counts.verdicts.reflected.packets, 1u);
  EXPECT_EQ(counts.verdicts.passed.packets, 1u);
  EXPECT_EQ(counts.rules.at(0).packets, 1u);
}

TEST(Actions, CountAndMirrorCountAndTheNextRuleDecides) {
  const auto replayed =
      run("count udp\nmirror dst port 7\nsteer udp\ncount all",
          {Frame().eth().ipv4("192.0.2.1", "192.0.2.2").udp(1, 7),
           Frame().eth().ipv4("192.0.2.1", "192.0.2.2").udp(1, 8),
           Frame().eth().ipv4("192.0.2.1", "192.0.2.2").tcp(1, 8)});
  ASSERT_TRUE(replayed);
  EXPECT_EQ(replayed->received, 2u);
  const Counts& counts = *replayed->stats.ports.at(0).verdicts;
  EXPECT_EQ(counts.rules.at(0).packets, 2u);
  EXPECT_EQ(counts.rules.at(1).packets, 1u);
  EXPECT_EQ(counts.rules.at(2).packets, 2u);
  EXPECT_EQ(counts.rules.at(3).packets, 1u);
  EXPECT_EQ(counts.unmatched.packets, 1u);
}

TEST(Actions, FragmentsPassBeforeAnyRule) {
  const Frame fragment =
      Frame().eth().ipv4("192.0.2.1", "192.0.2.2", {.more_fragments = true});
  const auto passing = run("drop all", {Frame(fragment).udp(1, 7)});
  ASSERT_TRUE(passing);
  const Counts& passed = *passing->stats.ports.at(0).verdicts;
  EXPECT_EQ(passed.fragments.packets, 1u);
  EXPECT_EQ(passed.verdicts.passed.packets, 1u);
  EXPECT_EQ(passed.rules.at(0).packets, 0u);
  EXPECT_EQ(passed.unmatched.packets, 0u);

  const auto matching =
      run("fragments match\ndrop all", {Frame(fragment).udp(1, 7)});
  ASSERT_TRUE(matching);
  const Counts& matched = *matching->stats.ports.at(0).verdicts;
  EXPECT_EQ(matched.fragments.packets, 0u);
  EXPECT_EQ(matched.verdicts.dropped.packets, 1u);
}

}  // namespace
}  // namespace sluice::testing
