// SPDX-License-Identifier: Apache-2.0
// Findings about queues, RSS, ntuple rules, interrupts and nodes, by facts made
// up.
#include <sluice/doctor.hpp>

#include "made_up_host.hpp"

namespace sluice::testing {
namespace {

Rules rules_of(const std::string& text) {
  auto rules = Rules::parse(text);
  EXPECT_TRUE(rules) << rules.error().message();
  return *rules;
}

// --- Busy polling -----------------------------------------------------------

TEST(DoctorQueuesTest, BusyPollingWithInterruptsThatGoOn) {
  InterfaceFacts nic = good_nic();
  Wanted busy;
  busy.busy_poll = true;
  nic.deferral = InterruptDeferral{};
  EXPECT_FALSE(find(said_of(nic), "busy-poll"));
  expect_finding(said_of(nic, busy), "busy-poll", Severity::warning,
                 {"not held back",
                  "echo 2 > /sys/class/net/eth0/napi_defer_hard_irqs; "
                  "echo 200000 > /sys/class/net/eth0/gro_flush_timeout"});
  EXPECT_EQ(fix_of(said_of(nic, busy), "busy-poll"),
            (Fix{"eth0 napi defer-hard-irqs 2",
                 "eth0 napi gro-flush-timeout 200000"}));
  nic.deferral->defer_hard_irqs = 10;
  EXPECT_EQ(fix_of(said_of(nic, busy), "busy-poll"),
            Fix{"eth0 napi gro-flush-timeout 200000"});
  nic.deferral->gro_flush_timeout_ns = 1000;
  EXPECT_FALSE(find(said_of(nic, busy), "busy-poll"));
  nic.deferral.reset();
  expect_finding(said_of(nic, busy), "busy-poll", Severity::warning,
                 {"/sys does not tell"});
}

// --- Channels ---------------------------------------------------------------

TEST(DoctorQueuesTest, EnaTakesHalfOfItsChannels) {
  InterfaceFacts nic = good_nic();
  nic.device.driver = "ena";
  nic.channels = Channels{4, 0, 0, 4, 0, 0};
  expect_finding(said_of(nic), "channels-limit", Severity::error,
                 {"ethtool -L eth0 combined 2"});
  EXPECT_EQ(fix_of(said_of(nic), "channels-limit"),
            Fix{"eth0 channels combined 2"});
  nic.channels->combined_max = 8;
  EXPECT_FALSE(find(said_of(nic), "channels-limit"));
}

TEST(DoctorQueuesTest, IxgbeNeedsAQueueForEachCpu) {
  InterfaceFacts nic = good_nic();
  nic.device.driver = "ixgbe";
  nic.channels = Channels{4, 0, 0, 7, 0, 0};
  expect_finding(said_of(nic), "channels-limit", Severity::error,
                 {"takes 3 at most"});
}

TEST(DoctorQueuesTest, MoreQueuesThanCpus) {
  InterfaceFacts nic = good_nic();
  nic.device.rx_queues = 8;
  nic.channels = Channels{8, 0, 0, 8, 0, 0};
  expect_finding(said_of(nic), "channels", Severity::warning,
                 {"8 queues for 4 cpus"});
  EXPECT_EQ(fix_of(said_of(nic), "channels"), Fix{"eth0 channels combined 4"});
  Wanted wanted;
  wanted.queues = {0, 1};
  EXPECT_FALSE(find(said_of(nic, wanted), "channels")) << "they are chosen";
}

TEST(DoctorQueuesTest, FewerQueuesThanThereCouldBe) {
  InterfaceFacts nic = good_nic();
  nic.device.rx_queues = 1;
  nic.channels = Channels{1, 0, 0, 63, 0, 0};
  expect_finding(said_of(nic), "channels", Severity::advice,
                 {"could have 4", "ethtool -L eth0 combined 4"});
}

TEST(DoctorQueuesTest, BothEndsOfAVethChange) {
  InterfaceFacts nic = good_nic();
  nic.kind = "veth";
  nic.lower = "eth1";
  nic.peer_features = {"rx-gro"};
  nic.device.rx_queues = 8;
  nic.channels = Channels{0, 8, 8, 0, 8, 8};
  EXPECT_EQ(fix_of(said_of(nic), "channels"),
            (Fix{"eth1 channels tx 4", "eth0 channels rx 4"}));
  nic.lower.clear();
  expect_finding(said_of(nic), "channels", Severity::warning,
                 {"ethtool -L PEER tx 4; ethtool -L eth0 rx 4"});
  EXPECT_EQ(fix_of(said_of(nic), "channels"), Fix{});
}

// --- RSS --------------------------------------------------------------------

TEST(DoctorQueuesTest, ATableThatLeadsPastTheQueuesServed) {
  const InterfaceFacts nic = good_nic();
  Wanted wanted;
  wanted.queues = {1, 2};
  expect_finding(said_of(nic, wanted), "rss", Severity::warning,
                 {"4 of 8 entries", "(1-2)", "--rss spread"});
  EXPECT_EQ(fix_of(said_of(nic, wanted), "rss"), Fix{}) << "not asked for";
  wanted.rss = Rss::spread;
  EXPECT_EQ(fix_of(said_of(nic, wanted), "rss"),
            Fix{"eth0 rss table 1 2 1 2 1 2 1 2"});
}

TEST(DoctorQueuesTest, QueuesNotServedAndNoTable) {
  InterfaceFacts nic = good_nic();
  nic.rss.clear();
  Wanted wanted;
  wanted.queues = {0};
  expect_finding(said_of(nic, wanted), "rss", Severity::warning,
                 {"1 of 4 queues", "no RSS table"});
  EXPECT_FALSE(find(said_of(nic), "rss"));
}

TEST(DoctorQueuesTest, UdpHashedByAddressesAlone) {
  InterfaceFacts nic = good_nic();
  nic.udp_hash = "sd";
  expect_finding(said_of(nic), "rss-hash", Severity::advice, {"addresses"});
  EXPECT_EQ(fix_of(said_of(nic), "rss-hash"), Fix{"eth0 hash udp4 sdfn"});
}

// --- Ntuple rules -----------------------------------------------------------

TEST(DoctorQueuesTest, RulesOfOthersAreTold) {
  InterfaceFacts nic = good_nic();
  nic.flow_rules = {{3, "tcp4 dst-port 22 queue 1"}};
  expect_finding(said_of(nic), "flow-rules", Severity::advice,
                 {"1 ntuple rules", "ethtool -n eth0"});
}

TEST(DoctorQueuesTest, SteeredFlowsGetQueuesOfTheirOwn) {
  InterfaceFacts nic = good_nic();
  nic.features.clear();
  nic.changeable = {"rx-ntuple-filter"};
  nic.flow_rules = {{15, "tcp4 dst-port 22 queue 1"}};
  Wanted wanted;
  wanted.queues = {2, 3};
  wanted.rss = Rss::dedicated;
  wanted.rules = rules_of("steer ip and udp dst port 53\n");
  EXPECT_EQ(
      fix_of(said_of(nic, wanted), "ntuple"),
      (Fix{"eth0 feature rx-ntuple-filter on", "eth0 rss table 0 1 0 1 0 1 0 1",
           "eth0 flow 14 udp4 dst-port 53 queue 2",
           "eth0 flow 13 udp6 dst-port 53 queue 2"}));
}

TEST(DoctorQueuesTest, WhatIsThereAlreadyIsNotMadeAgain) {
  InterfaceFacts nic = good_nic();
  nic.rss = {0, 1, 0, 1};
  nic.flow_rules = {{1, "udp4 dst-port 53 queue 2"},
                    {0, "udp6 dst-port 53 queue 2"}};
  Wanted wanted;
  wanted.queues = {2, 3};
  wanted.rss = Rss::dedicated;
  wanted.rules = rules_of("steer udp dst port 53\n");
  EXPECT_FALSE(find(said_of(nic, wanted), "ntuple"));
  EXPECT_FALSE(find(said_of(nic, wanted), "flow-rules"));
}

TEST(DoctorQueuesTest, AlternativesAreRulesEach) {
  Wanted wanted;
  wanted.queues = {3};
  wanted.rss = Rss::dedicated;
  wanted.rules = rules_of(
      "steer arp or (tcp and src port 80)\n"
      "steer udp and src host 192.0.2.1\n");
  InterfaceFacts nic = good_nic();
  nic.rss = {0, 1, 2};
  EXPECT_EQ(fix_of(said_of(nic, wanted), "ntuple"),
            (Fix{"eth0 flow 15 ether proto 2054 queue 3",
                 "eth0 flow 14 tcp4 src-port 80 queue 3",
                 "eth0 flow 13 tcp6 src-port 80 queue 3",
                 "eth0 flow 12 udp4 queue 3", "eth0 flow 11 udp6 queue 3"}));
}

TEST(DoctorQueuesTest, WhatNoNtupleRuleCanSayIsRefused) {
  Wanted wanted;
  wanted.queues = {3};
  wanted.rss = Rss::dedicated;
  for (const char* rule : {"vlan 7 and udp", "all", "not udp"}) {
    wanted.rules = rules_of(std::string("steer ") + rule);
    expect_finding(said_of(good_nic(), wanted), "ntuple", Severity::error,
                   {rule, "--rss spread"});
  }
  wanted.rules = rules_of("steer udp dst port 53");
  wanted.queues = {};
  expect_finding(said_of(good_nic(), wanted), "ntuple", Severity::error,
                 {"no queue of eth0 is left"});
  wanted.queues = {3};
  InterfaceFacts without = good_nic();
  without.features.clear();
  expect_finding(said_of(without, wanted), "ntuple", Severity::error,
                 {"takes no ntuple rules"});
  InterfaceFacts small = good_nic();
  small.flow_rules_max = 1;
  expect_finding(said_of(small, wanted), "ntuple", Severity::error,
                 {"no room for 2"});
}

// --- CPUs -------------------------------------------------------------------

TEST(DoctorQueuesTest, AnInterruptAwayFromItsPoller) {
  InterfaceFacts nic = good_nic();
  nic.interrupts[2].cpus = {0, 1, 2, 3};
  expect_finding(said_of(nic), "irq-affinity", Severity::warning,
                 {"queue 2's (42) on cpus 0-3 instead of 2",
                  "echo 2 > /proc/irq/42/smp_affinity_list"});
  EXPECT_EQ(fix_of(said_of(nic), "irq-affinity"), Fix{"irq 42 2"});
}

TEST(DoctorQueuesTest, APollerThatSpinsHasItsInterruptBesideIt) {
  InterfaceFacts nic = good_nic();
  nic.device.rx_queues = 1;
  nic.rss = {0};
  nic.interrupts.resize(1);
  Wanted wanted;
  wanted.spin = true;
  EXPECT_EQ(fix_of(said_of(nic, wanted), "irq-affinity"), Fix{"irq 40 1"});
  HostFacts host = good_host();  // Another core rather than a sibling.
  for (CpuFacts& cpu : host.cpus) {
    const int first = cpu.number / 2 * 2;
    cpu.siblings = {first, first + 1};
  }
  EXPECT_EQ(fix_of(diagnose(nic, host, wanted), "irq-affinity"),
            Fix{"irq 40 2"});
}

TEST(DoctorQueuesTest, CpusOfAnotherNode) {
  HostFacts host = good_host();
  host.cpus[2].node = host.cpus[3].node = 1;
  InterfaceFacts nic = good_nic();
  expect_finding(diagnose(nic, host, {}), "numa", Severity::warning,
                 {"node 0", "away from cpus 2-3", "of node 0: 0-1"});
  nic.node = 2;
  expect_finding(diagnose(nic, host, {}), "numa", Severity::warning,
                 {"away from cpus 0-3", "node 2 has no CPU"});
  nic.node = -1;
  EXPECT_FALSE(find(diagnose(nic, host, {}), "numa"));
}

}  // namespace
}  // namespace sluice::testing
