// SPDX-License-Identifier: Apache-2.0
// Interfaces that change under a run while packets flow: they flow again, every
// frame has an owner, and what happened is told.
//
// SLUICE_TEST_SEED replays the random events, SLUICE_HEAL_EVENTS says how many.
#include <cstdlib>
#include <filesystem>
#include <sluice/cpu.hpp>

#include "dice.hpp"
#include "load.hpp"
#include "veth_test.hpp"

namespace sluice::testing {
namespace {

class HealTest : public VethTest {
 protected:
  void SetUp() override {
    VethTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    resident_ = sleeper(Side::b);
    name_ = mine().interface;
  }

  static std::string network_of(const std::string& process) {
    return std::filesystem::read_symlink("/proc/" + process + "/ns/net");
  }
  static std::string network_of(const Process& process) {
    return network_of(std::to_string(process.pid()));
  }
  std::string network_at(Side side) {
    return lab().in(side, [] { return network_of("thread-self"); });
  }
  template <class Condition>
  static void wait_until(const Condition& condition) {
    const auto begin = Load::Clock::now();
    while (!condition()) {
      ASSERT_LT(Load::Clock::now() - begin, Load::kPatience);
      std::this_thread::sleep_for(1ms);
    }
  }
  /// A process whose pid names the network namespace: from the moment on at
  /// which it is there.
  Process sleeper(Side side) {
    Process process = spawn(side, {"sleep", "infinity"});
    wait_until([&] { return network_of(process) == network_at(side); });
    return process;
  }
  Running& start(Words more = {"--heal-timeout", "120"}) {
    Words flags = {"--handler",          "reflect", "--steer",
                   "udp and dst port 7", "--batch", "16"};
    flags.insert(flags.end(), more.begin(), more.end());
    run_.emplace(this->run(flags));
    EXPECT_TRUE(run_->up());
    load_.emplace(
        [this] {
          return lab().in(Side::b,
                          [this] { return Wire::open(peer().interface); });
        },
        kMacB, kMacA);
    EXPECT_TRUE(load_->flows()) << run_->process().err();
    return *run_;
  }
  void ip(Side side, const std::string& arguments) {
    const auto done = lab().ip(side, arguments);
    EXPECT_TRUE(done) << done.error().message();
  }
  void ethtool(Side side, const Words& arguments, bool works = true) {
    Words words = {"ethtool"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    Process process = spawn(side, words);
    EXPECT_EQ(process.wait(10s) == 0, works) << process.err();
  }
  /// The pair is made anew, with the names and addresses it had.
  void make_pair_again(bool up = true) {
    const auto device = [](const std::string& name, const VethEnd& end) {
      return " name " + name + " address " + end.mac.text() +
             " numrxqueues 2 numtxqueues 2";
    };
    ip(Side::a, "link add" + device(name_, mine()) + " type veth peer" +
                    device(peer().interface, peer()) + " netns " +
                    std::to_string(resident_.pid()));
    ip(Side::b, "link set dev " + peer().interface + " up");
    if (up) ip(Side::a, "link set dev " + name_ + " up");
  }
  void rename(const std::string& to) {
    ip(Side::a, "link set dev " + name_ + " down");
    ip(Side::a, "link set dev " + name_ + " name " + to);
    ip(Side::a, "link set dev " + to + " up");
    name_ = to;
  }
  void expect_told(const std::string& text) {
    EXPECT_TRUE(run_->process().wait_for(text, Load::kPatience))
        << "\"" << text << "\" is not in: " << run_->process().out();
  }
  void expect_flow() {
    ASSERT_TRUE(load_->flows())
        << run_->process().out() << run_->process().err();
  }
  Json status_now() {
    Process status = sluice({"status", "-i", name_, "--json"});
    EXPECT_EQ(status.wait(10s), 0) << status.err();
    return line_of(status.out(), "status");
  }
  /// The end of each test: what was counted, and that nothing is left.
  Json finish() {
    Json ended = run_->stop();
    std::printf("packets came again after at most %lld ms\n",
                static_cast<long long>(load_->longest().count()));
    load_.reset();
    EXPECT_TRUE(lab().in(Side::a, [] { return Control::owned(); }).empty());
    return ended;
  }

  Process resident_;  // Side b's network namespace, by its pid.
  std::string name_;  // Of our interface, now.
  std::optional<Running> run_;
  std::optional<Load> load_;
};

TEST_F(HealTest, LinkDownAndUp) {
  start();
  for (const Side side : {Side::a, Side::b}) {
    ASSERT_TRUE(lab().set_link(side, false));
    expect_told(name_ + ": link down");
    ASSERT_TRUE(lab().set_link(side, true));
    expect_flow();
  }
  expect_told("after the link went down");
  finish();
}

TEST_F(HealTest, MtuChange) {
  start();
  ip(Side::a, "link set dev " + name_ + " mtu 1300");
  expect_told(name_ + ": the MTU is 1300, it was 1500");
  expect_flow();
  finish();
}

// Looks at its port when it is told to.
struct Looks {
  explicit Looks(Core& core)
      : out(core.port(std::size_t{0})),
        mtu(core.gauge("mtu")),
        last_of_mac(core.gauge("last of mac")) {}
  void operator()(Packet, Core&) noexcept {}
  void event(const Event& event) {
    if (event.kind != Event::Kind::changed) return;
    mtu.set(out.mtu());
    last_of_mac.set(out.mac().bytes[5]);
  }
  Outlet out;
  Gauge& mtu;
  Gauge& last_of_mac;
};

TEST_F(HealTest, AnotherMtuAndAnotherAddressAreTold) {
  ASSERT_TRUE(lab().wait_for_link(Side::a, true));
  EngineOptions options;
  options.ports = {{"only", name_}};
  options.queues = {0};
  options.rules = *Rules::parse("steer udp");
  EngineRun run(lab(), std::move(options));
  ASSERT_TRUE(run.start<Looks>());
  const std::string set = "link set dev " + name_;
  ASSERT_TRUE(lab().ip(Side::a, set + " mtu 1300"));
  EXPECT_TRUE(run.until(10s, [&] { return run.counter("mtu") == 1300; }));
  EXPECT_NE(run.counter("last of mac"), 0x77);
  ASSERT_TRUE(lab().ip(Side::a, set + " address 02:00:00:00:00:77"));
  EXPECT_TRUE(
      run.until(10s, [&] { return run.counter("last of mac") == 0x77; }));
  EXPECT_EQ(run->take_news(),
            (Words{name_ + ": the MTU is 1300, it was 1500",
                   name_ + ": the MAC address is 02:00:00:00:00:77, it was " +
                       mine().mac.text()}));
  run.stop();
}

// The kernel itself refuses to take a queue from its socket.
TEST_F(HealTest, ChannelsToFewerAndToMore) {
  for (const Side side : {Side::a, Side::b}) {
    ethtool(side, {"-L", lab().end(side).interface, "rx", "1", "tx", "1"});
  }
  start();
  ethtool(Side::a, {"-L", name_, "rx", "2", "tx", "2"});
  expect_told(name_ +
              ": 2 queues, there were 1; 50 % of the traffic can be steered");
  expect_flow();
  ethtool(Side::a, {"-L", name_, "rx", "1", "tx", "1"});
  expect_told(name_ +
              ": 1 queues, there were 2; 100 % of the traffic can be steered");
  expect_flow();
  finish();
}

TEST_F(HealTest, TheLastQueueOfASocketCanNotBeTaken) {
  start();
  ethtool(Side::a, {"-L", name_, "rx", "1", "tx", "1"}, false);
  expect_flow();
  finish();
}

TEST_F(HealTest, Rename) {
  start();
  const std::string was = name_;
  rename(name_ + "x");
  expect_told(was + ": the interface is called " + name_ + " now");
  expect_flow();
  EXPECT_FALSE(status_now().is_null());
  EXPECT_EQ(sluice({"status", "-i", was, "--json"}).wait(10s), 1);
  finish();
}

TEST_F(HealTest, DeletedAndMadeAgain) {
  start();
  for (int i = 0; i < 3; ++i) {
    const std::size_t from = run_->process().out().size();
    ip(Side::a, "link delete dev " + name_);
    EXPECT_TRUE(run_->process().wait_for(": the interface is gone",
                                         Load::kPatience, from));
    make_pair_again();
    expect_flow();
  }
  expect_told(name_ + ": the interface is back, and bound");
  expect_told("after the interface went");
  // What was counted before, is counted.
  const auto before = sum(status_now(), "rx_packets");
  EXPECT_GE(before, 4 * Load::kEnough);
  EXPECT_GE(sum(finish(), "rx_packets"), before);
}

TEST_F(HealTest, PeerDeletedAndMadeAgain) {
  start();
  ip(Side::b, "link delete dev " + peer().interface);
  expect_told(": the interface is gone");
  make_pair_again();
  expect_flow();
  finish();
}

TEST_F(HealTest, MovedAwayAndBack) {
  start();
  ip(Side::a,
     "link set dev " + name_ + " netns " + std::to_string(resident_.pid()));
  expect_told(": the interface is gone");
  const Process home = sleeper(Side::a);
  ip(Side::b, "link set dev " + name_ + " netns " + std::to_string(home.pid()));
  ip(Side::a, "link set dev " + name_ + " up");
  expect_flow();
  finish();
}

// They are of a program that goes with its device: it is loaded anew.
TEST_F(HealTest, WhatTheHardwareTellsComesAgain) {
  for (const bool adopted : {false, true}) {
    if (adopted) {
      Process attach = sluice({"attach", name_, "--timestamps", "--rx-hints"});
      ASSERT_EQ(attach.wait(10s), 0) << attach.err();
    }
    start({"--timestamps", "--rx-hints", "--heal-timeout", "120"});
    const Json before = run_->started().at("queues").at(0);
    ip(Side::a, "link delete dev " + name_);
    make_pair_again();
    expect_flow();
    const Json status = status_now();
    const Json& after = status.at("granted").at("queues").at(0);
    EXPECT_EQ(after.at("timestamps"), before.at("timestamps"));
    EXPECT_EQ(after.at("rx_hints"), before.at("rx_hints"));
    EXPECT_EQ(after.at("refused"), before.at("refused"));
    const auto& counted = status.at("ports").at(0).at("rules").at(0);
    EXPECT_GE(counted.at("packets"), 2 * Load::kEnough);
    finish();
    EXPECT_EQ(has_program(), adopted) << "one that was pinned stays";
  }
  EXPECT_EQ(sluice({"detach", name_}).wait(10s), 0);
}

// What was away while nobody could look was not away for too long.
TEST_F(HealTest, AStoppedProcessHealsWhenItGoesOn) {
  start({"--heal-timeout", "5"});
  ip(Side::a, "link delete dev " + name_);
  expect_told(": the interface is gone");
  run_->process().signal(SIGSTOP);
  std::this_thread::sleep_for(5500ms);
  make_pair_again();
  run_->process().signal(SIGCONT);
  expect_flow();
  EXPECT_EQ(sum(finish(), "tx_stalls"), 0u);
}

// As after a CPU that went offline and came back.
TEST_F(HealTest, AThreadThatLostItsCpuIsPutBackAndThatIsTold) {
  const auto allowed = allowed_cpus();
  ASSERT_TRUE(allowed);
  if (allowed->size() < 2) return;  // There is nowhere else to be.
  start();
  Process everywhere = spawn(Side::b, {"taskset", "-acp", "0-63",
                                       std::to_string(run_->process().pid())});
  EXPECT_EQ(everywhere.wait(10s), 0) << everywhere.err();
  expect_told("core 0 had lost cpu ");
  expect_flow();
  finish();
}

TEST_F(HealTest, RemovedNamespaceOfThePeerEndsTheRunInWords) {
  start({"--heal-timeout", "0.3"});
  Process other = spawn(Side::b, {"unshare", "--net", "sleep", "infinity"});
  const Words before = {network_of("self"), network_at(Side::b)};
  wait_until([&] {
    return std::ranges::find(before, network_of(other)) == before.end();
  });
  ip(Side::b, "link set dev " + peer().interface + " netns " +
                  std::to_string(other.pid()));
  other.signal(SIGKILL);
  EXPECT_EQ(run_->process().wait(Load::kPatience), 1);
  EXPECT_NE(run_->process().err().find(name_), std::string::npos);
  EXPECT_NE(run_->process().err().find("did not come back within 0.300 s"),
            std::string::npos)
      << run_->process().err();
  expect_balanced(line_of(run_->process().out(), "ended"));
}

TEST_F(HealTest, WhatIsInTheWayIsTold) {
  start({"--heal-timeout", "2"});
  ip(Side::a, "link delete dev " + name_);
  expect_told(": the interface is gone");
  ip(Side::a, "link add name " + name_ + " type veth peer name " + name_ + "y");
  ip(Side::a, "link set dev " + name_ + " up");
  expect_told("there again, but not usable yet");
  EXPECT_EQ(run_->process().wait(Load::kPatience), 1);
  EXPECT_NE(run_->process().err().find("The interface has no such queue"),
            std::string::npos)
      << run_->process().err();
}

// Bound as soon as it is there, and packets flow once it is set up.
TEST_F(HealTest, MadeAgainAndSetUpLater) {
  start();
  ip(Side::a, "link delete dev " + name_);
  make_pair_again(false);
  expect_told(name_ + ": the interface is back, and bound");
  ip(Side::a, "link set dev " + name_ + " up");
  expect_flow();
  finish();
}

TEST_F(HealTest, RandomEventsUnderLoad) {
  const std::uint64_t seed = chosen_seed();
  SCOPED_TRACE("SLUICE_TEST_SEED=" + std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Dice dice(seed);
  const char* const wanted = std::getenv("SLUICE_HEAL_EVENTS");
  const int events = wanted != nullptr ? std::atoi(wanted) : 200;
  start();
  const std::string first = name_;
  for (int i = 0; i < events && !HasFailure(); ++i) {
    const Side side = dice.below(2) == 0 ? Side::a : Side::b;
    const std::string name = side == Side::a ? name_ : peer().interface;
    const auto kind = dice.below(5);
    SCOPED_TRACE("event " + std::to_string(i) + " of kind " +
                 std::to_string(kind) + " at side " +
                 (side == Side::a ? "a" : "b"));
    switch (kind) {
      case 0:
        ip(side, "link set dev " + name + " down");
        std::this_thread::sleep_for(std::chrono::milliseconds(dice.below(50)));
        ip(side, "link set dev " + name + " up");
        break;
      case 1:
        ip(side, "link set dev " + name + " mtu " +
                     std::to_string(1280 + dice.below(220)));
        break;
      case 2:
        rename(name_ == first ? first + "x" : first);
        break;
      case 3:
        ip(side, "link delete dev " + name);
        std::this_thread::sleep_for(std::chrono::milliseconds(dice.below(50)));
        make_pair_again();
        break;
      default:
        ip(side, "link set dev " + name + " promisc on");
        ip(side, "link set dev " + name + " promisc off");
    }
    expect_flow();
  }
  std::printf("%d events\n", events);
  finish();
}

}  // namespace
}  // namespace sluice::testing
