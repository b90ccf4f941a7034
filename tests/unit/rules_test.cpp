// SPDX-License-Identifier: Apache-2.0
// Lists of rules: what is read, and what a list says of a packet. What an
// expression means is judged in tests/pcap.
#include <sluice/rules.hpp>

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sluice/testing/frame.hpp>

namespace {

using sluice::Action;
using sluice::is_fragment;
using sluice::Rules;
using sluice::testing::Frame;

Rules parsed(const std::string& text) {
  auto rules = Rules::parse(text);
  EXPECT_TRUE(rules) << (rules ? "" : rules.error().message());
  return rules ? *rules : Rules{};
}

TEST(RulesTest, ReadsActionsLabelsElseCommentsAndDefault) {
  const Rules rules = parsed(
      "# what we take\n"
      "\n"
      "steer @dns  udp   and dst port 53   # name server\n"
      "drop icmp && dst host 192.0.2.1\r\n"
      "\tsteer tcp and dst port 80 else drop\n"
      "steer dst host 2001:DB8::1 else pass\n"
      "pass all\n"
      "drop\n"
      "default drop");

  ASSERT_EQ(rules.size(), 6u);
  EXPECT_EQ(rules[0].label, "dns");
  EXPECT_EQ(rules[0].expression, "udp and dst port 53");
  EXPECT_EQ(rules[1].action, Action::drop);
  EXPECT_EQ(rules[2].otherwise, Action::drop);
  EXPECT_EQ(rules[3].otherwise, Action::pass);
  EXPECT_EQ(rules[5].expression, "all");
  EXPECT_EQ(rules.default_action(), Action::drop);
  EXPECT_EQ(rules.text(),
            "steer @dns udp and dst port 53\n"
            "drop icmp && dst host 192.0.2.1\n"
            "steer tcp and dst port 80 else drop\n"
            "steer dst host 2001:DB8::1\n"
            "pass all\n"
            "drop all\n"
            "default drop\n");
}

TEST(RulesTest, TextReadsBackAsItself) {
  const std::string text =
      "steer @a.b-1 ip6 and icmp6 else drop\npass dst port 0\ndefault steer\n";
  EXPECT_EQ(parsed(text).text(), text);
  EXPECT_EQ(parsed(parsed(text).text()).text(), text);
}

TEST(RulesTest, AnEmptyListPassesEverything) {
  for (const char* text : {"", "\n", "# nothing", "  \t\r\n"}) {
    const Rules rules = parsed(text);
    EXPECT_EQ(rules.size(), 0u);
    EXPECT_EQ(rules.decide(Frame().eth().bytes()).action, Action::pass);
  }
}

TEST(RulesTest, ReadsNamedSets) {
  const Rules rules = parsed(
      "define hosts = { 192.0.2.1, 10.0.0.0/9, 10.128.0.0/9,   # two halves\n"
      "  10.1.2.3, 2001:db8::/32,\n"
      "}\n"
      "define web={80,8080-8081,8082}\n"
      "drop src host $hosts\n"
      "pass dst port $web or $web\n");
  const auto from = [&](const char* source, std::uint16_t port) {
    return rules
        .decide(Frame().eth().ipv4(source, "198.51.100.1").udp(9, port).bytes())
        .rule;
  };
  EXPECT_EQ(from("192.0.2.1", 7), 0u);
  EXPECT_EQ(from("10.200.0.1", 7), 0u);
  EXPECT_EQ(from("192.0.2.2", 7), std::nullopt);
  EXPECT_EQ(from("192.0.2.2", 8082), 1u);
  EXPECT_EQ(rules.text(),
            "define hosts = { 10.0.0.0/8, 192.0.2.1, 2001:db8::/32 }\n"
            "define web = { 80, 8080-8082 }\n"
            "drop src host $hosts\n"
            "pass dst port $web or $web\n"
            "default pass\n");
  EXPECT_EQ(parsed(rules.text()).text(), rules.text());
}

TEST(RulesTest, SteerOptionsBecomeRulesInOrder) {
  const std::vector<std::string> options = {"udp and dst port 7", "", "icmp"};
  const auto rules = Rules::steer(options);
  ASSERT_TRUE(rules);
  EXPECT_EQ(rules->text(),
            "steer udp and dst port 7\nsteer all\nsteer icmp\ndefault pass\n");
}

TEST(RulesTest, FirstMatchWins) {
  const Rules rules =
      parsed("pass udp and dst port 53\nsteer udp\ndefault drop");
  const auto to = [](std::uint16_t port) {
    return Frame().eth().ipv4("10.0.0.2", "10.0.0.1").udp(9, port).bytes();
  };
  EXPECT_EQ(rules.decide(to(53)).rule, 0u);
  EXPECT_EQ(rules.decide(to(53)).action, Action::pass);
  EXPECT_EQ(rules.decide(to(54)).rule, 1u);
  EXPECT_EQ(rules.decide(to(54)).action, Action::steer);
  const auto arp = Frame().eth().arp(1, "10.0.0.2", "10.0.0.1").bytes();
  EXPECT_EQ(rules.decide(arp).rule, std::nullopt);
  EXPECT_EQ(rules.decide(arp).action, Action::drop);
}

TEST(RulesTest, CountAndMirrorGoOnToTheNextRule) {
  const Rules rules =
      parsed("count udp\nmirror dst port 53\npass udp\ncount all");
  const auto packet =
      Frame().eth().ipv4("10.0.0.2", "10.0.0.1").udp(9, 53).bytes();
  EXPECT_EQ(rules.decide(packet).rule, 2u);
  EXPECT_EQ(rules.noted(packet, rules.decide(packet)),
            (std::vector<std::size_t>{0, 1}));
  const auto arp = Frame().eth().arp(1, "10.0.0.2", "10.0.0.1").bytes();
  EXPECT_EQ(rules.decide(arp).rule, std::nullopt);
  EXPECT_EQ(rules.noted(arp, rules.decide(arp)), std::vector<std::size_t>{3});
}

TEST(RulesTest, FragmentsPassUnlessTheyAreToMatch) {
  const Rules pass = parsed("count all\ndrop all");
  const Rules match = parsed("fragments match\ndrop all");
  EXPECT_TRUE(pass.fragments_pass());
  EXPECT_FALSE(match.fragments_pass());
  EXPECT_EQ(match.text(), "fragments match\ndrop all\ndefault pass\n");
  const auto first = Frame()
                         .eth()
                         .ipv4("10.0.0.2", "10.0.0.1", {.more_fragments = true})
                         .bytes();
  EXPECT_TRUE(pass.decide(first).fragment);
  EXPECT_EQ(pass.decide(first).action, Action::pass);
  EXPECT_TRUE(pass.noted(first, pass.decide(first)).empty());
  EXPECT_FALSE(match.decide(first).fragment);
  EXPECT_EQ(match.decide(first).action, Action::drop);
}

TEST(RulesTest, KnowsAFragmentWhereverItsMarkIs) {
  const auto four = [](sluice::testing::Ipv4Fields fields) {
    return Frame().eth().ipv4("10.0.0.2", "10.0.0.1", fields).udp(1, 2).bytes();
  };
  EXPECT_FALSE(is_fragment(four({.dont_fragment = true})));
  EXPECT_TRUE(is_fragment(four({.more_fragments = true})));
  EXPECT_TRUE(is_fragment(four({.fragment_offset = 0x1fff})));

  const auto six = [] { return Frame().eth().ipv6("fe80::1", "fe80::2"); };
  EXPECT_FALSE(is_fragment(six().udp(1, 2).bytes()));
  EXPECT_TRUE(is_fragment(six().fragment6(0, true).udp(1, 2).bytes()));
  EXPECT_TRUE(is_fragment(six().fragment6(1, false).udp(1, 2).bytes()));
  EXPECT_FALSE(is_fragment(six().fragment6(0, false).udp(1, 2).bytes()));
  Frame seven = six();
  for (int i = 0; i < 7; ++i) seven.extension(i % 2 == 0 ? 60 : 43);
  EXPECT_TRUE(is_fragment(Frame(seven).fragment6(0, true).bytes()));
  EXPECT_FALSE(is_fragment(seven.extension(60).fragment6(0, true).bytes()));
  // An authentication header counts its length in words of 4 bytes.
  auto authenticated = six().extension(0).fragment6(0, true).bytes();
  authenticated[20] = std::byte{51};
  EXPECT_TRUE(is_fragment(authenticated));
  authenticated[55] = std::byte{2};
  EXPECT_FALSE(is_fragment(authenticated));

  const auto tagged = [](int tags) {
    Frame frame = Frame().eth();
    while (tags-- > 0) frame.vlan(7, 0x9100);
    return frame.ipv4("10.0.0.2", "10.0.0.1", {.more_fragments = true}).bytes();
  };
  EXPECT_TRUE(is_fragment(tagged(2)));
  EXPECT_FALSE(is_fragment(tagged(3)));

  // Cut off, it shows as long as its mark is there.
  auto cut = six().extension(0).fragment6(0, true).bytes();
  cut.resize(14 + 40 + 8 + 4);
  EXPECT_TRUE(is_fragment(cut));
  while (!cut.empty()) {
    cut.pop_back();
    EXPECT_FALSE(is_fragment(cut)) << cut.size();
  }
}

TEST(RulesTest, CopiesShareTheirRules) {
  const Rules rules = parsed("drop udp");
  const Rules copy = rules;
  EXPECT_EQ(copy.list().data(), rules.list().data());
}

}  // namespace
