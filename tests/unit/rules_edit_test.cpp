// SPDX-License-Identifier: Apache-2.0
// Lists that are edited, and what they differ in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include <sluice/rules_edit.hpp>

namespace {

using sluice::differences;
using sluice::find_rule;
using sluice::handle_of;
using sluice::Rules;
using sluice::with_rule;
using sluice::without_rule;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Rules parse(const std::string& text) {
  auto rules = Rules::parse(text);
  EXPECT_TRUE(rules) << rules.error().message();
  return rules ? *rules : Rules();
}

const char* const kList =
    "define web = { 80, 443 }\n"
    "fragments match\n"
    "drop @bad src host 192.0.2.9\n"
    "steer @web tcp and dst port $web\n"
    "count udp\n"
    "default drop\n";

TEST(RulesEditTest, RuleComesAtTheEndOrInFrontOfANamedOne) {
  const Rules rules = parse(kList);
  const auto last = with_rule(rules, "pass arp");
  ASSERT_TRUE(last) << last.error().message();
  EXPECT_EQ(last->text(),
            "define web = { 80, 443 }\n"
            "fragments match\n"
            "drop @bad src host 192.0.2.9\n"
            "steer @web tcp and dst port $web\n"
            "count udp\n"
            "pass arp\n"
            "default drop\n");
  const auto second = with_rule(rules, "pass dst port $web", "@web");
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ((*second)[1].text(), "pass dst port $web");
  EXPECT_EQ((*second)[2].label, "web");
  EXPECT_EQ(parse(kList).text(), rules.text()) << "what it came from stays";
}

TEST(RulesEditTest, RuleGoesByLabelOrByHandle) {
  const Rules rules = parse(kList);
  for (const std::string& name :
       {std::string("bad"), std::string("@bad"), handle_of(rules[0])}) {
    const auto shorter = without_rule(rules, name);
    ASSERT_TRUE(shorter) << shorter.error().message();
    EXPECT_EQ(shorter->size(), 2u);
    EXPECT_EQ((*shorter)[0].label, "web");
    EXPECT_FALSE(shorter->fragments_pass());
    EXPECT_EQ(shorter->default_action(), sluice::Action::drop);
  }
  const auto shorter = without_rule(rules, handle_of(rules[2]));
  ASSERT_TRUE(shorter);
  EXPECT_EQ(shorter->size(), 2u);
  EXPECT_EQ((*shorter)[1].label, "web");
}

TEST(RulesEditTest, HandleStaysWhileOtherRulesComeAndGo) {
  const Rules rules = parse("drop udp\npass arp");
  const Rules longer = parse("count all\ndrop udp\npass tcp\npass arp");
  EXPECT_EQ(handle_of(rules[1]), handle_of(longer[3]));
  EXPECT_NE(handle_of(rules[0]), handle_of(rules[1]));
  EXPECT_EQ(handle_of(rules[0]).size(), 12u);
}

TEST(RulesEditTest, OfTwoOfTheSameTextTheLastIsMeant) {
  const Rules rules = parse("drop udp\npass arp\ndrop udp");
  const auto found = find_rule(rules, handle_of(rules[0]));
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, 2u);
}

TEST(RulesEditTest, NamesNobodyHasAreRefused) {
  const Rules rules = parse(kList);
  for (const char* name : {"", "@", "nobody", "@nobody", "0123456789ab"}) {
    const auto found = find_rule(rules, name);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().code, ENOENT);
  }
  EXPECT_FALSE(without_rule(rules, "nobody"));
  EXPECT_FALSE(with_rule(rules, "pass arp", "nobody"));
  // A handle is no label.
  EXPECT_FALSE(find_rule(rules, "@" + handle_of(rules[0])));
}

TEST(RulesEditTest, WhatIsNotOneRuleIsRefused) {
  const Rules rules = parse(kList);
  for (const char* line : {"", "# pass arp", "pass arp\npass udp",
                           "fragments pass", "define x = { 1 }"}) {
    const auto longer = with_rule(rules, line);
    ASSERT_FALSE(longer) << line;
    EXPECT_EQ(longer.error().code, EINVAL) << longer.error().message();
  }
  const auto wrong = with_rule(rules, "pass apr");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message(), HasSubstr("apr"));
  EXPECT_FALSE(with_rule(rules, "pass @bad arp")) << "the label is taken";
}

TEST(RulesEditTest, DifferencesAreTheLinesThatGoAndCome) {
  const Rules before = parse(kList);
  EXPECT_THAT(differences(before, before), IsEmpty());
  EXPECT_THAT(differences(before, *with_rule(before, "pass arp", "web")),
              ElementsAre("+ pass arp"));
  EXPECT_THAT(differences(before, *without_rule(before, "web")),
              ElementsAre("- steer @web tcp and dst port $web"));
  EXPECT_THAT(differences(before, Rules()),
              ElementsAre("- define web = { 80, 443 }", "- fragments match",
                          "- drop @bad src host 192.0.2.9",
                          "- steer @web tcp and dst port $web", "- count udp",
                          "- default drop", "+ default pass"));
}

TEST(RulesEditTest, MovedRuleGoesAndComes) {
  const Rules before = parse("pass arp\npass tcp\npass udp");
  const Rules after = parse("pass udp\npass arp\npass tcp");
  EXPECT_THAT(differences(before, after),
              ElementsAre("+ pass udp", "- pass udp"));
}

TEST(RulesEditTest, ChangedSetIsADifference) {
  EXPECT_THAT(differences(parse("define p = { 1 }\ndrop port $p"),
                          parse("define p = { 2 }\ndrop port $p")),
              ElementsAre("- define p = { 1 }", "+ define p = { 2 }"));
}

}  // namespace
