// SPDX-License-Identifier: Apache-2.0
// Findings about the device, its offloads and the host, by facts made up for
// hardware that need not be there.
#include <cerrno>
#include <sluice/doctor.hpp>

#include "made_up_host.hpp"

namespace sluice::testing {
namespace {

TEST(DoctorTest, NothingIsWrongWithAGoodHost) {
  const auto of_nic = said_of(good_nic());
  EXPECT_TRUE(of_nic.empty()) << of_nic.front().sentence;
  EXPECT_TRUE(diagnose_host(good_host(), {}, 4).empty());
}

TEST(DoctorTest, TheWorstComesFirst) {
  InterfaceFacts nic = good_nic();
  nic.device.up = false;
  nic.virtual_function = true;
  nic.device.mtu = 9000;
  nic.xdp = XdpFeatures{0x0b};
  const auto findings = said_of(nic);
  ASSERT_EQ(findings.size(), 3U);
  EXPECT_STREQ(findings[0].id, "link-down");
  EXPECT_STREQ(findings[1].id, "mtu");
  EXPECT_STREQ(findings[2].id, "virtual-function");
  EXPECT_EQ(findings[0].interface, "eth0");
}

// --- The device -------------------------------------------------------------

TEST(DoctorTest, AnInterfaceThatIsDown) {
  InterfaceFacts nic = good_nic();
  nic.device.up = nic.device.running = false;
  expect_finding(said_of(nic), "link-down", Severity::error,
                 {"eth0 is down", "ip link set dev eth0 up"});
}

TEST(DoctorTest, AnInterfaceWithoutACarrier) {
  InterfaceFacts nic = good_nic();
  nic.device.running = false;
  expect_finding(said_of(nic), "no-carrier", Severity::warning, {"no carrier"});
}

TEST(DoctorTest, ABondNamesItsMembers) {
  InterfaceFacts nic = good_nic();
  nic.device.name = "bond0";
  nic.kind = "bond";
  nic.members = {"eth0", "eth1"};
  nic.xdp = XdpFeatures{};
  expect_finding(said_of(nic), "bond", Severity::warning,
                 {"bond0 is a bond: use its members eth0, eth1"});
  EXPECT_FALSE(find(said_of(nic), "native-xdp"));
}

TEST(DoctorTest, AMemberOfABond) {
  InterfaceFacts nic = good_nic();
  nic.master = "bond0";
  nic.master_kind = "bond";
  expect_finding(said_of(nic), "bond-member", Severity::advice, {"bond0"});
}

TEST(DoctorTest, ABridgeNamesItsPorts) {
  InterfaceFacts nic = good_nic();
  nic.device.name = "br0";
  nic.kind = "bridge";
  nic.members = {"eth0", "eth1"};
  expect_finding(said_of(nic), "bridge", Severity::warning,
                 {"br0 is a bridge", "eth0, eth1"});
}

TEST(DoctorTest, AVlanDeviceNamesWhatIsBelow) {
  InterfaceFacts nic = good_nic();
  nic.device.name = "eth0.7";
  nic.kind = "vlan";
  nic.lower = "eth0";
  expect_finding(said_of(nic), "vlan-device", Severity::warning,
                 {"eth0.7 is a vlan on eth0", "-i eth0"});
}

TEST(DoctorTest, AVirtualFunction) {
  InterfaceFacts nic = good_nic();
  nic.virtual_function = true;
  expect_finding(said_of(nic), "virtual-function", Severity::advice,
                 {"eth0 is a virtual function"});
}

TEST(DoctorTest, AnotherProgramIsAnErrorAndOnesOwnIsNot) {
  InterfaceFacts nic = good_nic();
  nic.program =
      AttachedProgram{12, "katran", AttachMode::native, {}, false, {}};
  expect_finding(said_of(nic), "other-program", Severity::error, {"katran"});
  nic.program->identity = sluice_identity{};
  expect_finding(said_of(nic), "other-program", Severity::advice,
                 {"sluice detach eth0"});
}

TEST(DoctorTest, ADriverWithoutXdp) {
  InterfaceFacts nic = good_nic();
  nic.device.driver = "e1000e";
  nic.xdp = XdpFeatures{0};
  expect_finding(said_of(nic), "native-xdp", Severity::warning, {"e1000e"});
  EXPECT_FALSE(find(said_of(nic), "zero-copy"));
  Wanted wanted;
  wanted.generic = true;
  EXPECT_FALSE(find(said_of(nic, wanted), "native-xdp")) << "it is accepted";
}

TEST(DoctorTest, ADriverWithoutZeroCopy) {
  InterfaceFacts nic = good_nic();
  nic.xdp = XdpFeatures{0x23};
  expect_finding(said_of(nic), "zero-copy", Severity::advice, {"copied once"});
}

TEST(DoctorTest, ADriverWhoseLinkDropsAtAttach) {
  for (const char* driver : {"igb", "ixgbe", "i40e"}) {
    InterfaceFacts nic = good_nic();
    nic.device.driver = driver;
    nic.channels = Channels{4, 0, 0, 64, 0, 0};
    expect_finding(said_of(nic), "link-drops", Severity::advice, {driver});
  }
}

TEST(DoctorTest, AnIgbWhoseFillRingIsNotLargerThanItsRxRing) {
  InterfaceFacts nic = good_nic();
  nic.device.driver = "igb";
  nic.rx_ring = RxRing{256, 4096};
  Wanted wanted;
  wanted.frame_size = 4096;
  EXPECT_FALSE(find(said_of(nic, wanted), "fill-ring"));
  wanted.ring_size = 256;
  expect_finding(said_of(nic, wanted), "fill-ring", Severity::warning,
                 {"--ring-size 256", "that (256)", "--ring-size 512",
                  "ethtool -G eth0 rx 128"});
  EXPECT_EQ(fix_of(said_of(nic, wanted), "fill-ring"), Fix{"eth0 ring rx 128"});
  nic.rx_ring->size = 128;
  EXPECT_FALSE(find(said_of(nic, wanted), "fill-ring"));
  nic.rx_ring->size = 4096;
  wanted.ring_size = 2048;
  expect_finding(said_of(nic, wanted), "fill-ring", Severity::warning,
                 {"--ring-size 8192"});
  wanted.ring_size = 64;
  EXPECT_EQ(fix_of(said_of(nic, wanted), "fill-ring"), Fix{})
      << "no ring of this NIC is that small";
}

TEST(DoctorTest, AFillRingMattersOnIgbInZeroCopyAlone) {
  InterfaceFacts nic = good_nic();
  nic.device.driver = "igb";
  nic.rx_ring = RxRing{4096, 4096};
  Wanted wanted;
  wanted.frame_size = 4096;
  const auto found = [&](const Wanted& any) {
    return find(said_of(nic, any), "fill-ring").has_value();
  };
  EXPECT_TRUE(found(wanted));
  EXPECT_FALSE(found({})) << "an MTU of 1500 does not go into 2048 bytes";
  Wanted other = wanted;
  other.copy = true;
  EXPECT_FALSE(found(other));
  other = wanted;
  other.generic = true;
  EXPECT_FALSE(found(other));
  nic.xdp = XdpFeatures{0x23};
  EXPECT_FALSE(found(wanted)) << "the driver has no zero-copy";
  nic.xdp = XdpFeatures{0xff};
  nic.rx_ring.reset();
  EXPECT_FALSE(found(wanted)) << "it is not told";
  nic.rx_ring = RxRing{4096, 4096};
  nic.device.driver = "ice";
  EXPECT_FALSE(found(wanted));
}

// --- Offloads ---------------------------------------------------------------

TEST(DoctorTest, VlanStrippingIsWrongWhereRulesLookAtTags) {
  InterfaceFacts nic = good_nic();
  nic.features = nic.changeable = {"rx-vlan-hw-parse"};
  expect_finding(said_of(nic), "vlan-stripping", Severity::advice,
                 {"ethtool -K eth0 rxvlan off"});
  Wanted wanted;
  auto rules = Rules::parse("steer vlan 7 and (udp or tcp)");
  ASSERT_TRUE(rules) << rules.error().message();
  wanted.rules = *rules;
  expect_finding(said_of(nic, wanted), "vlan-stripping", Severity::warning, {});
  EXPECT_EQ(fix_of(said_of(nic, wanted), "vlan-stripping"),
            Fix{"eth0 feature rx-vlan-hw-parse off"});
}

TEST(DoctorTest, WhatCantBeChangedIsNoFix) {
  InterfaceFacts nic = good_nic();
  nic.features = {"rx-vlan-hw-parse"};
  EXPECT_TRUE(find(said_of(nic), "vlan-stripping"));
  EXPECT_EQ(fix_of(said_of(nic), "vlan-stripping"), Fix{});
}

TEST(DoctorTest, LroAndHardwareGro) {
  InterfaceFacts nic = good_nic();
  nic.features = nic.changeable = {"rx-lro", "rx-gro-hw"};
  expect_finding(said_of(nic), "lro", Severity::warning, {"rx-lro off"});
  EXPECT_EQ(fix_of(said_of(nic), "lro"),
            (Fix{"eth0 feature rx-lro off", "eth0 feature rx-gro-hw off"}));
}

TEST(DoctorTest, WhatTheOtherEndOfAVethLeavesUndone) {
  InterfaceFacts nic = good_nic();
  nic.kind = "veth";
  nic.lower = "eth1";
  nic.peer_features = {"tx-checksum-ip-generic", "tx-tcp-segmentation",
                       "highdma"};
  const auto findings = said_of(nic);
  EXPECT_EQ(fix_of(findings, "checksum"),
            Fix{"eth1 feature tx-checksum-ip-generic off"});
  EXPECT_EQ(fix_of(findings, "segmentation"),
            Fix{"eth1 feature tx-tcp-segmentation off"});
  EXPECT_EQ(fix_of(findings, "veth-gro"), Fix{"eth1 feature rx-gro on"});
  EXPECT_FALSE(find(findings, "veth-peer"));
}

TEST(DoctorTest, AVethWhosePeerIsElsewhere) {
  InterfaceFacts nic = good_nic();
  nic.kind = "veth";
  expect_finding(said_of(nic), "veth-peer", Severity::advice,
                 {"another network namespace"});
}

TEST(DoctorTest, AnMtuThatAFrameDoesNotHold) {
  InterfaceFacts nic = good_nic();
  nic.device.mtu = 1774;
  EXPECT_FALSE(find(said_of(nic), "mtu"));
  nic.device.mtu = 1775;
  expect_finding(said_of(nic), "mtu", Severity::advice, {"segments"});
  nic.xdp = XdpFeatures{0x0b};  // No multi-buffer.
  expect_finding(said_of(nic), "mtu", Severity::warning, {"1774"});
  EXPECT_EQ(fix_of(said_of(nic), "mtu"), Fix{"eth0 mtu bytes 1774"});
  Wanted wanted;
  wanted.frame_size = 4096;
  EXPECT_FALSE(find(said_of(nic, wanted), "mtu"));
}

TEST(DoctorTest, CoalescingThatWaitsLong) {
  InterfaceFacts nic = good_nic();
  nic.coalescing = Coalescing{100, true};
  expect_finding(said_of(nic), "coalescing", Severity::advice,
                 {"ethtool -C eth0 adaptive-rx off rx-usecs 10"});
  EXPECT_EQ(
      fix_of(said_of(nic), "coalescing"),
      (Fix{"eth0 coalesce adaptive-rx off", "eth0 coalesce rx-usecs 10"}));
}

// --- The host ---------------------------------------------------------------

TEST(DoctorTest, CapabilitiesThatAreMissingAreNamed) {
  HostFacts host = good_host();
  host.missing_capabilities = {"CAP_BPF", "CAP_NET_RAW"};
  expect_finding(diagnose_host(host, {}, 1), "capabilities", Severity::error,
                 {"CAP_BPF, CAP_NET_RAW", "setcap"});
}

TEST(DoctorTest, MemoryThatMayNotBeLocked) {
  HostFacts host = good_host();
  host.memlock = std::uint64_t{8} << 20;
  const Wanted wanted;  // 16 MiB a queue.
  expect_finding(diagnose_host(host, wanted, 2), "memlock", Severity::warning,
                 {"8192 KiB", "32768 KiB", "LimitMEMLOCK"});
  host.may_lock_memory = true;
  EXPECT_FALSE(find(diagnose_host(host, wanted, 2), "memlock"));
}

TEST(DoctorTest, NoIoUring) {
  HostFacts host = good_host();
  host.io_uring_refused = "io_uring_setup: Operation not permitted";
  expect_finding(diagnose_host(host, {}, 1), "io_uring", Severity::advice,
                 {"Operation not permitted", "ppoll"});
}

TEST(DoctorTest, AClockSourceThatTakesASystemCall) {
  HostFacts host = good_host();
  host.clock_source = "hpet";
  expect_finding(diagnose_host(host, {}, 1), "clock-source", Severity::warning,
                 {"hpet"});
  host.clock_source = "kvm-clock";
  EXPECT_FALSE(find(diagnose_host(host, {}, 1), "clock-source"));
}

TEST(DoctorTest, PollersOnThreadsOfOneCore) {
  HostFacts host = good_host();
  for (CpuFacts& cpu : host.cpus) {
    const int first = cpu.number / 2 * 2;
    cpu.siblings = {first, first + 1};
  }
  expect_finding(diagnose_host(host, {}, 2), "smt-siblings", Severity::warning,
                 {"cpus 0 and 1", "0,2"});
  Wanted wanted;
  wanted.cpus = {0, 2};
  EXPECT_FALSE(find(diagnose_host(host, wanted, 2), "smt-siblings"));
}

TEST(DoctorTest, CpusThatSpinAndAreNotIsolated) {
  HostFacts host = good_host();
  host.cpus[0].isolated = true;
  Wanted wanted;
  wanted.spin = true;
  expect_finding(diagnose_host(host, wanted, 2), "isolation", Severity::advice,
                 {"cpus that spin: 1", "isolcpus=1"});
  wanted.cpus = {0};
  EXPECT_FALSE(find(diagnose_host(host, wanted, 1), "isolation"));
}

// --- Errors -----------------------------------------------------------------

TEST(DoctorTest, AFailedStartConcernsSomeFindings) {
  const auto concerned = [](const char* id, int code) {
    Finding finding;
    finding.id = id;
    return concerns(finding, code);
  };
  EXPECT_TRUE(concerned("capabilities", EPERM));
  EXPECT_TRUE(concerned("memlock", ENOBUFS));
  EXPECT_TRUE(concerned("other-program", EBUSY));
  EXPECT_TRUE(concerned("bond", EOPNOTSUPP));
  EXPECT_TRUE(concerned("link-down", ENETDOWN));
  EXPECT_FALSE(concerned("other-program", EPERM));
  EXPECT_FALSE(concerned("smt-siblings", EBUSY));
}

}  // namespace
}  // namespace sluice::testing
