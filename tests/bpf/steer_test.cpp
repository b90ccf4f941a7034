// SPDX-License-Identifier: Apache-2.0
// The XDP program, run by the kernel on crafted packets: verdicts, counters,
// live changes, identity, what the verifier has to look at. What expressions
// mean is judged in meaning_test.cpp.
#include <bpf/bpf.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include <sluice/sys.hpp>
#include <sluice/testing/frame.hpp>

#include "program_test.hpp"

namespace {

using sluice::Action;
using sluice::Count;
using sluice::Counts;
using sluice::Fd;
using sluice::Program;
using sluice::ProgramOptions;
using sluice::Rules;
using sluice::testing::Bytes;
using sluice::testing::Frame;
using sluice::testing::udp_to;

Bytes arp() { return Frame().eth().arp(1, "192.0.2.9", "192.0.2.1"); }

class SteerTest : public sluice::testing::ProgramTest {
 protected:
  Action verdict(const Bytes& packet) {
    const auto action = program().run_on(packet);
    EXPECT_TRUE(action) << action.error().message();
    return action ? *action : Action::pass;
  }
  Counts counts() {
    const auto counts = program().counts();
    EXPECT_TRUE(counts) << counts.error().message();
    return counts ? *counts : Counts{};
  }
  // An AF_XDP socket bound to nothing: enough to be looked up.
  void serve_queue_0() {
    socket_ = Fd(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(socket_) << "needs CAP_NET_RAW";
    const auto done = program().set_socket(0, socket_.get());
    ASSERT_TRUE(done) << done.error().message();
  }
  void expect_count(const Count& count, std::uint64_t packets,
                    std::uint64_t bytes) {
    EXPECT_EQ(count.packets, packets);
    EXPECT_EQ(count.bytes, bytes);
  }

 private:
  Fd socket_;
};

TEST_F(SteerTest, WithoutRulesEverythingPasses) {
  EXPECT_EQ(verdict(udp_to(53)), Action::pass);
  EXPECT_EQ(verdict(arp()), Action::pass);
  EXPECT_EQ(counts().unmatched.packets, 2u);
  EXPECT_EQ(counts().verdicts.passed.packets, 2u);
}

TEST_F(SteerTest, EachTermSeesItsOwnPackets) {
  struct Case {
    const char* expression;
    Bytes match;
    Bytes other;
  };
  const auto ip = [] { return Frame().eth().ipv4("192.0.2.9", "192.0.2.1"); };
  const auto ip6 = [] { return Frame().eth().ipv6("fe80::9", "fe80::1"); };
  const Case cases[] = {
      {"arp", arp(), udp_to(53)},
      {"ip", udp_to(53), ip6().udp(1, 2)},
      {"ip6", ip6().udp(1, 2), udp_to(53)},
      {"udp", ip6().udp(1, 2), ip6().tcp(1, 2)},
      {"udp", ip().udp(1, 2), ip().tcp(1, 2)},
      {"tcp", ip6().tcp(1, 2), ip6().udp(1, 2)},
      {"tcp", ip().tcp(1, 2), ip().udp(1, 2)},
      {"icmp", ip().icmp(8), ip6().icmp6(128)},
      {"icmp6", ip6().icmp6(128), ip().icmp(8)},
      {"dst host 192.0.2.1", ip().icmp(8), ip6().icmp6(128)},
      {"dst host 192.0.2.1", arp(),
       Frame().eth().arp(1, "192.0.2.1", "192.0.2.2")},
      {"dst host fe80::1", ip6().icmp6(128),
       Frame().eth().ipv6("fe80::1", "fe80::9")},
      {"dst port 53", udp_to(53), udp_to(54)},
      {"dst port 53", ip6().tcp(53, 53), ip6().tcp(53, 54)},
      {"udp and dst port 53", udp_to(53), ip().tcp(1, 53)},
  };
  for (const auto& [expression, match, other] : cases) {
    use(std::string("drop ") + expression);
    EXPECT_EQ(verdict(match), Action::drop) << expression;
    EXPECT_EQ(verdict(other), Action::pass) << expression;
  }
  use("drop all");
  EXPECT_EQ(verdict(arp()), Action::drop);
  EXPECT_EQ(verdict(Bytes(14)), Action::drop);
}

TEST_F(SteerTest, FirstMatchWinsAndTheDefaultTakesTheRest) {
  use("pass udp and dst port 53\ndrop udp\npass arp\ndefault drop");
  EXPECT_EQ(verdict(udp_to(53)), Action::pass);
  EXPECT_EQ(verdict(udp_to(54)), Action::drop);
  EXPECT_EQ(verdict(arp()), Action::pass);
  EXPECT_EQ(verdict(Frame().eth().ipv6("fe80::1", "fe80::2")), Action::drop);
}

TEST_F(SteerTest, TheLastOfManyRulesIsReached) {
  std::string text;
  for (int i = 1; i <= 5000; ++i) {
    text += "drop dst port " + std::to_string(i) + "\n";
  }
  use(text);
  EXPECT_EQ(verdict(udp_to(5000)), Action::drop);
  EXPECT_EQ(verdict(udp_to(5001)), Action::pass);
  expect_count(counts().rules.at(4999), 1, udp_to(5000).size());
  expect_count(counts().rules.at(4998), 0, 0);
}

TEST_F(SteerTest, SteeredPacketGoesToTheSocketOfItsQueue) {
  serve_queue_0();
  use("steer udp and dst port 53");
  EXPECT_EQ(verdict(udp_to(53)), Action::steer);
  EXPECT_EQ(verdict(udp_to(54)), Action::pass);
  expect_count(counts().verdicts.steered, 1, udp_to(53).size());
}

TEST_F(SteerTest, SteeringByDefaultWorksToo) {
  serve_queue_0();
  use("pass arp\ndefault steer");
  EXPECT_EQ(verdict(udp_to(53)), Action::steer);
  EXPECT_EQ(verdict(arp()), Action::pass);
}

TEST_F(SteerTest, WithoutSocketTheRuleSaysWhatHappens) {
  use("steer udp and dst port 53\nsteer udp else drop\ndefault steer");
  EXPECT_EQ(verdict(udp_to(53)), Action::pass);
  EXPECT_EQ(verdict(udp_to(54)), Action::drop);
  EXPECT_EQ(verdict(arp()), Action::pass);
  const Counts seen = counts();
  EXPECT_EQ(seen.verdicts.passed_no_socket.packets, 2u);
  EXPECT_EQ(seen.verdicts.dropped_no_socket.packets, 1u);
  EXPECT_EQ(seen.verdicts.steered.packets, 0u);
  EXPECT_EQ(seen.verdicts.passed.packets, 0u);
  EXPECT_EQ(seen.verdicts.dropped.packets, 0u);
}

TEST_F(SteerTest, ClearingTheSocketMakesItsPacketsPass) {
  serve_queue_0();
  use("steer udp");
  EXPECT_EQ(verdict(udp_to(53)), Action::steer);
  ASSERT_TRUE(program().clear_socket(0));
  EXPECT_EQ(verdict(udp_to(53)), Action::pass);
  EXPECT_TRUE(program().clear_socket(0)) << "clearing twice is no error";
}

TEST_F(SteerTest, AQueueBeyondTheMapIsRefused) {
  const Fd unbound(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(program().set_socket(SLUICE_QUEUES_MAX, unbound.get()));
  EXPECT_TRUE(program().set_socket(SLUICE_QUEUES_MAX - 1, unbound.get()));
}

TEST_F(SteerTest, PacketsAndBytesAreCountedByVerdictAndRule) {
  serve_queue_0();
  use("drop udp and dst port 1\nsteer udp and dst port 2\npass udp");
  for (const std::size_t payload : {0u, 1u, 700u}) {
    verdict(udp_to(1, payload));
    verdict(udp_to(2, payload));
    verdict(udp_to(2, payload));
    verdict(udp_to(3, payload));
    verdict(Frame().eth().ethertype(0x88cc).payload(payload + 1));
  }
  const Counts seen = counts();
  const std::uint64_t udp_bytes = 3 * 42 + 701;
  expect_count(seen.verdicts.dropped, 3, udp_bytes);
  expect_count(seen.verdicts.steered, 6, 2 * udp_bytes);
  expect_count(seen.verdicts.passed, 6, udp_bytes + 3 * 15 + 701);
  ASSERT_EQ(seen.rules.size(), 3u);
  expect_count(seen.rules[0], 3, udp_bytes);
  expect_count(seen.rules[1], 6, 2 * udp_bytes);
  expect_count(seen.rules[2], 3, udp_bytes);
  expect_count(seen.unmatched, 3, 3 * 15 + 701);
}

TEST_F(SteerTest, CountersOfAllCpusAreSummed) {
  use("drop udp");
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  std::uint64_t cpus = 0;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    verdict(udp_to(1));
    ++cpus;
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof allowed, &allowed), 0);
  EXPECT_EQ(counts().rules.at(0).packets, cpus);
}

TEST_F(SteerTest, UnchangedRulesKeepCountingAcrossAChange) {
  use("drop @a udp and dst port 1\ndrop udp and dst port 2\ndrop icmp");
  for (int i = 0; i < 3; ++i) verdict(udp_to(1));
  for (int i = 0; i < 5; ++i) verdict(udp_to(2));
  // The second moves up, the first changes its action under its label, one is
  // new.
  use("drop udp and dst port 2\npass @a udp and dst port 1\ndrop arp");
  Counts seen = counts();
  ASSERT_EQ(seen.rules.size(), 3u);
  EXPECT_EQ(seen.rules[0].packets, 5u);
  EXPECT_EQ(seen.rules[1].packets, 3u);
  EXPECT_EQ(seen.rules[2].packets, 0u);
  verdict(udp_to(1));
  verdict(udp_to(2));
  verdict(arp());
  seen = counts();
  EXPECT_EQ(seen.rules[0].packets, 6u);
  EXPECT_EQ(seen.rules[1].packets, 4u);
  EXPECT_EQ(seen.rules[2].packets, 1u);
  EXPECT_EQ(seen.verdicts.dropped.packets, 10u);
}

TEST_F(SteerTest, ARuleThatComesBackStartsAtZero) {
  use("drop udp");
  verdict(udp_to(1));
  use("drop arp");
  use("drop udp");
  EXPECT_EQ(counts().rules.at(0).packets, 0u);
}

TEST_F(SteerTest, LargeListsReplaceEachOther) {
  constexpr int kRules = 2000;
  for (int round = 0; round < 4; ++round) {
    std::string text;
    for (int i = 0; i < kRules; ++i) {
      text += "drop dst port " + std::to_string(round * kRules + i) + "\n";
    }
    use(text);
    const auto port = static_cast<std::uint16_t>((round + 1) * kRules - 1);
    EXPECT_EQ(verdict(udp_to(port)), Action::drop);
    EXPECT_EQ(counts().rules.at(kRules - 1).packets, 1u);
    EXPECT_EQ(counts().rules.at(0).packets, 0u);
  }
}

// Both lists drop the packet, by their first or by their second rule. A mixture
// of the two would let it pass.
TEST_F(SteerTest, NoPacketSeesHalfOfAChange) {
  const std::string first = "drop udp and dst port 1\npass udp\n";
  const std::string second = "pass udp and dst port 2\ndrop udp\n";
  use(first);
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> passed = 0;
  std::atomic<std::uint64_t> seen = 0;
  std::thread traffic([&] {
    const Bytes packet = udp_to(1);
    while (!stop) {
      passed += verdict(packet) != Action::drop;
      ++seen;
    }
  });
  for (int i = 0; i < 100; ++i) use(i % 2 == 0 ? second : first);
  while (seen < 1000) std::this_thread::yield();
  stop = true;
  traffic.join();
  EXPECT_EQ(passed, 0u);
}

TEST_F(SteerTest, MovedProgramsWorkOn) {
  use("drop udp");
  Program moved = std::move(program());
  EXPECT_EQ(*moved.run_on(udp_to(1)), Action::drop);
  program() = std::move(moved);
  EXPECT_EQ(verdict(udp_to(1)), Action::drop);
}

TEST_F(SteerTest, AMultiBufferProgramCountsEveryByte) {
  ProgramOptions options;
  options.frags = true;
  auto program = Program::load(options);
  ASSERT_TRUE(program) << program.error().message();
  const Bytes jumbo = udp_to(1, 9000);
  const auto action = program->run_on(jumbo);
  ASSERT_TRUE(action) << action.error().message();
  EXPECT_EQ(program->counts()->verdicts.passed.bytes, jumbo.size());
}

TEST_F(SteerTest, TheProgramSaysWhoseItIs) {
  const auto identity = sluice::identity_of(program().id());
  if (!identity && identity.error().code == EPERM &&
      !sluice::testing::must_not_skip()) {
    GTEST_SKIP() << "reading another program's maps needs CAP_SYS_ADMIN";
  }
  ASSERT_TRUE(identity) << identity.error().message();
  ASSERT_TRUE(*identity);
  EXPECT_EQ((*identity)->magic, SLUICE_MAGIC);
  EXPECT_EQ((*identity)->abi_version, static_cast<__u32>(SLUICE_ABI_VERSION));
  EXPECT_EQ((*identity)->owner_pid, static_cast<__u32>(getpid()));
  EXPECT_EQ((*identity)->frags, 0u);
  EXPECT_NE((*identity)->owner_start, 0u);
  EXPECT_STRNE((*identity)->version, "");
}

TEST_F(SteerTest, AnUnloadedProgramIsGone) {
  ProgramOptions options;
  auto program = Program::load(options);
  ASSERT_TRUE(program);
  const std::uint32_t id = program->id();
  if (!sluice::identity_of(id)) GTEST_SKIP() << "needs CAP_SYS_ADMIN";
  {
    const Program dies = std::move(*program);
  }
  for (int i = 0; i < 100 && sluice::identity_of(id); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(sluice::identity_of(id));
}

// A start takes as long as the verifier does. It doubles with each branch whose
// ways the verifier cannot join again.
TEST_F(SteerTest, TheVerifierIsSoonDone) {
  const Fd fd(bpf_prog_get_fd_by_id(program().id()));
  if (!fd && errno == EPERM && !sluice::testing::must_not_skip()) {
    GTEST_SKIP() << "reading a program's facts needs CAP_SYS_ADMIN";
  }
  ASSERT_TRUE(fd);
  bpf_prog_info info{};
  __u32 size = sizeof info;
  ASSERT_EQ(bpf_obj_get_info_by_fd(fd.get(), &info, &size), 0);
  EXPECT_GT(info.verified_insns, 1000u);
  EXPECT_LT(info.verified_insns, 80'000u);
}

}  // namespace
