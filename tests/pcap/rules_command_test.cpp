// SPDX-License-Identifier: Apache-2.0
// What `sluice rules` says of files and of packets; needs no privileges.
#include "run_pcap.hpp"

namespace sluice::testing {
namespace {

using ::testing::AllOf;
using ::testing::Not;

class RulesCommandTest : public RunTest {
 protected:
  Ended rules(Words words) {
    words.insert(words.begin(), {SLUICE_PROGRAM, "rules"});
    return start(words);
  }
  std::string list(const std::string& text) {
    return folder_.write("list", text);
  }
  // Of a packet that is written, by the list.
  Json explained(const std::string& packet) {
    const Ended ended =
        rules({"explain", packet, "--json", "--rules", folder_.path("list")});
    EXPECT_EQ(ended.code, 0) << ended.err;
    return ended.line("rules_explain");
  }
};

TEST_F(RulesCommandTest, ListIsCheckedAndItsRulesCounted) {
  const Ended ended = rules({"check", list("drop tcp\npass all\ndrop arp\n")});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, AllOf(HasSubstr("3 rules"), HasSubstr("warning:"),
                               HasSubstr("line 3")));
  const Json json =
      rules({"check", list("drop arp\n"), "--json"}).line("rules_check");
  EXPECT_EQ(json.at("schema"), 1);
  EXPECT_EQ(json.at("rules"), 1);
  EXPECT_TRUE(json.at("error").is_null());
  EXPECT_TRUE(json.at("warnings").is_array());
}

TEST_F(RulesCommandTest, WhatIsNoListIsToldByLineAndColumn) {
  const Ended ended = rules({"check", list("pass arp\ndrop dorp\n")});
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.out, "");
  EXPECT_THAT(ended.err, HasSubstr("line 2 column 6"));
  const Ended json = rules({"check", folder_.path("list"), "--json"});
  EXPECT_EQ(json.code, 1);
  EXPECT_THAT(json.line("rules_check").at("error").get<std::string>(),
              HasSubstr("line 2 column 6"));
  const Ended nowhere = rules({"check", folder_.path("nowhere")});
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("No such file"));
  EXPECT_EQ(rules({"check"}).code, 2);
  EXPECT_EQ(rules({}).code, 2);
}

TEST_F(RulesCommandTest, PacketsThatAreWrittenAreExplained) {
  list(
      "drop @tls tcp and dst port 443\n"
      "steer @dns udp and dst port 53 else drop\n"
      "pass vlan 7 and icmp\n"
      "count arp\n");
  const Json dns = explained("udp 192.0.2.1:5 > 10.0.0.1:53");
  EXPECT_EQ(dns.at("action"), "steer");
  EXPECT_EQ(dns.at("otherwise"), "drop");
  EXPECT_EQ(dns.at("steps").size(), 2u);
  EXPECT_EQ(dns.at("steps").at(0).at("matches"), "no");
  EXPECT_EQ(dns.at("steps").at(0).at("reason"), "tcp: protocol is 17 (udp)");
  EXPECT_EQ(dns.at("steps").at(1).at("matches"), "yes");
  EXPECT_EQ(explained("tcp [2001:db8::1]:5 > [2001:db8::2]:443").at("action"),
            "drop");
  EXPECT_EQ(explained("vlan 7 icmp 192.0.2.1 > 10.0.0.1").at("rule"),
            "pass vlan 7 and icmp");
  EXPECT_TRUE(explained("icmp6 fe80::1 > fe80::2").at("rule").is_null());
  EXPECT_EQ(
      explained("arp 192.0.2.1 > 192.0.2.2").at("steps").at(3).at("matches"),
      "yes");
}

TEST_F(RulesCommandTest, WhatIsNoPacketIsRefusedWithAnExample) {
  list("drop arp\n");
  for (const char* packet :
       {">", "udp > ", "udp 192.0.2.1 > 10.0.0.1", "udp 192.0.2.1:5 > [::1]:5",
        "tcp ::1:5 > ::2:80", "udp 192.0.2.1:5 > 10.0.0.1:65536",
        "icmp fe80::1 > fe80::2", "icmp6 192.0.2.1 > 10.0.0.1",
        "arp fe80::1 > fe80::2", "vlan 4096 arp 1.1.1.1 > 1.1.1.2",
        "gre 192.0.2.1 > 10.0.0.1", "udp 192.0.2.1:5 > 10.0.0.1:53 more",
        "udp 192.0.2.300:5 > 10.0.0.1:53"}) {
    const Ended ended =
        rules({"explain", packet, "--rules", folder_.path("list")});
    EXPECT_EQ(ended.code, 2) << packet;
    EXPECT_THAT(ended.err, HasSubstr("'udp 192.0.2.1:5 > 10.0.0.1:53'"))
        << packet;
  }
}

TEST_F(RulesCommandTest, EachPacketOfACaptureIsExplained) {
  list("drop udp and src port 1\n");
  const Ended ended = rules(
      {"explain", questions("in.pcap", 3), "--rules", folder_.path("list")});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out,
              AllOf(HasSubstr("packet 1:"), HasSubstr("src port 1: is 0"),
                    HasSubstr("packet 2:"), HasSubstr("src port 1: is 1"),
                    HasSubstr("packet 3:"), Not(HasSubstr("packet 4:"))));
  const Ended nowhere = rules(
      {"explain", folder_.path("nowhere"), "--rules", folder_.path("list")});
  EXPECT_EQ(nowhere.code, 1);
}

TEST_F(RulesCommandTest, RunOverCapturesTakesAListFromAFile) {
  const std::string file = list("drop udp and src port 1\nsteer udp\n");
  const Ended ended = run({"--port", "p=pcap:" + questions("in.pcap", 3),
                           "--handler", "drop", "--rules", file});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.line("files").at("received"), 2u);
  EXPECT_EQ(run({"--port", "p=pcap:" + path("in.pcap"), "--rules", file,
                 "--steer", "udp"})
                .code,
            2);
}

}  // namespace
}  // namespace sluice::testing
