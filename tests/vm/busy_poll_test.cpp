// SPDX-License-Identifier: Apache-2.0
// Busy polling on NICs that have a NAPI for each queue: the loop's calls move
// every packet, and the interface's settings are as before afterwards.
#include <sluice/doctor.hpp>

#include "vm_test.hpp"

namespace sluice::testing {
namespace {

class BusyPollTest : public VmTest {
 protected:
  explicit BusyPollTest(const Words& nics = {"igb", "virtio"}) : VmTest(nics) {}

  static Setting defer(const std::string& value = "") {
    return {eth(0), "napi", "defer-hard-irqs", value};
  }
  static Setting timeout(const std::string& value = "") {
    return {eth(0), "napi", "gro-flush-timeout", value};
  }
  static std::string value(const Setting& setting) {
    auto now = read_setting(setting);
    return now ? *now : now.error().message();
  }
  static void expect_as_before() {
    EXPECT_EQ(value(defer()), "0");
    EXPECT_EQ(value(timeout()), "0");
  }

  // Every packet there and back, with interrupts so far apart that a loop which
  // waits for them is found out: exchange() waits 5 s for an answer.
  static void expect_reflected_busy_polled(Mode mode, bool spin,
                                           const std::string& timeout_ns) {
    SCOPED_TRACE(std::string(to_string(mode)) +
                 (spin ? ", spinning" : ", sleeping"));
    // The run before took its link down as it ended.
    ASSERT_TRUE(wait_for_link(eth(0)));
    auto prepared = Prepared::open(eth(0), Prepared::Stay::while_it_lives);
    ASSERT_TRUE(prepared) << prepared.error().message();
    const Setting settings[] = {defer("2"), timeout(timeout_ns)};
    auto applied = prepared->apply(settings);
    ASSERT_TRUE(applied) << applied.error().message();

    EngineOptions busy = options({eth(0)}, mode);
    busy.busy_poll = 64;
    busy.poller.spin = spin;
    EngineRun run(std::move(busy));
    ASSERT_TRUE(run.start<services::Reflect>());
    std::set<std::uint32_t> napis;
    for (const QueueGrant& grant : run->queues()) {
      EXPECT_NE(grant.napi_id, 0u) << grant.queue;
      EXPECT_EQ(reason(grant.refused, "busy polling"), "");
      EXPECT_EQ(grant.mode, mode);
      EXPECT_TRUE(napis.insert(grant.napi_id).second) << grant.napi_id;
    }
    Wire far = wire(eth(1));
    expect_reflected(far, eth(1), eth(0), 1000);
    const Stats stats = run.stop();
    expect_all_on_every_queue(stats, 1000);
    for (const QueueStats& queue : stats.queues) {
      EXPECT_GT(queue.rx_wakes, 0u) << queue.queue;
      EXPECT_EQ(queue.tx_stalls, 0u) << queue.queue;
    }
  }
};

TEST_F(BusyPollTest, ASpinningLoopNeedsNoInterrupts) {
  for (const Mode mode : {Mode::zero_copy, Mode::copy}) {
    expect_reflected_busy_polled(mode, true, "20000000000");
  }
  expect_as_before();
}

TEST_F(BusyPollTest, ASleepingLoopIsWokenByThem) {
  expect_reflected_busy_polled(Mode::zero_copy, false, "200000");
  expect_as_before();
}

TEST_F(BusyPollTest, ARunSaysWhatItPollsAndPutsTheInterfaceBack) {
  expect_as_before();
  for (const int signal : {SIGINT, SIGKILL}) {
    auto process = Process::start({SLUICE_PROGRAM, "run", "-i", eth(0),
                                   "--steer", "udp and dst port 7",
                                   "--frame-size", "4096", "--busy-poll"});
    ASSERT_TRUE(process);
    ASSERT_TRUE(process->wait_for("rule: ", 60s)) << process->err();
    EXPECT_NE(process->out().find(", busy poll 64 of NAPI "), std::string::npos)
        << process->out();
    EXPECT_EQ(process->out().find("not busy polling"), std::string::npos)
        << process->out();
    EXPECT_EQ(value(defer()), "2");
    EXPECT_EQ(value(timeout()), "200000");
    process->signal(signal);
    const auto code = process->wait(30s);
    if (signal == SIGINT) {
      EXPECT_EQ(code, 0) << process->err();
    } else {
      EXPECT_EQ(value(defer()), "2") << "nobody was left to put it back";
      auto restored = recover(eth(0));
      ASSERT_TRUE(restored) << restored.error().message();
      EXPECT_EQ(restored->changes.size(), 2u);
    }
    expect_as_before();
  }
}

// On a NIC whose driver makes its NAPIs anew when it gets other channels.
class NewNapiTest : public BusyPollTest {
 protected:
  NewNapiTest() : BusyPollTest({"igb"}) {}

  void TearDown() override {
    if (IsSkipped()) return;
    channels(2);
    command({"ethtool", "-X", eth(0), "default"});
    expect_as_before();
  }
  static void channels(int count) {
    command({"ethtool", "-L", eth(0), "combined", std::to_string(count)});
  }
};

// It has the id of the old one, and who polls by that id polls on: interrupts
// would come too late for all of it.
TEST_F(NewNapiTest, IsPolledInPlaceOfTheOldOne) {
  ASSERT_TRUE(command({"ethtool", "-X", eth(0), "equal", "1"}));
  auto prepared = Prepared::open(eth(0), Prepared::Stay::while_it_lives);
  ASSERT_TRUE(prepared) << prepared.error().message();
  const Setting settings[] = {defer("2"), timeout("60000000000")};
  auto applied = prepared->apply(settings);
  ASSERT_TRUE(applied) << applied.error().message();
  EngineOptions busy = options({eth(0)}, Mode::zero_copy);
  busy.queues = {0};
  busy.busy_poll = 64;
  busy.poller.spin = true;
  EngineRun run(std::move(busy));
  ASSERT_TRUE(run.start<services::Reflect>());
  EXPECT_NE(run->queues().front().napi_id, 0u);
  Wire far = wire(eth(1));
  for (const int count : {2, 1, 2}) {
    SCOPED_TRACE(count);
    channels(count);
    if (count == 2) {  // They spread packets over both.
      ASSERT_TRUE(command({"ethtool", "-X", eth(0), "equal", "1"}));
    }
    ASSERT_TRUE(wait_for_link(eth(0)));
    expect_reflected(far, eth(1), eth(0), 300);
  }
  EXPECT_EQ(sum(run.stop(), &QueueStats::rx_packets), 900u);
}

// Before Linux 6.13. The run begins with interrupts, and goes on without.
class LateNapiTest : public VmTest {
 protected:
  LateNapiTest() : VmTest({"virtio on Linux 6.1"}) {}
};

TEST_F(LateNapiTest, ANapiThatComesWithTheFirstPacketIsTold) {
  EngineOptions busy = options({eth(0)});
  busy.busy_poll = 64;
  EngineRun run(std::move(busy));
  ASSERT_TRUE(run.start<services::Reflect>());
  for (const QueueGrant& grant : run->queues()) {
    EXPECT_EQ(grant.napi_id, 0u);
    EXPECT_NE(reason(grant.refused, "busy polling"), "");
  }
  Wire far = wire(eth(1));
  expect_reflected(far, eth(1), eth(0), 500);
  EXPECT_TRUE(run.until(30s, [&] {
    return std::ranges::all_of(run->queues(), [](const QueueGrant& grant) {
      return grant.napi_id != 0;
    });
  }));
  std::size_t told = 0;
  for (const std::string& line : run->take_news()) {
    told += line.find("busy polled from now on, by NAPI") != std::string::npos;
  }
  EXPECT_EQ(told, run->queues().size());
  for (const QueueGrant& grant : run->queues()) {
    EXPECT_EQ(reason(grant.refused, "busy polling"), "");
  }
  expect_reflected(far, eth(1), eth(0), 500);
  run.stop();
}

}  // namespace
}  // namespace sluice::testing
