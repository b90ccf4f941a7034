// SPDX-License-Identifier: Apache-2.0
// The lock-out guard: what a list would keep from the host itself.
#include <sluice/rules.hpp>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

using sluice::cut_off;
using sluice::InUse;
using sluice::Rules;

Rules parsed(const std::string& text) {
  auto rules = Rules::parse(text);
  EXPECT_TRUE(rules) << (rules ? "" : rules.error().message());
  return rules ? *rules : Rules{};
}

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
