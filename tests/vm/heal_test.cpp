// SPDX-License-Identifier: Apache-2.0
// NICs that change under a run while packets flow: they flow again, on every
// queue, in the mode that was granted before, and every frame has an owner.
//
// SLUICE_TEST_SEED replays the random events, SLUICE_HEAL_EVENTS says how many.
#include <array>
#include <cstdlib>
#include <ctime>
#include <sluice/host.hpp>

#include "dice.hpp"
#include "load.hpp"
#include "vm_test.hpp"

namespace sluice::testing {
namespace {

namespace fs = std::filesystem;

// Of the load: two thousand packets a second are many for emulated CPUs.
constexpr auto kPause = 8ms;

// A file of sysfs.
void put(const std::string& path, const std::string& value) {
  std::ofstream file(path);
  file << value << std::flush;
  EXPECT_TRUE(file) << path << ": " << value;
}

class HealVmTest : public VmTest {
 protected:
  void TearDown() override {
    if (IsSkipped()) return;  // These are another machine's interfaces.
    load_.reset();
    if (name_ != eth(0)) rename(eth(0));
    for (const int side : {0, 1}) mtu(eth(side), 1500);
  }

  void start(const Words& more = {}) {
    Words words = {SLUICE_PROGRAM,
                   "run",
                   "-i",
                   name_,
                   "--json",
                   "--interval",
                   "0",
                   "--handler",
                   "reflect",
                   "--steer",
                   "udp and dst port 7",
                   "--frame-size",
                   "4096",
                   "--heal-timeout",
                   "120"};
    words.insert(words.end(), more.begin(), more.end());
    auto process = Process::start(words);
    ASSERT_TRUE(process);
    run_.emplace(std::move(*process));
    ASSERT_TRUE(run_->up());
    load_.emplace([] { return Wire::open(eth(1)); }, mac(eth(1)), mac(name_),
                  kPause);
    expect_healed();
  }
  Json status_now() {
    auto answer = Control::ask(name_, "status");
    if (!answer) ADD_FAILURE() << answer.error().message();
    return answer ? Json::parse(*answer) : Json();
  }
  void expect_told(const std::string& text) {
    EXPECT_TRUE(run_->process().wait_for(text, Load::kPatience))
        << "\"" << text << "\" is not in: " << run_->process().out();
  }
  /// Packets flow, on every queue, and it is as it was granted.
  void expect_healed() {
    ASSERT_TRUE(load_->flows())
        << run_->process().out() << run_->process().err();
    const Json before = status_now();
    const auto deadline = Load::Clock::now() + Load::kPatience;
    bool every = false;
    while (!every && Load::Clock::now() < deadline) {
      std::this_thread::sleep_for(5ms);
      const Json now = status_now();
      every = true;
      for (std::size_t i = 0; i < now.at("queues").size(); ++i) {
        every = every && now["queues"][i]["rx_packets"] >
                             before["queues"][i]["rx_packets"];
      }
    }
    EXPECT_TRUE(every) << "a queue receives nothing any more: "
                       << before.at("queues") << " became "
                       << status_now().at("queues");
    const Json& granted = run_->started().at("queues");
    for (std::size_t i = 0; i < granted.size(); ++i) {
      const Json& queue = before.at("granted").at("queues").at(i);
      EXPECT_EQ(queue.at("mode"), granted.at(i).at("mode")) << queue;
    }
  }
  void expect_zero_copy() {
    for (const Json& queue : run_->started().at("queues")) {
      EXPECT_EQ(queue.at("mode"), "zero-copy") << queue;
    }
  }
  /// The end of each test: the books, and how long it took.
  Json finish() {
    Json ended = run_->stop();
    std::printf("packets came again after at most %lld ms\n",
                static_cast<long long>(load_->longest().count()));
    load_.reset();
    return ended;
  }

  // --- What happens to NICs -------------------------------------------------

  static void link(const std::string& name, bool up) {
    command({"ip", "link", "set", name, up ? "up" : "down"});
  }
  static void mtu(const std::string& name, std::uint32_t bytes) {
    command({"ip", "link", "set", name, "mtu", std::to_string(bytes)});
  }
  void rename(const std::string& to) {
    link(name_, false);
    command({"ip", "link", "set", name_, "name", to});
    link(to, true);
    name_ = to;
  }
  /// Its driver lets go of the device and takes it again: the interface is
  /// deleted and made anew.
  static void reset_driver(const std::string& name) {
    const fs::path device = fs::canonical(sysfs(name) + "/device");
    const std::string driver = fs::canonical(device / "driver");
    put(driver + "/unbind", device.filename());
    EXPECT_FALSE(fs::exists(sysfs(name)));
    put(driver + "/bind", device.filename());
    const auto made = fs::directory_iterator(device / "net");
    const std::string is = made->path().filename();
    if (is != name) command({"ip", "link", "set", is, "name", name});
    put("/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6", "1");
    link(name, true);
  }
  /// False: the driver refused it, which is said.
  static bool try_ethtool(const Words& arguments) {
    Words words = {"ethtool"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    auto process = Process::start(words);
    const bool done = process && process->wait(30s) == 0;
    if (!done) std::printf("refused: ethtool %s\n", arguments[0].c_str());
    return done;
  }

  std::string name_ = eth(0);
  std::optional<Running> run_;
  std::optional<Load> load_;
};

// What a driver does not have, it refuses: said, and nothing changes.
TEST_F(HealVmTest, EachChangeIsHealed) {
  start();
  expect_zero_copy();
  for (const int side : {0, 1}) {
    SCOPED_TRACE(eth(side));
    link(eth(side), false);
    if (side == 0) expect_told(eth(0) + ": link down");
    link(eth(side), true);
    expect_healed();
    reset_driver(eth(side));
    expect_healed();
  }
  expect_told("after the link went down");
  expect_told(eth(0) + ": the interface is gone");
  expect_told(eth(0) + ": the interface is back, and bound");
  mtu(name_, 1400);
  expect_told(eth(0) + ": the MTU is 1400, it was 1500");
  expect_healed();
  mtu(name_, 1500);
  for (const Words& change : std::vector<Words>{{"-G", name_, "rx", "512"},
                                                {"-G", name_, "rx", "256"},
                                                {"-r", name_},
                                                {"--reset", name_, "all"}}) {
    try_ethtool(change);
    expect_healed();
  }
  rename("lan0");
  expect_told(eth(0) + ": the interface is called lan0 now");
  expect_healed();
  finish();
}

// A NIC that is made anew comes with its own settings.
TEST_F(HealVmTest, WhatWasPreparedIsPreparedAgain) {
  const auto value = [](const char* key) {
    auto now = read_setting({eth(0), "napi", key, {}});
    return now ? *now : now.error().message();
  };
  // Each queue's interrupt at its poller's CPU.
  const auto at_their_cpus = [] {
    const auto facts = InterfaceFacts::read(eth(0));
    return facts && !facts->interrupts.empty() &&
           std::ranges::all_of(facts->interrupts, [](const Interrupt& each) {
             return each.cpus == std::vector{static_cast<int>(each.queue)};
           });
  };
  fs::create_directories("/run");  // The machine is bare.
  ASSERT_FALSE(at_their_cpus());
  start({"--busy-poll", "--prepare=irq-affinity"});
  for (const bool anew : {false, true}) {
    if (anew) {
      reset_driver(eth(0));
      expect_told(eth(0) + ": the interface is back, and bound");
    }
    expect_healed();
    EXPECT_EQ(value("defer-hard-irqs"), "2");
    EXPECT_EQ(value("gro-flush-timeout"), "200000");
    EXPECT_TRUE(at_their_cpus());
  }
  finish();
  EXPECT_EQ(run_->process().err(), "");
  EXPECT_EQ(value("defer-hard-irqs"), "0");
  EXPECT_EQ(value("gro-flush-timeout"), "0");
  EXPECT_FALSE(at_their_cpus());
  EXPECT_FALSE(fs::exists("/run/sluice"));
}

// The kernel refuses to take a queue that has a socket, and virtio-net to take
// any under an XDP program.
TEST_F(HealVmTest, ChannelsToFewerAndToMore) {
  const auto queues = Netdev::read(name_)->rx_queues;
  start({"--queues", "0"});
  expect_zero_copy();
  for (const std::uint32_t count : {1U, queues}) {
    const bool done =
        try_ethtool({"-L", name_, "combined", std::to_string(count)});
    if (done && queues > 1) {
      expect_told(name_ + ": " + std::to_string(count) + " queues, there were");
    }
    expect_healed();
  }
  finish();
}

TEST_F(HealVmTest, RandomEventsUnderLoad) {
  const std::uint64_t seed = chosen_seed();
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Dice dice(seed);
  const char* const wanted = std::getenv("SLUICE_HEAL_EVENTS");
  const int events = wanted != nullptr ? std::atoi(wanted) : 4;
  start();
  for (int i = 0; i < events && !HasFailure(); ++i) {
    const std::string at = dice.below(2) == 0 ? name_ : eth(1);
    const auto kind = dice.below(5);
    SCOPED_TRACE("event " + std::to_string(i) + " of kind " +
                 std::to_string(kind) + " at " + at);
    switch (kind) {
      case 0:
        link(at, false);
        std::this_thread::sleep_for(std::chrono::milliseconds(dice.below(50)));
        link(at, true);
        break;
      case 1:
        mtu(at, 1300 + static_cast<std::uint32_t>(dice.below(200)));
        break;
      case 2:
        rename(name_ == eth(0) ? "lan0" : eth(0));
        break;
      case 3:
        (void)try_ethtool({"-G", at, "rx", dice.below(2) == 0 ? "512" : "256"});
        break;
      default:
        reset_driver(at);
    }
    expect_healed();
  }
  std::printf("%d events\n", events);
  finish();
}

TEST_F(HealVmTest, AThreadWhoseCpuGoesOfflineRunsElsewhereUntilItIsBack) {
  const std::string online = "/sys/devices/system/cpu/cpu1/online";
  const auto displaced = [this] {
    return status_now().at("granted").at("queues").at(0).at("displaced");
  };
  start({"--queues", "0", "--cpus", "1"});
  EXPECT_EQ(displaced(), false);
  put(online, "0");
  expect_told("core 0 lost cpu 1, which is offline or no longer allowed");
  expect_healed();
  EXPECT_EQ(displaced(), true);
  put(online, "1");
  expect_told("core 0 is on cpu 1 again");
  EXPECT_EQ(displaced(), false);
  expect_healed();
  finish();
}

// Ticks, and reflects.
struct Ticks {
  explicit Ticks(Core& core) : ticks(core.counter("ticks")), reflect(core) {
    core.every(10ms, [this] { ++ticks; });
  }
  void operator()(Packet packet, Core& core) noexcept {
    reflect(std::move(packet), core);
  }
  Counter& ticks;
  services::Reflect reflect;
};

// The time of day, that much later.
void jump(std::time_t seconds) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  now.tv_sec += seconds;
  EXPECT_EQ(::clock_settime(CLOCK_REALTIME, &now), 0);
}

TEST_F(HealVmTest, TheTimeOfDayMayJump) {
  EngineOptions one = options({eth(0)});
  one.queues = {0};
  const Time begin = monotonic_now();  // Before the core's first look at it.
  EngineRun run(std::move(one));
  ASSERT_TRUE(run.start<Ticks>());
  Load load([] { return Wire::open(eth(1)); }, mac(eth(1)), mac(eth(0)),
            kPause);
  constexpr std::time_t kYear = 365 * 86400;
  for (const std::time_t seconds : {5 * kYear, -10 * kYear, 5 * kYear}) {
    const auto before = run.counter("ticks");
    jump(seconds);
    EXPECT_TRUE(load.flows());
    EXPECT_TRUE(
        run.until(60s, [&] { return run.counter("ticks") > before + 10; }));
  }
  // No more than there were periods.
  EXPECT_LE(run.counter("ticks"), (monotonic_now() - begin) / 10ms);
  const Stats stats = run.stop();
  const RuleCount& rule = stats.ports.front().verdicts->rules.front();
  EXPECT_GT(rule.packets, 0u);
  EXPECT_GE(rule.last_hit, begin.ns);
  EXPECT_LE(rule.last_hit, monotonic_now().ns);
}

}  // namespace
}  // namespace sluice::testing
