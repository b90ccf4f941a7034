// SPDX-License-Identifier: Apache-2.0
// The life of a run: how it ends, who may ask it, and what remains when it is
// killed.
#include <cstdlib>
#include <random>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

using Clock = std::chrono::steady_clock;

class LifeTest : public VethTest {
 protected:
  const Words kReflect = {"--handler", "reflect", "--steer",
                          "udp and dst port 7"};
  // Datagrams that never end, until the process goes.
  Process blast(int rate) {
    return spawn(Side::b, {TRAFFIC_PROGRAM, "blast", "--to", mine().ipv4,
                           "--port", "7", "--rate", std::to_string(rate),
                           "--duration", "110", "--flows", "64"});
  }
  // It handles packets now.
  void expect_traffic(Running& run) {
    const auto deadline = Clock::now() + 10s;
    std::uint64_t received = 0;
    while (received == 0 && Clock::now() < deadline) {
      received = sum(status(), "rx_packets");
    }
    EXPECT_GT(received, 0u) << run.process().err();
  }
  Json status() {
    Process status = sluice({"status", "-i", mine().interface, "--json"});
    EXPECT_EQ(status.wait(10s), 0) << status.err();
    return line_of(status.out(), "status");
  }
};

TEST_F(LifeTest, SignalsDrainAndEnd) {
  Process traffic = blast(50'000);
  for (const int number : {SIGINT, SIGTERM}) {
    Running run = this->run(kReflect);
    ASSERT_TRUE(run.up());
    expect_traffic(run);
    const Json ended = run.stop(number);
    EXPECT_EQ(ended.at("reason"), number == SIGINT ? "SIGINT" : "SIGTERM");
    EXPECT_EQ(ended.at("ledger").at("transmitting"), 0u) << "not drained";
    EXPECT_EQ(ended.at("ledger").at("handlers"), 0u);
    expect_nothing_left();
  }
}

TEST_F(LifeTest, DurationEndsItToo) {
  Words flags = kReflect;
  flags.insert(flags.end(), {"--duration", "0.2"});
  Running run = this->run(flags);
  ASSERT_TRUE(run.up());
  EXPECT_EQ(run.process().wait(5s), 0);
  const Json ended = line_of(run.process().out(), "ended");
  EXPECT_EQ(ended.at("reason"), "duration");
  expect_balanced(ended);
}

TEST_F(LifeTest, ReaderThatGoesAwayEndsTheRun) {
  for (const bool json : {false, true}) {
    Words flags = kReflect;
    flags.insert(flags.end(), {"--interval", "0.1"});
    if (json) flags.emplace_back("--json");
    Process process = sluice_run(flags);
    ASSERT_TRUE(process.wait_for("queue", 20s)) << process.err();
    process.close_output();
    const auto code = process.wait(3s);
    ASSERT_TRUE(code) << "it runs on";
    EXPECT_LT(*code, 2);
    expect_nothing_left();
  }
}

TEST_F(LifeTest, AnotherProcessReadsTheStatus) {
  Running run = this->run(kReflect);
  ASSERT_TRUE(run.up());
  expect_answered(mine().ipv4, 7, 1000);
  const Json line = status();
  ASSERT_TRUE(line.is_object());
  EXPECT_EQ(line.at("pid"), run.process().pid());
  EXPECT_EQ(sum(line, "rx_packets"), 1000u);
  EXPECT_EQ(line.at("granted").at("queues").size(), 2u);
  // The cores tell their ledger when they are asked for the first time.
  expect_balanced(status());
  Process text = sluice({"status"});
  EXPECT_EQ(text.wait(10s), 0);
  EXPECT_NE(
      text.out().find("owner: process " + std::to_string(run.process().pid())),
      std::string::npos)
      << text.out();
  EXPECT_NE(text.out().find("udp and dst port 7"), std::string::npos);
  run.stop();
  Process nobody = sluice({"status", "-i", mine().interface});
  EXPECT_EQ(nobody.wait(10s), 1);
  EXPECT_NE(nobody.err().find("No sluice runs"), std::string::npos)
      << nobody.err();
  EXPECT_EQ(sluice({"status"}).wait(10s), 1);
}

TEST_F(LifeTest, DeletedInterfaceEndsTheRunAndIsNamed) {
  Words flags = kReflect;
  flags.insert(flags.end(), {"--heal-timeout", "0"});
  Running run = this->run(flags);
  ASSERT_TRUE(run.up());
  ASSERT_TRUE(lab().remove());
  EXPECT_EQ(run.process().wait(5s), 1) << "it runs on";
  const Json ended = line_of(run.process().out(), "ended");
  ASSERT_TRUE(ended.is_object());
  expect_balanced(ended);
  EXPECT_NE(line_of(run.process().out(), "event")
                .at("text")
                .get<std::string>()
                .find(mine().interface + ": the interface is gone"),
            std::string::npos);
}

// Attach, bind, traffic: wherever it is hit, nothing remains, and the next one
// stands.
TEST_F(LifeTest, KilledAtAnyInstantNothingIsLeft) {
  const char* given = std::getenv("SLUICE_TEST_SEED");
  const auto seed = given != nullptr ? static_cast<unsigned>(std::atoi(given))
                                     : std::random_device{}();
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  Process traffic = blast(20'000);
  auto startup = Clock::duration(100ms);
  for (int i = 0; i < 50; ++i) {
    {
      Process victim = sluice_run(kReflect);
      // From its first instruction to some time after its first packet.
      const auto most = std::chrono::duration_cast<std::chrono::microseconds>(
          startup * 3 / 2);
      std::this_thread::sleep_for(
          std::chrono::microseconds(std::uniform_int_distribution<std::int64_t>(
              0, most.count())(random)));
      ASSERT_TRUE(victim.signal(SIGKILL)) << victim.err();
      ASSERT_EQ(victim.wait(5s), 128 + SIGKILL);
    }
    const auto begin = Clock::now();
    Running next = run(kReflect);
    ASSERT_TRUE(next.up()) << "restart " << i;
    startup = Clock::now() - begin;
    // Killed under traffic, every other time.
    if (i % 2 == 0) next.stop();
    next.process().signal(SIGKILL);
    ASSERT_TRUE(next.process().wait(5s));
    expect_nothing_left();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace sluice::testing
