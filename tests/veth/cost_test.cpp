// SPDX-License-Identifier: Apache-2.0
// What a run costs: nothing while idle, the kick and the wait under load.
// Timings of a busy machine vary: the best of three counts.
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sluice/services/reflect.hpp>
#include <sstream>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kTries = 3;
constexpr std::chrono::milliseconds kSilence = 5s;
constexpr auto kAnswerMax = 5ms;

// TSan's run-time maps memory of its own as the program runs.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLUICE_TSAN 1
#endif
#endif
#ifdef SLUICE_TSAN
constexpr bool kUnderTsan = true;
#else
constexpr bool kUnderTsan = false;
#endif

// CPU time of a process so far: utime and stime of proc(5).
std::chrono::milliseconds cpu_time(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  // Behind the name, which may hold blanks: the state is the third field.
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  long user = 0;
  long system = 0;
  fields >> user >> system;
  return std::chrono::milliseconds((user + system) * 1000 /
                                   ::sysconf(_SC_CLK_TCK));
}

// The threads of a process whose name begins so.
std::vector<int> threads(int pid, const std::string& name) {
  std::vector<int> found;
  for (const auto& each : std::filesystem::directory_iterator(
           "/proc/" + std::to_string(pid) + "/task")) {
    std::ifstream file(each.path() / "comm");
    std::string comm;
    std::getline(file, comm);
    if (comm.starts_with(name)) {
      found.push_back(std::stoi(each.path().filename()));
    }
  }
  return found;
}

class CostTest : public VethTest {
 protected:
  static Bytes question(std::uint16_t port) {
    return Frame()
        .eth(kMacB, kMacA)
        .ipv4("10.203.0.2", "10.203.0.1")
        .udp(4000, port)
        .payload("ask");
  }
  // How long the answer to one packet takes.
  static Clock::duration answer_time(Wire& wire) {
    const auto begin = Clock::now();
    EXPECT_TRUE(wire.send(question(7)));
    EXPECT_TRUE(wire.receive(5s, [](std::span<const std::byte> packet) {
      return packet.size() > 36 && packet[34] == std::byte{0} &&
             packet[35] == std::byte{7};
    }));
    return Clock::now() - begin;
  }
  // Silence, then a packet: CPU time of the first, answer time of the second.
  void expect_idle_and_awake(int pid) {
    Wire b = wire(Side::b);
    std::chrono::milliseconds used{};
    Clock::duration answered{};
    for (int i = 0; i < kTries; ++i) {
      const auto before = cpu_time(pid);
      std::this_thread::sleep_for(kSilence);
      used = cpu_time(pid) - before;
      answered = answer_time(b);
      if (used < kSilence / 100 && answered < kAnswerMax) break;
    }
    EXPECT_LT(used, kSilence / 100) << "of CPU in silence";
    EXPECT_LT(answered, kAnswerMax) << "after silence";
  }
};

TEST_F(CostTest, IdleRunUsesNoCpuAndAnswersAtOnce) {
  for (const auto* masked : {"zero-copy", "io_uring"}) {
    Running run = this->run({"--handler", "reflect", "--steer",
                             "udp and dst port 7", "--without", masked});
    ASSERT_TRUE(run.up());
    expect_idle_and_awake(run.process().pid());
    run.stop();
  }
}

// Keeps what comes to port 8, sends to the second port what comes to 9, and
// answers the rest.
struct Busy {
  static constexpr std::uint32_t kHolds = 64;
  explicit Busy(Core& core)
      : kept_now(core.gauge("kept")),
        sent(core.counter("sent")),
        reflect(core),
        away(core.port("away")) {}
  void operator()(Packet packet, Core& core) noexcept {
    const auto port = packet.bytes()[37];
    if (port == std::byte{8}) {
      kept.push_back(std::move(packet));
      kept_now.set(static_cast<std::int64_t>(kept.size()));
    } else if (port == std::byte{9}) {
      away.send(std::move(packet));
      ++sent;
    } else {
      reflect(std::move(packet), core);
    }
  }
  Gauge& kept_now;
  Counter& sent;
  services::Reflect reflect;
  Outlet away;
  std::vector<Packet> kept;
};

class BusyCostTest : public CostTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1, .pairs = 2}; }
};

// The link of the second port is down: its TX stays as it is.
TEST_F(BusyCostTest, PacketsHeldAndUnsentCostNothingEither) {
  EngineOptions options;
  options.ports = {{"here", mine(0).interface}, {"away", mine(1).interface}};
  const Words udp = {"udp and dst port 7", "udp and dst port 8",
                     "udp and dst port 9"};
  options.rules = *Rules::steer(udp);
  EngineRun run(lab(), std::move(options));
  ASSERT_TRUE(run.start<Busy>());
  Wire b = wire(Side::b);
  ASSERT_TRUE(lab().set_link(Side::a, false, 1));
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(b.send(question(8)));
    ASSERT_TRUE(b.send(question(9)));
  }
  ASSERT_TRUE(run.until(5s, [&] {
    return run.counter("kept") == 10 && run.counter("sent") == 10;
  }));
  const Stats before = run->stats();
  EXPECT_EQ(before.queues.at(1).tx_packets, 10u);
  expect_idle_and_awake(::getpid());
  const Stats after = run.stop();
  EXPECT_EQ(after.ledger().transmitting, 10u) << "it was to be outstanding";
}

class LoadTest : public VethTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1}; }

  Process blast(const char* seconds) {
    return spawn(Side::b,
                 {TRAFFIC_PROGRAM, "blast", "--to", mine().ipv4, "--port", "7",
                  "--rate", "500000", "--duration", seconds, "--flows", "16"});
  }
  // The names in the table that `strace -c` prints.
  static std::set<std::string> names_in(const std::string& table) {
    std::set<std::string> names;
    std::istringstream lines(table);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string first;
      std::string word;
      words >> first;
      while (words >> word) continue;  // The last one.
      const bool row = !first.empty() && std::isdigit(first.front()) != 0;
      if (row && word != "total") names.insert(word);
    }
    return names;
  }
  // Every system call of a thread while packets flow.
  std::set<std::string> calls_of(int thread) {
    Process strace =
        spawn(Side::b, {"strace", "-c", "-p", std::to_string(thread)});
    Process traffic = blast("1.5");
    EXPECT_TRUE(traffic.wait(20s));
    strace.signal(SIGINT);
    EXPECT_TRUE(strace.wait(10s));
    const auto names = names_in(strace.err());
    EXPECT_FALSE(names.empty()) << strace.err();
    return names;
  }
  static void expect_kick_and_wait_alone(const std::set<std::string>& calls) {
    for (const std::string& call : calls) {
      if (kUnderTsan && (call == "mmap" || call == "munmap")) continue;
      EXPECT_TRUE(call == "sendto" || call == "io_uring_enter" ||
                  call == "restart_syscall")
          << call << " under load";
    }
  }
};

TEST_F(LoadTest, OnlyTheKickAndTheWaitAreCalled) {
  Running run =
      this->run({"--handler", "reflect", "--steer", "udp and dst port 7"});
  ASSERT_TRUE(run.up());
  const auto pollers = threads(run.process().pid(), "sluice/");
  ASSERT_EQ(pollers.size(), 1u);
  expect_kick_and_wait_alone(calls_of(pollers.front()));
  const Json ended = run.stop();
  EXPECT_GT(sum(ended, "tx_packets"), 1000u);
}

TEST_F(LoadTest, OneKickSendsManyPackets) {
  double best = 0;
  for (int i = 0; i < kTries && best < 32; ++i) {
    Running run =
        this->run({"--handler", "reflect", "--steer", "udp and dst port 7"});
    ASSERT_TRUE(run.up());
    Process traffic = blast("1");
    EXPECT_TRUE(traffic.wait(20s));
    const Json ended = run.stop();
    best = std::max(best, static_cast<double>(sum(ended, "tx_packets")) /
                              static_cast<double>(sum(ended, "kicks")));
  }
  EXPECT_GE(best, 32) << "packets a kick";
}

struct BurstReflect {
  explicit BurstReflect(Core& core) : reflect(core) {}
  void operator()(Burst& burst, Core& core) noexcept {
    for (Packet& packet : burst) reflect(std::move(packet), core);
  }
  services::Reflect reflect;
};

TEST_F(LoadTest, BurstHandlersCostNoMore) {
  double best = 0;
  for (int i = 0; i < kTries && best < 32; ++i) {
    EngineOptions options;
    options.ports = {{"only", mine().interface}};
    const Words udp = {"udp and dst port 7"};
    options.rules = *Rules::steer(udp);
    EngineRun run(lab(), std::move(options));
    ASSERT_TRUE(run.start<BurstReflect>());
    if (i == 0) {
      const auto pollers = threads(::getpid(), "sluice/");
      ASSERT_EQ(pollers.size(), 1u);
      expect_kick_and_wait_alone(calls_of(pollers.front()));
      run.stop();
      continue;
    }
    Process traffic = blast("1");
    EXPECT_TRUE(traffic.wait(20s));
    const QueueStats queue = run.stop().queues.front();
    best = std::max(best, static_cast<double>(queue.tx_packets) /
                              static_cast<double>(queue.kicks));
  }
  EXPECT_GE(best, 32) << "packets a kick";
}

}  // namespace
}  // namespace sluice::testing
