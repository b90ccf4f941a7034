// SPDX-License-Identifier: Apache-2.0
// What lists of rules refuse, and how they say it.
#include <cerrno>
#include <initializer_list>
#include <sluice/rules.hpp>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

using sluice::Rules;

// The error's place and advice, "PLACE: ADVICE", or "" if there is none.
std::string complaint(const std::string& text) {
  const auto rules = Rules::parse(text, "file");
  if (rules) return "";
  return rules.error().arguments + ": " + rules.error().advice;
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

#define ASK                                                                  \
  " is not supported: ask for EtherType, VLAN id, protocol, address, port, " \
  "TCP flags or ICMP type"

TEST(RulesRefusalTest, NamesEveryWordItDoesNotSupport) {
  expect_refused(
      {{"steer less 64", "file line 1 column 7: 'less'" ASK},
       {"steer udp broadcast", "file line 1 column 11: 'broadcast'" ASK},
       {"\nsteer not gateway router", "file line 2 column 11: 'gateway'" ASK},
       {"steer (udp and inbound)", "file line 1 column 16: 'inbound'" ASK},
       {"drop ether host 2:0:0:0:0:1", "file line 1 column 12: 'host'" ASK},
       {"drop udp mpls", "file line 1 column 10: 'mpls'" ASK},
       {"drop dst protochain 6", "file line 1 column 10: 'protochain'" ASK},
       {"steer dst port domain",
        "file line 1 column 16: 'domain' is not supported: names are not "
        "looked up; write a port number from 0 to 65535"},
       {"steer dst host router",
        "file line 1 column 16: 'router' is not supported: names are not "
        "looked up; write an IPv4 or IPv6 address"},
       {"drop ip proto \\egp",
        "file line 1 column 15: '\\egp' is not supported: write the number"},
       {"drop ether proto 0x42",
        "file line 1 column 18: '0x42' is not supported: only EtherTypes from "
        "1501 on, and not those of AppleTalk"},
       {"drop net 10.0.0.0 mask 255.0.255.0",
        "file line 1 column 24: '255.0.255.0' is not supported: a mask with "
        "gaps"},
       {"steer ip[9] = 17",
        "file line 1 column 10: Of bytes, only tcp[tcpflags], icmp[icmptype], "
        "icmp[icmpcode], icmp6[icmp6type] and icmp6[icmp6code] are supported"},
       {"drop tcp[13] + 1 = 3",
        "file line 1 column 14: '+' is not supported: only a byte, or 'byte & "
        "(mask)', is compared with numbers"},
       {"drop tcp[13] & tcp-syn|tcp-ack != 0",
        "file line 1 column 23: '|' is not supported: only a byte, or 'byte & "
        "(mask)', is compared with numbers"}});
}

TEST(RulesRefusalTest, TakesVlanWhereWhatFollowsDependsOnIt) {
  constexpr const char* kOnly =
      ": 'vlan' is not supported in 'or', nor in 'not' unless that comes last: "
      "what follows would look behind a tag that may not be there";
  for (const char* taken :
       {"vlan", "vlan 7 and udp", "arp and vlan and (udp or tcp) and vlan 0",
        "udp and not vlan 4095", "not vlan", "(vlan and udp) and tcp"}) {
    EXPECT_EQ(complaint(std::string("drop ") + taken), "") << taken;
  }
  expect_refused({{"drop vlan 4096",
                   "file line 1 column 11: Expected a VLAN id from 0 to 4095, "
                   "found '4096'"},
                  {"drop vlan and vlan and vlan",
                   "file line 1 column 24: 'vlan' is not supported: more than "
                   "two VLAN tags"}});
  EXPECT_EQ(complaint("drop udp or vlan"),
            std::string("file line 1 column 13") + kOnly);
  EXPECT_EQ(complaint("drop vlan 5 and udp or tcp"),
            std::string("file line 1 column 6") + kOnly);
  EXPECT_EQ(complaint("drop not vlan and udp"),
            std::string("file line 1 column 10") + kOnly);
  EXPECT_EQ(complaint("drop vlan and not (udp and vlan)"),
            std::string("file line 1 column 28") + kOnly);
}

TEST(RulesRefusalTest, NamesWhatAConditionLacks) {
  expect_refused(
      {{"steer udp and",
        "file line 1 column 14: Expected a condition at the end of the line"},
       {"steer and udp",
        "file line 1 column 7: Expected a condition, found 'and'"},
       {"steer udp and else drop",
        "file line 1 column 15: Expected a condition, found 'else'"},
       {"steer UDP", "file line 1 column 7: Expected a condition, found 'UDP'"},
       {"steer udp tcp",
        "file line 1 column 11: Expected 'and' or 'or', found 'tcp'"},
       {"steer udp \x01",
        "file line 1 column 11: Expected 'and' or 'or', found '\\x01'"},
       {"steer (udp",
        "file line 1 column 11: Expected 'and', 'or' or ')' at "
        "the end of the line"},
       {"steer udp)",
        "file line 1 column 10: Expected no ')', none is open, "
        "found ')'"},
       {"steer dst",
        "file line 1 column 10: Expected 'host', 'net', 'port' or 'portrange' "
        "at the end of the line"},
       {"steer dst host",
        "file line 1 column 15: Expected an IPv4 or IPv6 address at the end of "
        "the line"},
       {"steer dst host 1.2.3",
        "file line 1 column 16: Expected an IPv4 or IPv6 address, found "
        "'1.2.3'"},
       {"steer dst host 010.1.1.1",
        "file line 1 column 16: Expected an IPv4 or IPv6 address, found "
        "'010.1.1.1'"},
       {"steer dst host 10.0.0.0/8",
        "file line 1 column 16: A prefix needs 'net' in front"},
       {"steer net 10.0.0.1/8",
        "file line 1 column 11: '10.0.0.1/8' has bits set behind its prefix"},
       {"steer net ::/129",
        "file line 1 column 11: Expected an IPv4 or IPv6 "
        "prefix, found '::/129'"},
       {"steer tcp host 1.2.3.4",
        "file line 1 column 16: 'tcp' has no addresses of its own; write 'tcp "
        "and host'"},
       {"steer arp host ::1",
        "file line 1 column 16: 'arp' has no such addresses, or not only such"},
       {"steer icmp port 1", "file line 1 column 17: 'icmp' has no ports"},
       {"steer udp proto 1",
        "file line 1 column 17: 'udp' carries no protocol"},
       {"steer dst port 65536",
        "file line 1 column 16: Expected a port number from 0 to 65535, found "
        "'65536'"},
       {"steer dst port 053",
        "file line 1 column 16: Expected a port number from 0 to 65535, found "
        "'053'"},
       {"steer udp or 53",
        "file line 1 column 14: Expected 'port', 'host', 'net' or 'proto' "
        "before this, found '53'"},
       {"steer tcp[13]",
        "file line 1 column 14: Expected a comparison at the end of the line"},
       {"steer tcp[13] = x",
        "file line 1 column 17: Expected a number or a constant, found 'x'"},
       {"steer all and udp",
        "file line 1 column 7: Expected a condition, found 'all'"}});
}

TEST(RulesRefusalTest, NamesWhatASetLacks) {
  expect_refused(
      {{"define",
        "file line 1 column 7: Expected the name of a set: 1 to 63 "
        "letters, digits, dots, dashes and underscores at the end of the line"},
       {"define a { 1 }",
        "file line 1 column 10: Expected '=' after the name, found '{'"},
       {"define a = 1", "file line 1 column 12: Expected '{', found '1'"},
       {"define a = { 1\n, 2\n",
        "file line 2 column 4: Expected '}' at the end of the line"},
       {"define a = { 1 2 }",
        "file line 1 column 16: Expected ',' or '}', found '2'"},
       {"define a = { }",
        "file line 1 column 14: Expected an address, a "
        "prefix, a port or a port range, found '}'"},
       {"define a = { 1,\n ::1 }",
        "file line 2 column 2: Expected a port or a port range, found '::1'"},
       {"define a = { ::1, 1 }",
        "file line 1 column 19: Expected an address or a prefix, found '1'"},
       {"define a = { 10.0.0.1/8 }",
        "file line 1 column 14: '10.0.0.1/8' has bits set behind its prefix"},
       {"define a = { 1 } 2",
        "file line 1 column 18: Expected nothing more after '}', found '2'"},
       {"define a = { 1 }\ndefine a = { 2 }",
        "file line 2 column 8: 'a' is already defined"},
       {"drop port $a\ndefine a = { 1 }",
        "file line 1 column 11: '$a' is not defined above; 'define a = { ... "
        "}' does"},
       {"define a = { 1 }\ndrop host $a",
        "file line 2 column 11: '$a' holds ports, not addresses"},
       {"define a = { ::1 }\ndrop port $a",
        "file line 2 column 11: '$a' holds addresses, not ports"},
       {"define a = { ::1, 1.2.3.4 }\ndrop ip host $a",
        "file line 2 column 14: 'ip' has no such addresses, or not only "
        "such"}});
}

TEST(RulesRefusalTest, NamesWhatALineLacks) {
  expect_refused(
      {{"udp",
        "file line 1 column 1: Expected an action (steer, pass, drop, "
        "reflect, mirror, count), 'define', 'include', 'fragments' or "
        "'default', found 'udp'"},
       {"steer udp\n\n  default",
        "file line 3 column 10: Expected 'pass', 'drop', 'steer' or "
        "'reflect' after 'default' at the end of the line"},
       {"default pass all",
        "file line 1 column 14: Expected nothing more after the "
        "default, found 'all'"},
       {"default pass\ndefault drop",
        "file line 2 column 1: The default is already set in file line 1"},
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
        "letters, digits, dots, dashes and underscores"},
       {"steer @a/b udp",
        "file line 1 column 7: '@a/b' is not a label: @ and 1 to 63 "
        "letters, digits, dots, dashes and underscores"},
       {"steer @a udp\n\ndrop @a tcp",
        "file line 3 column 6: The label '@a' is already that of file line 1"},
       {"default mirror",
        "file line 1 column 9: Expected 'pass', 'drop', 'steer' or 'reflect' "
        "after 'default', found 'mirror'"},
       {"fragments drop",
        "file line 1 column 11: Expected 'pass' or 'match' after 'fragments', "
        "found 'drop'"},
       {"fragments pass\nfragments match",
        "file line 2 column 1: What happens to fragments is already said in "
        "file line 1"},
       {"include other.rules",
        "file line 1 column 1: Only a file includes others"}});
}

TEST(RulesRefusalTest, NestsSixtyFourLevelsAndNoMore) {
  const auto nested = [](std::size_t levels) {
    return "drop " + std::string(levels, '(') + "udp" +
           std::string(levels, ')');
  };
  EXPECT_EQ(complaint(nested(64)), "");
  EXPECT_EQ(complaint(nested(65)),
            "file line 1 column 70: Nested deeper than 64 levels; 'and' and "
            "'or' in turns nest, too");
  std::string turns = "drop udp";
  for (int i = 0; i < 31; ++i) turns += " and tcp or udp";
  EXPECT_EQ(complaint(turns), "");
  for (int i = 0; i < 2; ++i) turns += " and tcp or udp";
  EXPECT_EQ(Rules::parse(turns).error().code, E2BIG);
  // Side by side there is no limit.
  std::string wide = "drop port 0";
  for (int i = 1; i < 20000; ++i) wide += " or " + std::to_string(i);
  EXPECT_EQ(complaint(wide), "");
  for (const char* deep : {"(", "not ", "port (", "host (", "tcp[13] = ("}) {
    std::string text = "drop ";
    for (int i = 0; i < 100000; ++i) text += deep;
    EXPECT_FALSE(Rules::parse(text)) << deep;
  }
}

TEST(RulesRefusalTest, ErrorsTellWrongFromUnsupported) {
  EXPECT_EQ(Rules::parse("steer udp and").error().code, EINVAL);
  EXPECT_EQ(Rules::parse("steer less 1").error().code, EOPNOTSUPP);
  EXPECT_EQ(Rules::parse("steer less 1").error().message(),
            "rule rules line 1 column 7: Operation not supported. 'less'" ASK);
}

TEST(RulesRefusalTest, WrongSteerOptionNamesOptionAndColumn) {
  const std::vector<std::string> options = {"udp", "tcp or inbound"};
  const auto rules = Rules::steer(options);
  ASSERT_FALSE(rules);
  EXPECT_EQ(rules.error().arguments, "--steer 'tcp or inbound' column 8");
}

TEST(RulesRefusalTest, NoTextBreaksTheParser) {
  const std::string nul("steer udp\0and", 13);
  EXPECT_EQ(complaint(nul),
            "file line 1 column 10: Expected 'and' or 'or', found '\\x00'");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(3, static_cast<char>(byte));
    static_cast<void>(Rules::parse(text));
    static_cast<void>(Rules::parse("steer " + text));
    static_cast<void>(Rules::parse("steer dst host " + text));
  }
}

}  // namespace
