// SPDX-License-Identifier: Apache-2.0
// The doctor on a NIC with an RSS table, ntuple rules, interrupts and
// coalescing, and on a host whose clock and io_uring may be changed: findings
// made true, mended, and put back.
#include <filesystem>
#include <fstream>
#include <sluice/doctor.hpp>
#include <string>

#include "doctor_said.hpp"
#include "vm_test.hpp"

namespace sluice::testing {
namespace {

// A file of sysfs or procfs with another value, for a while.
class Changed {
 public:
  Changed(std::string path, const std::string& value)
      : path_(std::move(path)), before_(first_line(path_)) {
    std::ofstream(path_) << value << std::flush;
  }
  ~Changed() { std::ofstream(path_) << before_ << std::flush; }
  Changed(const Changed&) = delete;
  Changed& operator=(const Changed&) = delete;

 private:
  std::string path_, before_;
};

class DoctorVmTest : public VmTest {
 protected:
  DoctorVmTest() : VmTest({"igb"}) {}

  const std::string kNic = eth(0);

  void SetUp() override {
    VmTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    std::filesystem::create_directories("/run");  // The machine is bare.
    before_ = settings();
  }
  void TearDown() override {
    if (before_.empty()) return;
    EXPECT_EQ(settings(), before_) << "something was not put back";
    EXPECT_FALSE(std::filesystem::exists("/run/sluice"));
  }

  std::string value(const std::string& what, const std::string& key) const {
    auto now = read_setting({kNic, what, key, {}});
    return now ? *now : now.error().message();
  }
  void set(const std::string& what, const std::string& key,
           const std::string& value) {
    auto done = write_setting({kNic, what, key, value});
    ASSERT_TRUE(done) << done.error().message();
  }
  [[nodiscard]] InterfaceFacts facts() const {
    auto facts = InterfaceFacts::read(kNic);
    EXPECT_TRUE(facts);
    return facts ? *facts : InterfaceFacts{};
  }
  // All that the doctor may change.
  [[nodiscard]] Words settings() const {
    Words all = {value("rss", "table"),
                 value("hash", "udp4"),
                 value("coalesce", "rx-usecs"),
                 value("ring", "rx"),
                 value("mtu", "bytes"),
                 value("feature", "rx-vlan-hw-parse"),
                 value("feature", "rx-ntuple-filter")};
    const InterfaceFacts now = facts();
    for (const Interrupt& each : now.interrupts) {
      all.push_back(value("irq", std::to_string(each.number)));
    }
    for (const FlowRule& each : now.flow_rules) all.push_back(each.rule);
    return all;
  }

  DoctorSaid doctor(const Words& more = {}) {
    Words words = {SLUICE_PROGRAM, "doctor", "-i", kNic, "--json"};
    words.insert(words.end(), more.begin(), more.end());
    auto process = Process::start(words);
    if (!process) std::abort();
    return DoctorSaid::of(std::move(*process));
  }
  void restore() {
    auto process =
        Process::start({SLUICE_PROGRAM, "doctor", "-i", kNic, "--restore"});
    ASSERT_TRUE(process);
    EXPECT_EQ(process->wait(60s), 0) << process->err();
  }
  // A run that prepares it; up to its first line.
  Process run(const Words& more) {
    Words words = {SLUICE_PROGRAM, "run",  "-i",          kNic, "--json",
                   "--frame-size", "4096", "--ring-size", "512"};
    words.insert(words.end(), more.begin(), more.end());
    auto process = Process::start(words);
    if (!process) std::abort();
    EXPECT_TRUE(process->wait_for("{\"type\":\"started\"", 60s))
        << process->err();
    return std::move(*process);
  }

 private:
  Words before_;
};

TEST_F(DoctorVmTest, FactsOfANic) {
  const InterfaceFacts nic = facts();
  EXPECT_EQ(nic.device.driver, "igb");
  EXPECT_EQ(nic.kind, "");
  EXPECT_EQ(nic.rss.size(), 128U);
  EXPECT_FALSE(nic.udp_hash.empty());
  EXPECT_GT(nic.flow_rules_max, 0U);
  ASSERT_TRUE(nic.channels);
  EXPECT_EQ(nic.channels->combined, 2U);
  EXPECT_TRUE(nic.coalescing);
  ASSERT_TRUE(nic.rx_ring);
  EXPECT_EQ(nic.rx_ring->size, 256U);
  EXPECT_EQ(nic.rx_ring->size_max, 4096U);
  ASSERT_TRUE(nic.xdp);
  EXPECT_TRUE(nic.xdp->native());
  EXPECT_TRUE(nic.changeable.contains("rx-vlan-hw-parse"));
  ASSERT_EQ(nic.interrupts.size(), 2U) << "one for each queue";
  EXPECT_NE(nic.interrupts[0].queue, nic.interrupts[1].queue);
  EXPECT_FALSE(nic.interrupts[0].cpus.empty());
}

TEST_F(DoctorVmTest, RssIsSpreadOverTheQueuesServed) {
  expect_found(doctor({"--queues", "1"}), "rss", "warning");
  const DoctorSaid mended =
      doctor({"--queues", "1", "--rss", "spread", "--fix"});
  EXPECT_TRUE(mended.find("rss").is_null()) << mended.err;
  EXPECT_EQ(facts().rss, std::vector<std::uint32_t>(128, 1));
  restore();
}

TEST_F(DoctorVmTest, UdpIsHashedWithItsPorts) {
  set("hash", "udp4", "sd");
  expect_found(doctor(), "rss-hash", "advice");
  const DoctorSaid mended = doctor({"--fix", "rss-hash"});
  EXPECT_TRUE(mended.find("rss-hash").is_null()) << mended.err;
  EXPECT_EQ(value("hash", "udp4"), "sdfn");
  restore();
}

// This NIC (82576) has a table of ntuple rules and takes none.
TEST_F(DoctorVmTest, NtupleRulesThatTheNicDoesNotTake) {
  const Words dedicated = {"--queues", "1",   "--rss",       "dedicated",
                           "--steer",  "arp", "--fix=ntuple"};
  const DoctorSaid refused = doctor(dedicated);
  EXPECT_EQ(refused.code, 1);
  expect_found(refused, "ntuple", "error");
}

TEST_F(DoctorVmTest, WhatFailsHalfWayIsTakenBack) {
  auto prepared = Prepared::open(kNic, Prepared::Stay::while_it_lives);
  ASSERT_TRUE(prepared) << prepared.error().message();
  const std::string before = value("rss", "table");
  std::string zeros = "0";
  for (int i = 1; i < 128; ++i) zeros += " 0";
  const std::vector<Setting> settings = {
      {kNic, "rss", "table", zeros},
      {kNic, "flow", "15", "ether proto 2054 queue 1"}};
  const auto applied = prepared->apply(settings);
  ASSERT_FALSE(applied);
  EXPECT_NE(applied.error().message().find("can't match"), std::string::npos)
      << applied.error().message();
  EXPECT_EQ(value("rss", "table"), before);
  EXPECT_TRUE(prepared->changes().empty());
}

TEST_F(DoctorVmTest, InterruptsGoToTheirPollers) {
  for (const Interrupt& each : facts().interrupts) {
    auto done = write_setting({{}, "irq", std::to_string(each.number), "0-1"});
    ASSERT_TRUE(done) << done.error().message();
  }
  expect_found(doctor(), "irq-affinity", "warning");
  const DoctorSaid mended = doctor({"--fix", "irq-affinity"});
  EXPECT_TRUE(mended.find("irq-affinity").is_null()) << mended.err;
  for (const Interrupt& each : facts().interrupts) {
    EXPECT_EQ(each.cpus, std::vector{static_cast<int>(each.queue)});
  }
  restore();
}

TEST_F(DoctorVmTest, CoalescingAndVlanStripping) {
  const std::string before = value("coalesce", "rx-usecs");
  set("coalesce", "rx-usecs", "200");
  expect_found(doctor(), "coalescing", "advice");
  expect_found(doctor(), "link-drops", "advice");
  set("feature", "rx-vlan-hw-parse", "on");
  expect_found(doctor({"--steer", "vlan 7"}), "vlan-stripping", "warning");
  doctor({"--fix", "coalescing,vlan-stripping"});
  EXPECT_EQ(value("coalesce", "rx-usecs"), "10");
  EXPECT_EQ(value("feature", "rx-vlan-hw-parse"), "off");
  restore();
  EXPECT_EQ(value("coalesce", "rx-usecs"), "200");
  set("coalesce", "rx-usecs", before);
}

TEST_F(DoctorVmTest, AFillRingThatIsNotLargerThanTheNics) {
  const Words large = {"--frame-size", "4096", "--ring-size", "512"};
  Words small = {"--frame-size", "4096", "--ring-size", "256"};
  EXPECT_TRUE(doctor(large).find("fill-ring").is_null());
  expect_found(doctor(small), "fill-ring", "warning");
  small.emplace_back("--fix=fill-ring");
  const DoctorSaid mended = doctor(small);
  EXPECT_TRUE(mended.find("fill-ring").is_null()) << mended.err;
  EXPECT_EQ(value("ring", "rx"), "128");
  restore();
}

TEST_F(DoctorVmTest, PreparedUntilTheRunEnds) {
  Process own = run({"--queues", "1", "--rss", "spread", "--prepare"});
  EXPECT_EQ(facts().rss, std::vector<std::uint32_t>(128, 1));
  own.signal(SIGINT);
  EXPECT_EQ(own.wait(60s), 0) << own.err();
}

TEST_F(DoctorVmTest, KilledAndPutBack) {
  Process own = run({"--queues", "1", "--rss", "spread", "--prepare"});
  own.signal(SIGKILL);
  EXPECT_TRUE(own.wait(60s));
  EXPECT_EQ(facts().rss, std::vector<std::uint32_t>(128, 1));
  restore();
}

TEST_F(DoctorVmTest, AClockSourceThatTakesASystemCall) {
  const Changed clock(
      "/sys/devices/system/clocksource/clocksource0/current_clocksource",
      "acpi_pm");
  expect_found(doctor(), "clock-source", "warning");
}

TEST_F(DoctorVmTest, IoUringThatIsDisabled) {
  EXPECT_TRUE(doctor().find("io_uring").is_null());
  const Changed disabled("/proc/sys/kernel/io_uring_disabled", "2");
  expect_found(doctor(), "io_uring", "advice");
}

}  // namespace
}  // namespace sluice::testing
