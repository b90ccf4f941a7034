// SPDX-License-Identifier: Apache-2.0
// The language of rules as text: what is read, what is refused and how, and
// what the guard says. What expressions mean is judged in tests/bpf.
#include <sluice/rules.hpp>

#include <initializer_list>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sluice/testing/frame.hpp>

namespace {

using sluice::Action;
using sluice::cut_off;
using sluice::InUse;
using sluice::Rules;
using sluice::testing::Frame;

// The error's place and advice, "PLACE: ADVICE", or "" if there is none.
std::string complaint(const std::string& text) {
  const auto rules = Rules::parse(text, "file");
  if (rules) return "";
  return rules.error().arguments + ": " + rules.error().advice;
}

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
            "drop icmp and dst host 192.0.2.1\n"
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

struct Refusal {
  const char* text;
  const char* complaint;
};

void expect_refused(std::initializer_list<Refusal> refusals) {
  for (const auto& [text, expected] : refusals) {
    EXPECT_EQ(complaint(text), expected);
  }
}

#define SUPPORTED                                                   \
  " is not supported. Supported are arp, ip, ip6, tcp, udp, icmp, " \
  "icmp6, dst host ADDRESS, dst port NUMBER and all, joined by 'and'"

TEST(RulesTest, NamesEveryWordItDoesNotSupport) {
  expect_refused(
      {{"steer udp or tcp", "file line 1 column 11: 'or'" SUPPORTED},
       {"steer udp || tcp", "file line 1 column 11: '||'" SUPPORTED},
       {"\nsteer not arp", "file line 2 column 7: 'not'" SUPPORTED},
       {"steer (udp)", "file line 1 column 7: '('" SUPPORTED},
       {"drop ip and src net 10.0.0.0/8",
        "file line 1 column 13: 'src'" SUPPORTED},
       {"pass vlan 7", "file line 1 column 6: 'vlan'" SUPPORTED},
       {"steer port 53", "file line 1 column 7: 'port'" SUPPORTED},
       {"steer UDP", "file line 1 column 7: 'UDP'" SUPPORTED},
       {"steer udp port 53", "file line 1 column 11: 'port'" SUPPORTED},
       {"steer dst port 53 and 54", "file line 1 column 23: '54'" SUPPORTED},
       {"steer ip[9] = 17", "file line 1 column 9: '['" SUPPORTED},
       {"steer udp \x01", "file line 1 column 11: '\\x01'" SUPPORTED},
       {"steer udp dst port 53",
        "file line 1 column 11: Expected 'and', found 'dst'"},
       {"steer udp tcp",
        "file line 1 column 11: Expected 'and', found 'tcp'"}});
}

TEST(RulesTest, NamesWhatATermLacks) {
  expect_refused(
      {{"steer dst net 10.0.0.0/8",
        "file line 1 column 11: Expected 'host' or 'port' after 'dst', "
        "found 'net'"},
       {"steer udp and dst",
        "file line 1 column 18: Expected 'host' or 'port' after 'dst' "
        "at the end of the line"},
       {"steer udp and",
        "file line 1 column 14: Expected a condition at the end of the "
        "line"},
       {"steer and udp",
        "file line 1 column 7: Expected a condition, found 'and'"},
       {"steer udp and else drop",
        "file line 1 column 15: Expected a condition, found 'else'"},
       {"steer dst host",
        "file line 1 column 15: Expected an address at the end of the "
        "line"},
       {"steer dst host router",
        "file line 1 column 16: 'router' is not an IPv4 or IPv6 "
        "address; names are not looked up"},
       {"steer dst host 1.2.3",
        "file line 1 column 16: '1.2.3' is not an IPv4 or IPv6 "
        "address; names are not looked up"},
       {"steer dst host 010.1.1.1",
        "file line 1 column 16: '010.1.1.1' is not an IPv4 or IPv6 "
        "address; names are not looked up"},
       {"steer dst port domain",
        "file line 1 column 16: 'domain' is not a port number from 0 "
        "to 65535; names and leading zeros are not supported"},
       {"steer dst port 65536",
        "file line 1 column 16: '65536' is not a port number from 0 to "
        "65535; names and leading zeros are not supported"},
       {"steer dst port 053",
        "file line 1 column 16: '053' is not a port number from 0 to "
        "65535; names and leading zeros are not supported"}});
}

TEST(RulesTest, NamesWhatALineLacks) {
  expect_refused(
      {{"udp",
        "file line 1 column 1: Expected 'steer', 'pass', 'drop' or "
        "'default', found 'udp'"},
       {"steer udp\n\n  default",
        "file line 3 column 10: Expected 'steer', 'pass' or 'drop' "
        "after 'default' at the end of the line"},
       {"default pass all",
        "file line 1 column 14: Expected nothing more after the "
        "default, found 'all'"},
       {"default pass\ndefault drop",
        "file line 2 column 1: The default is already set in line 1"},
       {"drop udp else pass",
        "file line 1 column 10: 'else' belongs to steer: it says what "
        "happens where a queue has no socket"},
       {"steer udp else steer",
        "file line 1 column 16: Expected 'pass' or 'drop' after "
        "'else', found 'steer'"},
       {"steer udp else drop now",
        "file line 1 column 21: Expected nothing more after 'else', "
        "found 'now'"},
       {"steer @ udp",
        "file line 1 column 7: '@' is not a label: @ and 1 to 63 "
        "letters, digits, dots and dashes"},
       {"steer @a/b udp",
        "file line 1 column 7: '@a/b' is not a label: @ and 1 to 63 "
        "letters, digits, dots and dashes"}});
}

TEST(RulesTest, RefusesWhatCanMatchNoPacket) {
  expect_refused(
      {{"steer arp and tcp",
        "file line 1 column 7: 'arp and tcp' can match no packet"},
       {"steer ip and ip6",
        "file line 1 column 7: 'ip and ip6' can match no packet"},
       {"steer dst port 1 and udp and dst port 2",
        "file line 1 column 7: 'dst port 1 and udp and dst port 2' can "
        "match no packet"},
       {"steer icmp and dst host ::1",
        "file line 1 column 7: 'icmp and dst host ::1' can match no "
        "packet"}});
}

TEST(RulesTest, ErrorsTellWrongFromUnsupported) {
  EXPECT_EQ(Rules::parse("steer udp and").error().code, EINVAL);
  EXPECT_EQ(Rules::parse("steer udp or tcp").error().code, EOPNOTSUPP);
  EXPECT_EQ(Rules::parse("steer udp or tcp").error().message(),
            "rule rules line 1 column 11: Operation not supported. "
            "'or'" SUPPORTED);
}

TEST(RulesTest, TakesSixtyFourRulesAndNoMore) {
  std::string text;
  for (int i = 0; i < SLUICE_RULES_MAX; ++i) {
    text += "drop dst port " + std::to_string(i) + "\n";
  }
  EXPECT_EQ(parsed(text).size(), 64u);
  EXPECT_EQ(complaint(text + "default drop\npass arp"),
            "file line 66 column 6: A list has at most 64 rules");
  EXPECT_EQ(Rules::parse(text + "pass arp").error().code, E2BIG);
}

TEST(RulesTest, SteerOptionsBecomeRulesInOrder) {
  const std::vector<std::string> options = {"udp and dst port 7", "", "icmp"};
  const auto rules = Rules::steer(options);
  ASSERT_TRUE(rules);
  EXPECT_EQ(rules->text(),
            "steer udp and dst port 7\nsteer all\nsteer icmp\ndefault pass\n");
}

TEST(RulesTest, WrongSteerOptionNamesOptionAndColumn) {
  const std::vector<std::string> options = {"udp", "tcp or udp"};
  const auto rules = Rules::steer(options);
  ASSERT_FALSE(rules);
  EXPECT_EQ(rules.error().arguments, "--steer 'tcp or udp' column 5");
}

TEST(RulesTest, NoTextBreaksTheParser) {
  const std::string nul("steer udp\0and", 13);
  EXPECT_EQ(complaint(nul), "file line 1 column 10: '\\x00'" SUPPORTED);
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(3, static_cast<char>(byte));
    static_cast<void>(Rules::parse(text));
    static_cast<void>(Rules::parse("steer " + text));
    static_cast<void>(Rules::parse("steer dst host " + text));
  }
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

TEST(RulesTest, CompiledListSaysTheSame) {
  const auto list =
      parsed("steer udp and dst port 53 else drop\ndrop dst host 1.2.3.4")
          .compiled();
  ASSERT_EQ(list.count, 2u);
  EXPECT_EQ(list.version, static_cast<__u32>(SLUICE_ABI_VERSION));
  EXPECT_EQ(list.rules[0].need, SLUICE_IS_UDP | SLUICE_HAS_DST_PORT);
  EXPECT_EQ(list.rules[0].dst_port, htons(53));
  EXPECT_EQ(list.rules[0].action, SLUICE_STEER);
  EXPECT_EQ(list.rules[0].otherwise, SLUICE_DROP);
  EXPECT_EQ(list.rules[1].need, SLUICE_HAS_DST4);
  EXPECT_EQ(list.rules[1].dst[3], 4);
  EXPECT_EQ(list.rules[1].handle, 1u);
}

// The guard.

const InUse kHost = {{{"192.0.2.1", true}, {"2001:db8::1", false}},
                     InUse::Connection{"192.0.2.1", 22, "198.51.100.7", 50000}};

TEST(CutOffTest, RulesForOtherHostsAndPortsAreSafe) {
  EXPECT_TRUE(cut_off(parsed("steer udp and dst port 53\n"
                             "steer arp and dst host 192.0.2.9\n"
                             "drop icmp6 and dst host 2001:db8::9\n"
                             "drop tcp and dst port 2222\n"),
                      kHost)
                  .empty());
}

TEST(CutOffTest, SteeringEverythingNamesEachLoss) {
  const auto said = cut_off(parsed("steer all"), kHost);
  EXPECT_EQ(
      said,
      (std::vector<std::string>{
          "Rule 1 (steer all) would steer away ARP requests for 192.0.2.1: "
          "neighbours could no longer find this host.",
          "Rule 1 (steer all) would steer away ARP replies to 192.0.2.1: this "
          "host could no longer find its neighbours.",
          "Rule 1 (steer all) would steer away DHCP replies: the lease of the "
          "interface's address could not be renewed.",
          "Rule 1 (steer all) would steer away neighbour solicitations for "
          "2001:db8::1: neighbours could no longer find this host.",
          "Rule 1 (steer all) would steer away neighbour advertisements to "
          "2001:db8::1: this host could no longer find its neighbours.",
          "Rule 1 (steer all) would steer away the SSH connection in use from "
          "198.51.100.7: the session would hang."}));
}

TEST(CutOffTest, ADroppingDefaultIsNamed) {
  const auto said = cut_off(parsed("pass arp\npass icmp6\npass udp\ndefault "
                                   "drop"),
                            kHost);
  EXPECT_EQ(said, std::vector<std::string>{
                      "The default would drop the SSH connection in use from "
                      "198.51.100.7: the session would hang."});
}

TEST(CutOffTest, AnEarlierPassRuleProtects) {
  EXPECT_TRUE(cut_off(parsed("pass arp\npass icmp6\n"
                             "pass udp and dst port 68\n"
                             "pass tcp and dst port 22\nsteer all"),
                      kHost)
                  .empty());
}

TEST(CutOffTest, DhcpIsOfNoConcernToAFixedAddress) {
  const InUse fixed = {{{"192.0.2.1", false}}, {}};
  EXPECT_TRUE(cut_off(parsed("steer udp"), fixed).empty());
  EXPECT_EQ(cut_off(parsed("steer udp and dst port 68"), kHost).size(), 1u);
  EXPECT_EQ(cut_off(parsed("drop dst host 255.255.255.255"), kHost).size(), 1u);
}

TEST(CutOffTest, RouterAdvertisementsKeepADynamicIpv6Address) {
  const InUse dynamic = {{{"2001:db8::1", true}}, {}};
  EXPECT_EQ(cut_off(parsed("drop dst host ff02::1"), dynamic),
            std::vector<std::string>{
                "Rule 1 (drop dst host ff02::1) would drop router "
                "advertisements: the interface's address and routes would "
                "expire."});
}

TEST(CutOffTest, SolicitationsToTheMulticastGroupCount) {
  EXPECT_EQ(
      cut_off(parsed("steer dst host ff02::1:ff00:1"), kHost),
      std::vector<std::string>{
          "Rule 1 (steer dst host ff02::1:ff00:1) would steer away neighbour "
          "solicitations for 2001:db8::1: neighbours could no longer find this "
          "host."});
}

TEST(CutOffTest, SshOverIpv6AndMappedAddressesIsSeen) {
  const InUse ip6 = {
      {}, InUse::Connection{"fe80::1%eth0", 22, "fe80::2%eth0", 50000}};
  EXPECT_EQ(cut_off(parsed("drop ip6 and dst port 22"), ip6).size(), 1u);
  const InUse mapped = {
      {}, InUse::Connection{"::ffff:192.0.2.1", 22, "::ffff:192.0.2.2", 5}};
  EXPECT_EQ(cut_off(parsed("drop ip and dst port 22"), mapped).size(), 1u);
  EXPECT_TRUE(cut_off(parsed("drop ip6"), mapped).empty());
}

}  // namespace
