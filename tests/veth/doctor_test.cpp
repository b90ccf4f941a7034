// SPDX-License-Identifier: Apache-2.0
// The doctor on real interfaces: what it finds, what it mends, and that all is
// put back however a run ends.
#include <sys/stat.h>

#include <filesystem>
#include <sluice/cpu.hpp>
#include <sluice/doctor.hpp>

#include "doctor_said.hpp"
#include "foreign_program.hpp"
#include "veth_test.hpp"

namespace sluice::testing {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

class DoctorTest : public VethTest {
 protected:
  const std::string kNear = "near0";
  const std::string kFar = "far0";

  void SetUp() override {
    VethTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    make_pair();
  }

  // With both ends at side a, as the kernel makes it.
  void make_pair() {
    expect_ip("link add " + kNear + " type veth peer name " + kFar);
    expect_ip("link set dev " + kNear + " up");
    expect_ip("link set dev " + kFar + " up");
  }

  void expect_ip(const std::string& arguments) {
    auto done = lab().ip(Side::a, arguments);
    ASSERT_TRUE(done) << done.error().message();
  }
  void expect_ethtool(const Words& arguments) {
    Words words = {"ethtool"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    Process ethtool = spawn(Side::a, words);
    ASSERT_EQ(ethtool.wait(20s), 0) << ethtool.err();
  }

  DoctorSaid doctor(const std::string& interface, const Words& more = {}) {
    Words words = {"doctor", "-i", interface, "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return DoctorSaid::of(sluice(words));
  }
  std::string value(const Setting& setting) {
    auto now = lab().in(Side::a, [&] { return read_setting(setting); });
    return now ? *now : now.error().message();
  }
  std::string checksum() {
    return value({kFar, "feature", "tx-checksum-ip-generic", {}});
  }
  std::string segmentation() {
    return value({kFar, "feature", "tx-generic-segmentation", {}});
  }
  // Files of this namespace in /run/sluice.
  std::vector<std::string> state_files() {
    struct stat space{};
    lab().in(Side::a,
             [&] { return ::stat("/proc/thread-self/ns/net", &space); });
    const std::string own = std::to_string(space.st_ino) + "-";
    std::vector<std::string> files;
    std::error_code error;
    for (const auto& each :
         std::filesystem::directory_iterator("/run/sluice", error)) {
      const std::string name = each.path().filename();
      if (name.starts_with(own)) files.push_back(name);
    }
    return files;
  }
  void expect_as_before() {
    EXPECT_EQ(checksum(), "on");
    EXPECT_EQ(segmentation(), "on");
    EXPECT_TRUE(state_files().empty()) << state_files().front();
  }
  // `sluice run --prepare` on near0; what it mends is at far0.
  Running prepared() {
    return run({"-i", kNear, "--queues", "0", "--steer", "udp and dst port 7",
                "--prepare=checksum,segmentation"});
  }
};

// --- Findings ---------------------------------------------------------------

TEST_F(DoctorTest, LinkThatIsDown) {
  EXPECT_TRUE(doctor(mine().interface).find("link-down").is_null());
  expect_ip("link set dev " + mine().interface + " down");
  expect_found(doctor(mine().interface), "link-down", "error");
}

TEST_F(DoctorTest, LinkWithoutACarrier) {
  ASSERT_TRUE(lab().set_link(Side::b, false));
  ASSERT_TRUE(lab().wait_for_link(Side::a, false));
  expect_found(doctor(mine().interface), "no-carrier", "warning");
}

TEST_F(DoctorTest, MtuAboveAFrame) {
  expect_ip("link set dev " + mine().interface + " mtu 9000");
  expect_found(doctor(mine().interface), "mtu", "advice");
  expect_found(doctor(mine().interface, {"--mode", "generic"}), "mtu",
               "warning");
}

TEST_F(DoctorTest, BridgeNamesItsPorts) {
  expect_ip("link add br0 type bridge");
  expect_ip("link set dev " + kNear + " master br0");
  const DoctorSaid said = doctor("br0");
  expect_found(said, "bridge", "warning");
  EXPECT_NE(said.find("bridge").at("sentence").get<std::string>().find(kNear),
            std::string::npos);
}

TEST_F(DoctorTest, AnotherProgram) {
  const auto device =
      lab().in(Side::a, [&] { return Netdev::read(mine().interface); });
  ASSERT_TRUE(device);
  Fd foreign = lab().in(Side::a, [&] { return attach_foreign(device->index); });
  ASSERT_TRUE(foreign);
  const DoctorSaid said = doctor(mine().interface);
  expect_found(said, "other-program", "error");
  EXPECT_NE(said.find("other-program")
                .at("sentence")
                .get<std::string>()
                .find("somebody_elses"),
            std::string::npos);
}

TEST_F(DoctorTest, OwnRunIsNothingWrong) {
  Running own = run({"--steer", "udp and dst port 7"});
  ASSERT_TRUE(own.up());
  expect_found(doctor(mine().interface), "other-program", "advice");
  own.stop();
}

TEST_F(DoctorTest, VlanTagsTakenOut) {
  EXPECT_TRUE(doctor(mine().interface).find("vlan-stripping").is_null());
  expect_ethtool({"-K", mine().interface, "rxvlan", "on"});
  expect_found(doctor(mine().interface), "vlan-stripping", "advice");
  expect_found(doctor(mine().interface, {"--steer", "vlan 7"}),
               "vlan-stripping", "warning");
}

TEST_F(DoctorTest, WhatTheOtherEndLeavesUndone) {
  const DoctorSaid said = doctor(kNear);
  expect_found(said, "checksum", "warning");
  expect_found(said, "segmentation", "warning");
  expect_found(said, "veth-gro", "warning");
  expect_found(said, "zero-copy", "advice");
  expect_found(doctor(mine().interface), "veth-peer", "advice");
}

TEST_F(DoctorTest, QueuesThatAreNotServed) {
  expect_found(doctor(mine().interface, {"--queues", "0"}), "rss", "warning");
}

TEST_F(DoctorTest, MoreQueuesThanCpus) {
  const auto cpus = allowed_cpus();
  ASSERT_TRUE(cpus);
  expect_found(DoctorSaid::of(spawn(
                   Side::a, {"taskset", "-c", std::to_string(cpus->front()),
                             SLUICE_PROGRAM, "doctor", "-i", mine().interface,
                             "--json"})),
               "channels", "warning");
}

TEST_F(DoctorTest, PeerWithMoreTxQueues) {
  expect_ethtool({"-L", mine().interface, "rx", "1"});
  expect_found(doctor(mine().interface), "native-xdp", "warning");
}

TEST_F(DoctorTest, CapabilitiesAndMemory) {
  const DoctorSaid said = DoctorSaid::of(spawn(
      Side::a,
      {"prlimit", "--memlock=65536:65536", "setpriv", "--bounding-set", "-all",
       "--inh-caps", "-all", SLUICE_PROGRAM, "doctor", "-i", kNear, "--json"}));
  expect_found(said, "capabilities", "error");
  expect_found(said, "memlock", "warning");
  const auto sentence =
      said.find("capabilities").at("sentence").get<std::string>();
  for (const char* each : {"CAP_BPF", "CAP_NET_ADMIN", "CAP_NET_RAW"}) {
    EXPECT_NE(sentence.find(each), std::string::npos) << sentence;
  }
  EXPECT_TRUE(doctor(kNear).find("capabilities").is_null());
  EXPECT_TRUE(doctor(kNear).find("memlock").is_null());
}

TEST_F(DoctorTest, UsageErrors) {
  for (const Words& words :
       {Words{"doctor"}, Words{"doctor", "-i", kNear, "--fix", "everything"},
        Words{"doctor", "-i", kNear, "--rss", "wide"},
        Words{"doctor", "-i", kNear, "--cpus", "x"}}) {
    Process process = sluice(words);
    EXPECT_EQ(process.wait(20s), kUsage) << process.out();
  }
  Process nobody = sluice({"doctor", "-i", "nope0"});
  EXPECT_EQ(nobody.wait(20s), kFailed);
  EXPECT_NE(nobody.err().find(kNear), std::string::npos) << nobody.err();
}

// --- What is mended is put back ---------------------------------------------

TEST_F(DoctorTest, FixStaysUntilItIsRestored) {
  const DoctorSaid fixed = doctor(kNear, {"--fix"});
  EXPECT_EQ(checksum(), "off");
  EXPECT_EQ(segmentation(), "off");
  EXPECT_TRUE(fixed.find("checksum").is_null());
  EXPECT_EQ(state_files().size(), 1U);
  // Again: there is nothing to do, and the oldest values are kept.
  doctor(kNear, {"--fix"});
  Process restore = sluice({"doctor", "-i", kNear, "--restore"});
  EXPECT_EQ(restore.wait(20s), 0) << restore.err();
  expect_as_before();
}

TEST_F(DoctorTest, FixMendsWhatIsNamedAlone) {
  doctor(kNear, {"--fix", "segmentation"});
  EXPECT_EQ(checksum(), "on");
  EXPECT_EQ(segmentation(), "off");
  EXPECT_EQ(sluice({"doctor", "-i", kNear, "--restore"}).wait(20s), 0);
  expect_as_before();
}

TEST_F(DoctorTest, WhatFailsHalfWayIsTakenBack) {
  lab().in(Side::a, [&] {
    auto prepared = Prepared::open(kNear, Prepared::Stay::until_restored);
    ASSERT_TRUE(prepared) << prepared.error().message();
    const Setting good{kFar, "feature", "tx-checksum-ip-generic", "off"};
    const Setting bad{kFar, "feature", "no-such-feature", "on"};
    EXPECT_FALSE(prepared->apply(std::vector{good, bad}));
    EXPECT_EQ(checksum(), "on");
    EXPECT_TRUE(prepared->changes().empty());
    EXPECT_TRUE(prepared->apply(std::vector{good}));
    EXPECT_EQ(checksum(), "off");
  });
  EXPECT_EQ(sluice({"doctor", "-i", kNear, "--restore"}).wait(20s), 0);
  expect_as_before();
}

TEST_F(DoctorTest, MtuAndChannelsAreMended) {
  const std::string& own = mine().interface;
  expect_ip("link set dev " + own + " mtu 9000");
  doctor(own, {"--fix", "mtu"});
  EXPECT_EQ(value({own, "mtu", "bytes", {}}), "1774");
  EXPECT_EQ(sluice({"doctor", "-i", own, "--restore"}).wait(20s), 0);
  EXPECT_EQ(value({own, "mtu", "bytes", {}}), "9000");

  expect_ip(
      "link add wide0 numrxqueues 4 numtxqueues 4 type veth peer name "
      "wide1 numrxqueues 4 numtxqueues 4");
  const auto cpus = allowed_cpus();
  ASSERT_TRUE(cpus);
  DoctorSaid::of(spawn(
      Side::a, {"taskset", "-c", std::to_string(cpus->front()), SLUICE_PROGRAM,
                "doctor", "-i", "wide0", "--json", "--fix=channels"}));
  EXPECT_EQ(value({"wide0", "channels", "rx", {}}), "1");
  EXPECT_EQ(value({"wide1", "channels", "tx", {}}), "1");
  EXPECT_EQ(sluice({"doctor", "-i", "wide0", "--restore"}).wait(20s), 0);
  EXPECT_EQ(value({"wide0", "channels", "rx", {}}), "4");
  EXPECT_EQ(value({"wide1", "channels", "tx", {}}), "4");
  EXPECT_TRUE(state_files().empty());
}

TEST_F(DoctorTest, PreparedUntilTheRunEnds) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    Running own = prepared();
    ASSERT_TRUE(own.up());
    EXPECT_EQ(checksum(), "off");
    EXPECT_EQ(segmentation(), "off");
    EXPECT_EQ(state_files().size(), 1U);
    own.stop(number);
    EXPECT_EQ(own.process().err(), "");
    expect_as_before();
  }
}

TEST_F(DoctorTest, PreparedAgainWhenItIsMadeAnew) {
  for (const int number : {SIGINT, SIGKILL}) {
    Running own = prepared();
    ASSERT_TRUE(own.up());
    expect_ip("link del dev " + kNear);
    ASSERT_TRUE(own.process().wait_for("the interface is gone", 20s));
    make_pair();
    ASSERT_TRUE(
        own.process().wait_for("the interface is back, and bound", 20s));
    EXPECT_EQ(checksum(), "off");
    EXPECT_EQ(segmentation(), "off");
    EXPECT_EQ(state_files().size(), 1U);
    if (number == SIGINT) {
      own.stop(number);
      EXPECT_EQ(own.process().err(), "");
    } else {
      own.process().signal(number);
      EXPECT_TRUE(own.process().wait(20s));
      EXPECT_EQ(sluice({"doctor", "-i", kNear, "--restore"}).wait(20s), 0);
    }
    expect_as_before();
  }
}

TEST_F(DoctorTest, PreparedUntilTheDurationEnds) {
  Process process =
      sluice_run({"-i", kNear, "--queues", "0", "--steer", "udp and dst port 7",
                  "--duration", "0.1", "--prepare"});
  EXPECT_EQ(process.wait(20s), 0) << process.err();
  EXPECT_NE(process.out().find("tx-checksum-ip-generic: off until this run"),
            std::string::npos)
      << process.out();
  expect_as_before();
  EXPECT_EQ(value({kFar, "feature", "rx-gro", {}}), "off");
}

TEST_F(DoctorTest, PreparedAndNotStarted) {
  Process process =
      sluice_run({"-i", kNear, "--queues", "0", "--steer", "udp and dst port 7",
                  "--mode", "zero-copy", "--prepare"});
  EXPECT_EQ(process.wait(20s), kFailed) << process.out();
  EXPECT_NE(process.err().find("sluice: doctor: the driver veth has no "
                               "zero-copy"),
            std::string::npos)
      << process.err();
  expect_as_before();
}

TEST_F(DoctorTest, KilledAndPutBackByHand) {
  Running own = prepared();
  ASSERT_TRUE(own.up());
  own.process().signal(SIGKILL);
  ASSERT_TRUE(own.process().wait(10s));
  EXPECT_EQ(checksum(), "off");
  EXPECT_EQ(state_files().size(), 1U);
  Process restore = sluice({"doctor", "-i", kNear, "--restore"});
  EXPECT_EQ(restore.wait(20s), 0) << restore.err();
  expect_as_before();
}

TEST_F(DoctorTest, KilledAndPutBackByTheNextRun) {
  Running killed = prepared();
  ASSERT_TRUE(killed.up());
  killed.process().signal(SIGKILL);
  ASSERT_TRUE(killed.process().wait(10s));
  Running next = prepared();
  ASSERT_TRUE(next.up());
  EXPECT_EQ(checksum(), "off");
  next.stop();
  expect_as_before();
}

TEST_F(DoctorTest, WhatSomebodyElseChangedIsLeftAndSaid) {
  Running own = prepared();
  ASSERT_TRUE(own.up());
  expect_ethtool({"-K", kFar, "tx-checksum-ip-generic", "on"});
  expect_ethtool({"-K", kFar, "gso", "off"});
  own.stop();
  EXPECT_EQ(checksum(), "on");
  EXPECT_TRUE(state_files().empty());
  EXPECT_EQ(sluice({"doctor", "-i", kNear, "--restore"}).wait(20s), 0);
}

TEST_F(DoctorTest, OnlyOneRunPrepares) {
  Running own = prepared();
  ASSERT_TRUE(own.up());
  Process second = sluice({"doctor", "-i", kNear, "--fix"});
  EXPECT_EQ(second.wait(20s), kFailed);
  EXPECT_NE(second.err().find("Another process has prepared it"),
            std::string::npos)
      << second.err();
  own.stop();
  expect_as_before();
}

TEST_F(DoctorTest, RssThatCantBeSetEndsTheStart) {
  Process process = sluice_run(
      {"--queues", "0", "--steer", "udp and dst port 7", "--rss", "spread"});
  EXPECT_EQ(process.wait(20s), kFailed) << process.out();
  EXPECT_NE(process.err().find("no RSS table"), std::string::npos)
      << process.err();
  expect_nothing_left();
  EXPECT_TRUE(state_files().empty());
}

}  // namespace
}  // namespace sluice::testing
