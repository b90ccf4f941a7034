// SPDX-License-Identifier: Apache-2.0
// Why a list does what it does, told rule by rule.
#include <sluice/rules.hpp>
#include <string>

#include <gtest/gtest.h>
#include <sluice/testing/frame.hpp>

namespace {

using sluice::Action;
using sluice::explain;
using sluice::Rules;
using sluice::Truth;
using sluice::testing::Frame;

const Rules& rules() {
  static const Rules rules = *Rules::parse(
      "define bad = { 198.51.100.0/24, 203.0.113.0/24 }\n"
      "count udp\n"
      "drop @bad src net $bad\n"
      "pass tcp or arp\n"
      "steer dst port 80 or dst port 53 else drop\n",
      "list");
  return rules;
}

std::string why(const Frame& frame) {
  const auto packet = frame.bytes();
  return explain(rules(), packet).text(rules());
}

TEST(RulesExplainTest, NamesWhatEachRuleMissedByAndWhatDecided) {
  EXPECT_EQ(
      why(Frame().eth().ipv4("192.0.2.9", "192.0.2.1").udp(4000, 53)),
      "list line 2: count udp\n"
      "  matches: udp: protocol is 17 (udp)\n"
      "list line 3: drop @bad src net $bad\n"
      "  misses: src net 198.51.100.0/24, 203.0.113.0/24: is 192.0.2.9\n"
      "list line 4: pass tcp or arp\n"
      "  misses: tcp: protocol is 17 (udp); arp: EtherType is 0x0800 (ip)\n"
      "list line 5: steer dst port 80 or dst port 53 else drop\n"
      "  matches: dst port 53: is 53\n"
      "steer: the rule above\n");
}

TEST(RulesExplainTest, NamesTheDefaultAndFragments) {
  EXPECT_EQ(
      why(Frame().eth().ethertype(0x88cc)),
      "list line 2: count udp\n"
      "  misses: udp: EtherType is 0x88cc\n"
      "list line 3: drop @bad src net $bad\n"
      "  misses: src net 198.51.100.0/24, 203.0.113.0/24: EtherType is "
      "0x88cc\n"
      "list line 4: pass tcp or arp\n"
      "  misses: tcp: EtherType is 0x88cc; arp: EtherType is 0x88cc\n"
      "list line 5: steer dst port 80 or dst port 53 else drop\n"
      "  misses: dst port 80: EtherType is 0x88cc; dst port 53: EtherType "
      "is 0x88cc\n"
      "pass: the default\n");
  EXPECT_EQ(why(Frame().eth().ipv4("198.51.100.1", "192.0.2.1",
                                   {.more_fragments = true})),
            "pass: a fragment\n");
}

TEST(RulesExplainTest, SaysWhatCouldNotBeSeen) {
  auto packet =
      Frame().eth().ipv4("192.0.2.9", "192.0.2.1").udp(4000, 53).bytes();
  packet.resize(28);
  const auto explanation = explain(rules(), packet);
  ASSERT_EQ(explanation.steps.size(), 4u);
  EXPECT_EQ(explanation.steps[1].truth, Truth::unseen);
  EXPECT_EQ(explanation.steps[1].reason,
            "src net 198.51.100.0/24, 203.0.113.0/24: the packet ends before "
            "it");
  EXPECT_EQ(explanation.decision.action, Action::pass);
}

TEST(RulesExplainTest, ManyReasonsAreCounted) {
  const auto many = Rules::parse("drop port (1 or 2 or 3)\npass all", "list");
  const auto packet =
      Frame().eth().ipv4("192.0.2.9", "192.0.2.1").udp(4000, 53).bytes();
  const auto explanation = explain(*many, packet);
  EXPECT_EQ(explanation.steps[0].reason,
            "src port 1: is 4000; dst port 1: is 53; src port 2: is 4000; dst "
            "port 2: is 53; and 2 more");
  EXPECT_EQ(explanation.steps[1].reason, "every packet");
}

}  // namespace
