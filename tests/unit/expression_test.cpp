// SPDX-License-Identifier: Apache-2.0
// Expressions as trees: what a part says for the whole, and its words. What the
// primitives mean is judged in tests/pcap.
#include <sluice/rules.hpp>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sluice/testing/frame.hpp>

namespace {

using sluice::evaluate;
using sluice::Expression;
using sluice::Primitive;
using sluice::reasons;
using sluice::Rules;
using sluice::text_of;
using sluice::Truth;
using sluice::value_of;
using sluice::testing::Bytes;
using sluice::testing::Frame;

Expression read(const std::string& text) {
  const auto rules = Rules::parse("drop " + text);
  EXPECT_TRUE(rules) << text << rules.error().message();
  return rules ? (*rules)[0].match : Expression{};
}

Bytes datagram() {
  return Frame().eth().ipv4("192.0.2.9", "192.0.2.1").udp(4000, 53).bytes();
}

// Ends in the middle of the source port.
Bytes cut() {
  Bytes bytes = datagram();
  bytes.resize(35);
  return bytes;
}

TEST(ExpressionTest, AByteThatIsNotThereEndsIt) {
  for (const auto& [text, truth] : std::vector<std::pair<const char*, Truth>>{
           {"udp", Truth::yes},
           {"tcp", Truth::no},
           {"port 53", Truth::unseen},
           {"not port 53", Truth::unseen},
           {"not not port 53", Truth::unseen},
           {"tcp and port 53", Truth::no},
           {"port 53 and tcp", Truth::unseen},
           {"udp or port 53", Truth::yes},
           {"port 53 or udp", Truth::unseen},
           {"tcp or port 53", Truth::unseen},
           {"udp and not (tcp and port 53)", Truth::yes}}) {
    EXPECT_EQ(evaluate(read(text), cut()), truth) << text;
  }
  EXPECT_EQ(evaluate(read("all"), {}), Truth::yes);
  EXPECT_EQ(evaluate(read("arp"), {}), Truth::unseen);
}

TEST(ExpressionTest, SidesOfTheSameKindAreOne) {
  const Expression flat = read("udp and (tcp and (arp and ip)) and ip6");
  EXPECT_EQ(flat.kind, Expression::Kind::conjunction);
  EXPECT_EQ(flat.operands.size(), 5u);
  const Expression left = read("udp or tcp and arp");
  EXPECT_EQ(left.kind, Expression::Kind::conjunction);
  ASSERT_EQ(left.operands.size(), 2u);
  EXPECT_EQ(left.operands[0].kind, Expression::Kind::disjunction);
}

TEST(ExpressionTest, AnIdIsLookedAtOnlyIfOneIsAskedFor) {
  Bytes tagged = Frame().eth().vlan(7).udp(1, 2).bytes();
  tagged.resize(14);
  EXPECT_EQ(evaluate(read("vlan"), tagged), Truth::yes);
  EXPECT_EQ(evaluate(read("vlan 7"), tagged), Truth::unseen);
}

TEST(ExpressionTest, PrimitivesOfSetsShareThem) {
  const auto rules = Rules::parse(
      "define a = { 1, 3 }\ndrop dst port $a\npass tcp src port $a\n");
  EXPECT_EQ((*rules)[0].match.primitive.number_set,
            (*rules)[1].match.primitive.number_set);
}

TEST(ExpressionTest, PrimitivesSayWhatTheyAsk) {
  for (const char* text : {"arp",
                           "rarp",
                           "ip",
                           "ip6",
                           "tcp",
                           "udp",
                           "sctp",
                           "icmp",
                           "icmp6",
                           "igmp",
                           "esp",
                           "ah",
                           "pim",
                           "proto 44",
                           "ip proto 6",
                           "ip6 proto 17",
                           "proto 1",
                           "proto 58",
                           "ip6 proto 1",
                           "ether proto 0x88cc",
                           "src host 192.0.2.1",
                           "dst net 10.0.0.0/8",
                           "ip src host 192.0.2.1",
                           "arp dst net 10.0.0.0/8",
                           "rarp src host 192.0.2.1",
                           "dst host 2001:db8::1",
                           "src net 2001:db8::/33",
                           "dst port 53",
                           "tcp src port 53",
                           "udp dst portrange 5-10",
                           "sctp src portrange 0-1",
                           "vlan",
                           "vlan 7"}) {
    const Expression expression = read(text);
    ASSERT_EQ(expression.kind, Expression::Kind::primitive) << text;
    EXPECT_EQ(text_of(expression.primitive), text);
  }
  EXPECT_EQ(text_of(read("tcp[tcpflags] & 3 = 2").primitive),
            "tcp[tcpflags] 2, 6, 10, 14 and 60 more");
  EXPECT_EQ(text_of(read("icmp6[icmp6type] > 132").primitive),
            "icmp6[icmp6type] 133-255");
}

TEST(ExpressionTest, SaysWhatAPacketHasInstead) {
  const Bytes packet = datagram();
  const auto value = [](const char* text, const Bytes& bytes) {
    return value_of(read(text).primitive, bytes);
  };
  EXPECT_EQ(value("arp", packet), "EtherType is 0x0800 (ip)");
  EXPECT_EQ(value("tcp", packet), "protocol is 17 (udp)");
  EXPECT_EQ(value("src host 1.2.3.4", packet), "is 192.0.2.9");
  EXPECT_EQ(value("dst host 1.2.3.4", packet), "is 192.0.2.1");
  EXPECT_EQ(value("dst host ::1", packet), "EtherType is 0x0800 (ip)");
  EXPECT_EQ(value("dst port 1", packet), "is 53");
  EXPECT_EQ(value("src port 1", packet), "is 4000");
  EXPECT_EQ(value("tcp src port 1", packet), "protocol is 17 (udp)");
  EXPECT_EQ(value("src port 1", cut()), "the packet ends before it");
  EXPECT_EQ(value("vlan", packet), "EtherType is 0x0800 (ip)");
  EXPECT_EQ(value("tcp[13] = 2", packet), "protocol is 17 (udp)");
  EXPECT_EQ(value("icmp6[icmp6type] = 1", packet), "protocol is 17 (udp)");
  EXPECT_EQ(value("icmp6[icmp6type] = 1",
                  Frame().eth().ipv6("fe80::1", "fe80::2").icmp6(128)),
            "is 128");
  EXPECT_EQ(value("ip6 proto 6", Frame()
                                     .eth()
                                     .ipv6("fe80::1", "fe80::2")
                                     .fragment6(1, true)
                                     .udp(1, 2)),
            "protocol is 44 (fragment), in it 17 (udp)");
  EXPECT_EQ(value("dst port 1",
                  Frame()
                      .eth()
                      .ipv4("1.2.3.4", "1.2.3.5", {.fragment_offset = 1})
                      .udp(1, 2)),
            "is in a later fragment");
  EXPECT_EQ(
      value("src host 1.2.3.4", Frame().eth().arp(1, "192.0.2.9", "192.0.2.1")),
      "is 192.0.2.9");
  const Bytes tagged = Frame().eth().vlan(7).arp(1, "1.2.3.4", "1.2.3.5");
  EXPECT_EQ(value("vlan 8", tagged), "is 7");
  EXPECT_EQ(value_of(read("vlan and ip").operands[1].primitive, tagged),
            "EtherType is 0x0806 (arp)");
  EXPECT_EQ(value("arp", {}), "the packet ends before it");
}

TEST(ExpressionTest, GivesItsReasons) {
  const auto why = [](const char* text, const Bytes& packet) {
    const Expression expression = read(text);
    std::string words;
    for (const Primitive* primitive : reasons(expression, packet)) {
      words += (words.empty() ? "" : "; ") + text_of(*primitive);
    }
    return words;
  };
  const Bytes packet = datagram();
  EXPECT_EQ(why("all", packet), "");
  EXPECT_EQ(why("udp and dst port 53", packet), "udp; dst port 53");
  EXPECT_EQ(why("ip and tcp and dst port 80", packet), "tcp");
  EXPECT_EQ(why("tcp or udp or ip", packet), "udp");
  EXPECT_EQ(why("tcp or arp", packet), "tcp; arp");
  EXPECT_EQ(why("not (udp and dst port 53)", packet), "udp; dst port 53");
  EXPECT_EQ(why("ip and not (tcp or arp)", packet), "ip; tcp; arp");
  EXPECT_EQ(why("udp and not port 53", cut()), "src port 53");
}

}  // namespace
