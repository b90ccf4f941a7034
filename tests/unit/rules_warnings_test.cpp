// SPDX-License-Identifier: Apache-2.0
// What a list is warned of.
#include <sluice/rules.hpp>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using sluice::Rules;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> warnings(const std::string& text) {
  const auto rules = Rules::parse(text, "list");
  EXPECT_TRUE(rules) << rules.error().message();
  std::vector<std::string> told;
  for (const auto& warning : rules->warnings()) {
    told.push_back(warning.place + ": " + warning.sentence);
  }
  return told;
}

TEST(RulesWarningsTest, ListsThatSayWhatTheyMeanAreQuiet) {
  EXPECT_THAT(warnings(""), IsEmpty());
  EXPECT_THAT(warnings("count all\npass all\ndefault drop"), IsEmpty());
}

TEST(RulesWarningsTest, SaysWhatVlanTagsDo) {
  EXPECT_THAT(warnings("pass arp\npass ip\npass vlan 7"),
              ElementsAre("list line 1: 'arp' (and 1 more) looks at packets "
                          "without VLAN tags only; behind a tag look 'vlan and "
                          "...' and 'vlan ID and ...'",
                          "list line 3: 'vlan 7' matches nothing where the NIC "
                          "takes VLAN tags off before XDP sees the packet: "
                          "'ethtool -K DEVICE rxvlan off' leaves them on"));
}

TEST(RulesWarningsTest, SaysWhatExtensionHeadersDo) {
  const auto asked_of = [](const char* expression) {
    for (const std::string& told :
         warnings("pass " + std::string(expression))) {
      if (told.find("extension headers") != told.npos) return true;
    }
    return false;
  };
  for (const char* surprising :
       {"udp", "port 53", "vlan and tcp", "icmp6", "ip6 proto 6", "not udp",
        "icmp6[icmp6type] = 128", "arp or dst port 7"}) {
    EXPECT_TRUE(asked_of(surprising)) << surprising;
  }
  for (const char* plain : {"ip and udp", "icmp", "ip6 host ::1", "arp",
                            "src net 10.0.0.0/8 and port 53"}) {
    EXPECT_FALSE(asked_of(plain)) << plain;
  }
}

TEST(RulesWarningsTest, SaysThatAnAddressIsInArpToo) {
  const auto asked_of = [](const char* rule) {
    for (const std::string& told : warnings(rule)) {
      if (told.find("takes ARP") != told.npos) return true;
    }
    return false;
  };
  EXPECT_TRUE(asked_of("drop host 192.0.2.1"));
  EXPECT_TRUE(asked_of("steer not src net 10.0.0.0/8"));
  EXPECT_TRUE(asked_of("drop vlan and host 192.0.2.1"));
  EXPECT_FALSE(asked_of("pass host 192.0.2.1"));
  EXPECT_FALSE(asked_of("count host 192.0.2.1"));
  EXPECT_FALSE(asked_of("drop ip host 192.0.2.1"));
  EXPECT_FALSE(asked_of("drop ip and host 192.0.2.1"));
  EXPECT_FALSE(asked_of("drop arp host 192.0.2.1"));
  EXPECT_FALSE(asked_of("drop udp and host 192.0.2.1"));
}

TEST(RulesWarningsTest, SaysWhichRulesMatchNothing) {
  for (const char* impossible :
       {"arp and tcp", "ip and ip6", "dst port 1 and udp and dst port 2",
        "icmp and dst host ::1", "tcp and udp", "esp and ah",
        "src net 10.0.0.0/8 and src host 192.0.2.1", "tcp[tcpflags] & 2 = 1",
        "ip proto 44 and ip proto 17", "not (ip or not tcp) and not ip6",
        "(arp or rarp) and ip", "portrange 1-5 and tcp and udp",
        "tcp[13] = 1 and tcp[13] = 2"}) {
    EXPECT_THAT(warnings("drop arp\ndrop " + std::string(impossible)),
                Contains("list line 2: '" + std::string(impossible) +
                         "' can match no packet"));
  }
  for (const char* possible :
       {"proto 44 and proto 17", "src host 1.2.3.4 and dst host 1.2.3.5",
        "src port 1 and dst port 2", "vlan and arp", "vlan and vlan 7 and ip",
        "icmp6 and ip6 proto 44", "not tcp and not udp"}) {
    for (const std::string& told : warnings("pass " + std::string(possible))) {
      EXPECT_THAT(told, Not(HasSubstr("can match no"))) << possible;
    }
  }
}

TEST(RulesWarningsTest, SaysWhichRulesAreNeverAsked) {
  EXPECT_THAT(
      warnings("count all\npass all\npass all"),
      ElementsAre("list line 3: is never asked: list line 2 takes every "
                  "packet"));
  EXPECT_THAT(warnings("pass all\ncount all\n\npass all"),
              ElementsAre("list line 2: is never asked, nor is the rule behind "
                          "it: list line 1 takes every packet"));
  EXPECT_THAT(
      warnings("pass all\ncount all\npass all\ndrop"),
      ElementsAre("list line 2: is never asked, nor are the 2 rules behind it: "
                  "list line 1 takes every packet"));
}

TEST(RulesWarningsTest, OptionsAreNamedWithoutALine) {
  const std::vector<std::string> options = {"arp and ip"};
  const auto told = Rules::steer(options)->warnings();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].place, "--steer 'arp and ip'");
}

}  // namespace
