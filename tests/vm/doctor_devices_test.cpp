// SPDX-License-Identifier: Apache-2.0
// The doctor on devices that are not simply a NIC, and on a host whose memory
// is not all equally near: scripts/vm-stage.sh says how that machine is made.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sluice/host.hpp>
#include <sluice/testing/process.hpp>
#include <thread>

#include "doctor_said.hpp"

namespace sluice::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;
using namespace std::chrono_literals;

class DoctorDevicesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Interfaces of any other machine are left alone.
    if (std::getenv("SLUICE_VM_NICS") == nullptr ||
        !fs::exists("/vm/command")) {
      GTEST_SKIP() << "It needs the NICs of scripts/vm.sh.";
    }
    if (far_nic().empty()) GTEST_SKIP() << "It needs a NIC at node 1.";
  }
  void TearDown() override {
    for (const std::string& each : made_) ip("link del " + each);
  }

  static void ip(const std::string& arguments) {
    auto done = Process::start({"sh", "-c", "ip " + arguments});
    ASSERT_TRUE(done);
    ASSERT_EQ(done->wait(60s), 0) << arguments << ": " << done->err();
  }
  void add(const std::string& name, const std::string& arguments) {
    ip("link add " + arguments);
    made_.push_back(name);
  }
  static DoctorSaid doctor(const std::string& interface,
                           const Words& more = {}) {
    Words words = {SLUICE_PROGRAM, "doctor", "-i", interface, "--json"};
    words.insert(words.end(), more.begin(), more.end());
    auto process = Process::start(words);
    if (!process) std::abort();
    return DoctorSaid::of(std::move(*process));
  }
  static void expect_said(const DoctorSaid& said, const char* id,
                          const std::string& words) {
    const auto found = said.find(id);
    ASSERT_FALSE(found.is_null());
    EXPECT_NE(found.dump().find(words), std::string::npos) << found;
  }
  // The NIC of the node that has no CPU.
  static std::string far_nic() {
    for (const auto& each : fs::directory_iterator("/sys/class/net")) {
      int node = -1;
      std::ifstream(each.path() / "device/numa_node") >> node;
      if (node == 1) return each.path().filename();
    }
    return {};
  }

 private:
  Words made_;
};

TEST_F(DoctorDevicesTest, ABondNamesItsMembersAndTheyTheirBond) {
  add("bond7", "bond7 type bond mode active-backup");
  ip("link set eth0 down");
  ip("link set eth0 master bond7");
  ip("link set bond7 up");
  const DoctorSaid bond = doctor("bond7");
  expect_found(bond, "bond", "warning");
  expect_said(bond, "bond", "eth0");
  const DoctorSaid member = doctor("eth0");
  expect_found(member, "bond-member", "advice");
  expect_said(member, "bond-member", "bond7");
  ip("link set eth0 nomaster");
  ip("link set eth0 up");
  EXPECT_TRUE(doctor("eth0").find("bond-member").is_null());
}

TEST_F(DoctorDevicesTest, AVlanDeviceNamesWhatIsBelow) {
  add("eth0.7", "link eth0 name eth0.7 type vlan id 7");
  const DoctorSaid said = doctor("eth0.7");
  expect_found(said, "vlan-device", "warning");
  expect_said(said, "vlan-device", "eth0");
}

TEST_F(DoctorDevicesTest, AVirtualFunctionIsToldFromItsPhysicalOne) {
  const std::string nic = far_nic();
  const std::string count = "/sys/class/net/" + nic + "/device/sriov_numvfs";
  const auto functions = [] {
    Words found;
    for (const auto& each : fs::directory_iterator("/sys/class/net")) {
      if (fs::exists(each.path() / "device/physfn")) {
        found.push_back(each.path().filename());
      }
    }
    return found;
  };
  std::ofstream(count) << 1 << std::flush;
  for (int i = 0; i < 600 && functions().empty(); ++i) {
    std::this_thread::sleep_for(50ms);
  }
  ASSERT_EQ(functions().size(), 1U);
  const DoctorSaid said = doctor(functions().front());
  expect_found(said, "virtual-function", "advice");
  EXPECT_TRUE(doctor(nic).find("virtual-function").is_null());
  std::ofstream(count) << 0 << std::flush;
  for (int i = 0; i < 600 && !functions().empty(); ++i) {
    std::this_thread::sleep_for(50ms);
  }
  EXPECT_TRUE(functions().empty());
}

TEST_F(DoctorDevicesTest, ANicOfAnotherNode) {
  const std::string nic = far_nic();
  const DoctorSaid said = doctor(nic);
  expect_found(said, "numa", "warning");
  expect_said(said, "numa", "node 1 has no CPU");
}

TEST_F(DoctorDevicesTest, ThreadsOfOneCore) {
  expect_found(doctor("eth0", {"--cpus", "0,1"}), "smt-siblings", "warning");
  const DoctorSaid one = doctor("eth0", {"--cpus", "0", "--queues", "0"});
  EXPECT_TRUE(one.find("smt-siblings").is_null());
}

TEST_F(DoctorDevicesTest, CpusThatSpinBesideOthers) {
  expect_found(doctor("eth0", {"--spin"}), "isolation", "advice");
  EXPECT_TRUE(doctor("eth0").find("isolation").is_null());
}

}  // namespace
}  // namespace sluice::testing
