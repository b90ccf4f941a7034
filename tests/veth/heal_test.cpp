// SPDX-License-Identifier: Apache-2.0
// Interfaces that change under a run while packets flow: they flow again, every
// frame has an owner, and what happened is told.
//
// SLUICE_TEST_SEED replays the random events, SLUICE_HEAL_EVENTS says how many.
#include <atomic>
#include <cstdlib>
#include <random>

#include "dice.hpp"
#include "veth_test.hpp"

namespace sluice::testing {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = 30s;  // A loaded machine's; traffic takes far less.

// Some may be of the round before: those that are counted just now.
constexpr std::uint64_t kEnough = 100;

/// Datagrams to port 7 from side b, and their answers, on a thread of its own.
/// The interface may come and go.
class Load {
 public:
  Load(const VethLab& lab, VethEnd from, const VethEnd& to)
      : lab_(lab),
        from_(std::move(from)),
        to_(to.ipv4),
        thread_([this](const std::stop_token& stop) { run(stop); }) {}

  /// Packets go there and back: waits for answers to what is sent from now on.
  /// False: in vain.
  bool flows() {
    answers_ = 0;
    ++round_;
    const auto deadline = Clock::now() + kPatience;
    while (answers_ < kEnough) {
      if (Clock::now() > deadline) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }

 private:
  // Of each round from a port of its own.
  [[nodiscard]] Bytes datagram(std::uint16_t port) const {
    return Frame()
        .eth(kMacB, kMacA)
        .ipv4(from_.ipv4, to_)
        .udp(port, 7)
        .payload(std::string(32, 'x'));
  }
  void run(const std::stop_token& stop) {
    std::optional<Wire> wire;
    while (!stop.stop_requested()) {
      const auto port = static_cast<std::uint16_t>(1000 + round_);
      const Bytes packet = datagram(port);
      if (!wire) {
        auto opened =
            lab_.in(Side::b, [&] { return Wire::open(from_.interface); });
        if (opened) wire.emplace(std::move(*opened));
      }
      for (int i = 0; wire && i < 16; ++i) {
        if (!wire->send(packet)) wire.reset();
      }
      std::this_thread::sleep_for(1ms);
      const auto is_answer = [port](std::span<const std::byte> bytes) {
        return bytes.size() > 38 && bytes[23] == std::byte{17} &&
               bytes[34] == std::byte{0} && bytes[35] == std::byte{7} &&
               bytes[36] == std::byte(port >> 8) &&
               bytes[37] == std::byte(port & 0xff);
      };
      while (wire && wire->receive(0ms, is_answer)) ++answers_;
    }
  }

  const VethLab& lab_;
  VethEnd from_;
  std::string to_;
  std::atomic<std::uint64_t> round_ = 0;
  std::atomic<std::uint64_t> answers_ = 0;  // Of this round.
  std::jthread thread_;
};

class HealTest : public VethTest {
 protected:
  void SetUp() override {
    VethTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    resident_ = spawn(Side::b, {"sleep", "infinity"});
    name_ = mine().interface;
  }

  Running& start(Words more = {"--heal-timeout", "120"}) {
    Words flags = {"--handler",          "reflect", "--steer",
                   "udp and dst port 7", "--batch", "16"};
    flags.insert(flags.end(), more.begin(), more.end());
    run_.emplace(this->run(flags));
    EXPECT_TRUE(run_->up());
    load_.emplace(lab(), peer(), mine());
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
    EXPECT_TRUE(run_->process().wait_for(text, kPatience))
        << "\"" << text << "\" is not in: " << run_->process().out();
  }
  void expect_flow() {
    const auto begin = Clock::now();
    ASSERT_TRUE(load_->flows())
        << run_->process().out() << run_->process().err();
    longest_ = std::max(longest_, Clock::now() - begin);
  }
  /// The end of each test: what was counted, and that nothing is left.
  Json finish() {
    Json ended = run_->stop();
    load_.reset();
    std::printf(
        "packets came again after at most %lld ms\n",
        static_cast<long long>(
            std::chrono::duration_cast<std::chrono::milliseconds>(longest_)
                .count()));
    EXPECT_TRUE(lab().in(Side::a, [] { return Control::owned(); }).empty());
    return ended;
  }

  Process resident_;  // Side b's network namespace, by its pid.
  std::string name_;  // Of our interface, now.
  std::optional<Running> run_;
  std::optional<Load> load_;
  Clock::duration longest_{};
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
  Process status = sluice({"status", "-i", name_, "--json"});
  EXPECT_EQ(status.wait(10s), 0) << status.err();
  EXPECT_EQ(sluice({"status", "-i", was, "--json"}).wait(10s), 1);
  finish();
}

TEST_F(HealTest, DeletedAndMadeAgain) {
  start();
  for (int i = 0; i < 3; ++i) {
    const std::size_t from = run_->process().out().size();
    ip(Side::a, "link delete dev " + name_);
    EXPECT_TRUE(
        run_->process().wait_for(": the interface is gone", kPatience, from));
    make_pair_again();
    expect_flow();
  }
  expect_told(name_ + ": the interface is back, and bound");
  expect_told("after the interface went");
  // What was counted before, is counted.
  Process status = sluice({"status", "-i", name_, "--json"});
  ASSERT_EQ(status.wait(10s), 0) << status.err();
  const auto before = sum(line_of(status.out(), "status"), "rx_packets");
  EXPECT_GE(before, 4 * kEnough);
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
  Process home = spawn(Side::a, {"sleep", "infinity"});
  ip(Side::b, "link set dev " + name_ + " netns " + std::to_string(home.pid()));
  ip(Side::a, "link set dev " + name_ + " up");
  expect_flow();
  finish();
}

TEST_F(HealTest, RemovedNamespaceOfThePeerEndsTheRunInWords) {
  start({"--heal-timeout", "0.3"});
  Process other = spawn(Side::b, {"unshare", "--net", "sleep", "infinity"});
  // Until it has a network namespace of its own, it is still in side b's.
  const std::string move = "link set dev " + peer().interface + " netns " +
                           std::to_string(other.pid());
  const auto deadline = Clock::now() + kPatience;
  const auto is_here = [&] {
    return lab().in(Side::b, [&] {
      return static_cast<bool>(Netdev::read(peer().interface));
    });
  };
  while (is_here() && Clock::now() < deadline) (void)lab().ip(Side::b, move);
  ASSERT_FALSE(is_here());
  other.signal(SIGKILL);
  EXPECT_EQ(run_->process().wait(kPatience), 1);
  EXPECT_NE(run_->process().err().find(name_), std::string::npos);
  EXPECT_NE(run_->process().err().find("did not come back within 0.30 s"),
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
  EXPECT_EQ(run_->process().wait(kPatience), 1);
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
