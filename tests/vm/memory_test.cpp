// SPDX-License-Identifier: Apache-2.0
// Packet memory: of huge pages that the machine has reserved, of small ones
// where those are too few, and refused where there is none at all. For a
// machine with hugepages=16 of 2 MiB on its kernel's command line.
#include <sluice/umem.hpp>

#include "vm_test.hpp"

namespace sluice::testing {
namespace {

class MemoryTest : public VmTest {
 protected:
  MemoryTest() : VmTest({"virtio"}) {}

  static constexpr std::uint64_t kReserved = 16;

  static std::uint64_t huge_pages(const std::string& which) {
    std::ifstream meminfo("/proc/meminfo");
    for (std::string line; std::getline(meminfo, line);) {
      if (line.starts_with("HugePages_" + which + ":")) {
        return std::stoull(line.substr(line.find(':') + 1));
      }
    }
    return 0;
  }
  void SetUp() override {
    VmTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(huge_pages("Total"), kReserved);
  }
  // So many whole huge pages.
  static UmemOptions of_pages(std::uint64_t count) {
    return {.frames = static_cast<std::uint32_t>(count * 512),
            .frame_size = 4096};
  }
  // Reflects in that mode; every byte is compared, every frame accounted for.
  static void expect_traffic(EngineRun& run, Mode mode, bool huge) {
    ASSERT_TRUE(run.start<services::Reflect>());
    for (const QueueGrant& grant : run->queues()) EXPECT_EQ(grant.mode, mode);
    for (const CoreGrant& core : run->cores()) {
      EXPECT_EQ(core.huge_pages, huge);
    }
    Wire far = wire(eth(1));
    expect_reflected(far, eth(1), eth(0), 2000);
    expect_all_on_every_queue(run.stop(), 2000);
  }
};

TEST_F(MemoryTest, ReservedHugePagesAreUsedAndGivenBack) {
  {
    auto umem = Umem::create(of_pages(3));
    ASSERT_TRUE(umem) << umem.error().message();
    EXPECT_TRUE(umem->huge());
    EXPECT_EQ(umem->refusal().code, 0);
    EXPECT_EQ(huge_pages("Free"), kReserved - 3);
    for (std::byte& each : umem->bytes()) each = std::byte{0x5a};
  }
  EXPECT_EQ(huge_pages("Free"), kReserved);
}

TEST_F(MemoryTest, BeyondThoseItIsOfSmallPagesAndSaysSo) {
  auto most = Umem::create(of_pages(kReserved - 1));
  ASSERT_TRUE(most);
  EXPECT_TRUE(most->huge());
  auto umem = Umem::create(of_pages(2));
  ASSERT_TRUE(umem);
  EXPECT_FALSE(umem->huge());
  const std::string why = umem->refusal().message();
  EXPECT_NE(why.find("4 MiB are needed, and 2 MiB of the 32 MiB reserved"),
            std::string::npos)
      << why;
  EXPECT_NE(why.find("vm.nr_hugepages"), std::string::npos) << why;
  EXPECT_EQ(huge_pages("Free"), 1U) << "none is taken in part";
  std::ranges::fill(umem->bytes(), std::byte{1});

  auto odd = Umem::create({.frames = 700, .frame_size = 4096});
  ASSERT_TRUE(odd);
  EXPECT_FALSE(odd->huge());
  EXPECT_NE(odd->refusal().message().find("no whole huge pages"),
            std::string::npos);
  auto masked =
      Umem::create({.frames = 512, .frame_size = 4096, .huge_pages = false});
  ASSERT_TRUE(masked);
  EXPECT_EQ(masked->refusal().code, 0) << "not asked for";
}

TEST_F(MemoryTest, TrafficOverHugePagesInZeroCopy) {
  EngineRun run(options({eth(0)}, Mode::zero_copy));
  expect_traffic(run, Mode::zero_copy, true);
}

TEST_F(MemoryTest, TrafficOverHugePagesInCopyMode) {
  EngineRun run(options({eth(0)}, Mode::copy));
  expect_traffic(run, Mode::copy, true);
}

TEST_F(MemoryTest, TrafficOverSmallPagesWhereHugeOnesAreTaken) {
  auto most = Umem::create(of_pages(kReserved));
  ASSERT_TRUE(most);
  ASSERT_TRUE(most->huge());
  EngineRun run(options({eth(0)}, Mode::zero_copy));
  EXPECT_NE(reason(run->queues()[0].refused, "huge pages").find("0 MiB of the"),
            std::string::npos);
  expect_traffic(run, Mode::zero_copy, false);
}

TEST_F(MemoryTest, TheProgramSaysWhatHoldsItsPackets) {
  auto process =
      Process::start({SLUICE_PROGRAM, "run", "-i", eth(0), "--steer",
                      "udp and dst port 7", "--mode", "copy", "--queues", "0",
                      "--frame-size", "4096", "--ring-size", "512"});
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->wait_for("rule: ", 60s)) << process->err();
  EXPECT_NE(process->out().find("MiB locked in huge pages"), std::string::npos)
      << process->out();
  process->signal(SIGINT);
  EXPECT_EQ(process->wait(60s), 0);
}

// In a control group of its own: neither is it killed, nor anybody else.
TEST_F(MemoryTest, WhatAControlGroupDoesNotAllowIsRefusedInWords) {
  const std::string group = "/sys/fs/cgroup/sluice-memory-test";
  std::ofstream("/sys/fs/cgroup/cgroup.subtree_control") << "+memory";
  std::filesystem::create_directory(group);
  std::ofstream(group + "/memory.max") << (64U << 20);
  auto process = Process::start(
      {"sh", "-c",
       "echo $$ > " + group +
           "/cgroup.procs && exec " SLUICE_PROGRAM " run -i " + eth(0) +
           " --steer 'udp and dst port 7' --mode copy --queues 0 "
           "--frame-size 4096 --frames-per-queue 32768"});
  ASSERT_TRUE(process);
  EXPECT_EQ(process->wait(60s), 1) << process->out() << process->err();
  EXPECT_NE(process->err().find("128 MiB are asked for"), std::string::npos)
      << process->err();
  EXPECT_NE(process->err().find("--frames-per-queue"), std::string::npos);
  std::error_code failed;
  EXPECT_TRUE(std::filesystem::remove(group, failed)) << failed.message();
  const auto device = Netdev::read(eth(0));
  ASSERT_TRUE(device);
  const auto program = attached_program(device->index);
  EXPECT_TRUE(program && !program->has_value()) << "a program is left";
}

}  // namespace
}  // namespace sluice::testing
