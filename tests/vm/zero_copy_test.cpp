// SPDX-License-Identifier: Apache-2.0
// Zero-copy on NICs whose drivers have it: granted, said, and every packet as
// it should be.
#include <atomic>
#include <sluice/services/echo.hpp>
#include <sluice/services/forward.hpp>
#include <thread>

#include "vm_test.hpp"

namespace sluice::testing {
namespace {

class ZeroCopyTest : public VmTest {
 protected:
  static void expect_zero_copy(EngineRun& run) {
    for (const QueueGrant& grant : run->queues()) {
      EXPECT_EQ(grant.mode, Mode::zero_copy)
          << grant.interface << " queue " << grant.queue << ": "
          << reason(grant.refused, "zero-copy");
      EXPECT_TRUE(grant.refused.empty());
    }
  }
  static std::uint32_t queues_of(const std::string& interface) {
    return Netdev::read(interface)->rx_queues;
  }
};

TEST_F(ZeroCopyTest, IsTheFirstRungAndSaid) {
  auto process = Process::start({SLUICE_PROGRAM, "run", "-i", eth(0), "--steer",
                                 "udp and dst port 7", "--frame-size", "4096"});
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->wait_for("rule: ", 60s)) << process->err();
  process->signal(SIGINT);
  EXPECT_EQ(process->wait(30s), 0) << process->err();
  for (std::uint32_t queue = 0; queue < queues_of(eth(0)); ++queue) {
    const std::string line = eth(0) + " queue " + std::to_string(queue) + ": ";
    const auto at = process->out().find(line);
    ASSERT_NE(at, std::string::npos) << process->out();
    const auto said =
        process->out().substr(at, process->out().find('\n', at) - at);
    EXPECT_NE(said.find(", zero-copy, wait "), std::string::npos) << said;
  }
  EXPECT_EQ(process->out().find("not zero-copy"), std::string::npos)
      << process->out();
}

TEST_F(ZeroCopyTest, ReflectsEveryPacketOnEveryQueueAtBothEnds) {
  for (const auto& [mine, peer] : {std::pair{0, 1}, {1, 0}}) {
    EngineRun run(options({eth(mine)}, Mode::zero_copy));
    ASSERT_TRUE(run.start<services::Reflect>());
    expect_zero_copy(run);
    EXPECT_EQ(run->queues().size(), queues_of(eth(mine)));
    Wire far = wire(eth(peer));
    expect_reflected(far, eth(peer), eth(mine), 1500);
    expect_all_on_every_queue(run.stop(), 1500);
  }
}

TEST_F(ZeroCopyTest, EchoAnswersBesideTheLinuxStack) {
  EngineRun run([] {
    EngineOptions all = options({eth(0)});
    const Words expressions = {"dst host 10.9.0.1", "arp"};
    all.rules = *Rules::steer(expressions);
    return all;
  }());
  ASSERT_TRUE(run.start<services::Echo>(
      {.addresses = {"10.9.0.1"}, .ports = {}, .mac = ""}));
  expect_zero_copy(run);
  Wire far = wire(eth(1));
  const Mac to = mac(eth(0));
  ASSERT_TRUE(far.send(Frame()
                           .eth(mac(eth(1)), kMacAll)
                           .arp(1, "10.9.0.2", "10.9.0.1", mac(eth(1)))
                           .padded()));
  const auto answer = far.receive(10s, [](std::span<const std::byte> each) {
    return each[12] == std::byte{8} && each[13] == std::byte{6};
  });
  ASSERT_TRUE(answer);
  EXPECT_TRUE(std::equal(
      to.begin(), to.end(),
      reinterpret_cast<const std::uint8_t*>(answer->data() + 14 + 8)));
  expect_reflected(far, eth(1), eth(0), 500);
  // Nobody takes these: they are the stack's.
  Wire stack = wire(eth(0));
  const Bytes other = Frame()
                          .eth(mac(eth(1)), to)
                          .ethertype(0x88b5)
                          .payload(std::string(46, 'o'));
  ASSERT_TRUE(far.send(other));
  EXPECT_TRUE(stack.receive(10s, [&](std::span<const std::byte> each) {
    return std::ranges::equal(each, other);
  }));
  expect_all_on_every_queue(run.stop(), 501);
}

TEST_F(ZeroCopyTest, ForwardsBetweenTwoNicsBothWays) {
  EngineRun run(options({eth(1), eth(2)}, Mode::zero_copy));
  ASSERT_TRUE(run.start<services::Forward>());
  expect_zero_copy(run);
  Wire left = wire(eth(0));
  Wire right = wire(eth(3));
  // Addressed to nobody here: what is forwarded is changed in no byte.
  const auto same = [](std::uint32_t number) {
    return packet(number, kMacA, kMacB);
  };
  exchange(left, right, 1000, same, same);
  exchange(right, left, 1000, same, same);
  expect_all_on_every_queue(run.stop(), 2000);
}

// Keeps what comes until FILL has nothing left.
struct Hoard {
  static inline std::atomic<bool> lets_go = false;
  explicit Hoard(Core& core) : twice(core.counter("twice")) {
    kept.reserve(8192);
    core.every(std::chrono::milliseconds(1), [this] {
      if (lets_go) kept.clear();
    });
  }
  void operator()(Packet packet, Core&) noexcept {
    const auto number = VmTest::number_in(packet.bytes()).value_or(0);
    if (number <= last) ++twice;
    last = std::max(last, number);
    kept.push_back(std::move(packet));
  }
  Counter& twice;  // Flood's numbers rise.
  std::uint32_t last = 0;
  std::vector<Packet> kept;
};

// Sends without end, in bursts that a ring has room for.
class Flood {
 public:
  Flood(Wire wire, const Mac& from, const Mac& to)
      : thread_([this, wire = std::move(wire), from, to]() mutable {
          for (std::uint32_t i = VmTest::kUnasked; !ended_; ++i) {
            (void)wire.send(VmTest::packet(i, from, to));
            if (i % 16 == 0) std::this_thread::sleep_for(4ms);
          }
        }) {}
  ~Flood() {
    ended_ = true;
    thread_.join();
  }
  Flood(const Flood&) = delete;
  Flood& operator=(const Flood&) = delete;

 private:
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

// Another number of queues, for a while.
class Channels {
 public:
  Channels(std::string interface, std::uint32_t count)
      : interface_(std::move(interface)),
        before_(Netdev::read(interface_)->rx_queues) {
    set(count);
  }
  ~Channels() {
    // RSS uses all of them, and would keep them.
    EXPECT_TRUE(VmTest::command(
        {"ethtool", "-X", interface_, "equal", std::to_string(before_)}));
    set(before_);
  }
  Channels(const Channels&) = delete;
  Channels& operator=(const Channels&) = delete;

 private:
  void set(std::uint32_t count) const {
    EXPECT_TRUE(VmTest::command(
        {"ethtool", "-L", interface_, "combined", std::to_string(count)}));
    EXPECT_TRUE(VmTest::wait_for_link(interface_));
  }
  std::string interface_;
  std::uint32_t before_;
};

TEST_F(ZeroCopyTest, ADriverThatRanOutOfFramesIsWoken) {
  // Before Linux 7.0 igb wakes the interrupt of TX. With more than four queues
  // RX has the same one.
  std::optional<Channels> shared;
  if (nic() == "igb") shared.emplace(eth(0), 8);
  Hoard::lets_go = false;
  EngineOptions one = options({eth(0)}, Mode::zero_copy);
  one.queues = {0};
  one.ring_size = 64;
  EngineRun run(std::move(one));
  ASSERT_TRUE(run.start<Hoard>());
  const auto queue = [&] { return run->stats().queues.front(); };
  {
    const Flood flood(wire(eth(1)), mac(eth(1)), mac(eth(0)));
    // igb may give a descriptor twice when FILL had too few for it, and lose
    // its place in its ring. Nobody but the driver could mend that.
    const auto comes = [&](const auto& done) {
      return run.until(60s, done) || run.counter("twice") > 0;
    };
    EXPECT_TRUE(comes([&] { return queue().pool_dry > 0; }));
    // The driver uses up what it has; one of the two then waits to be woken.
    EXPECT_TRUE(comes([&] {
      return nic() == "igb" ? queue().rx_wakes > 0
                            : queue().kernel.fill_empty > 0;
    }));
    Hoard::lets_go = true;
    const auto before = queue().rx_packets;
    EXPECT_TRUE(comes([&] { return queue().rx_packets > before + 1000; }))
        << before << " before, " << queue().rx_packets << " now";
  }
  const Stats stats = run.stop();
  // virtio-net looks again by itself, after a while.
  EXPECT_EQ(sum(stats, &QueueStats::rx_wakes) > 0, nic() == "igb");
}

TEST_F(ZeroCopyTest, ABurstBeyondTheNicsRingLosesNoFrame) {
  EngineRun run(options({eth(0)}, Mode::zero_copy));
  ASSERT_TRUE(run.start<services::Reflect>());
  Wire far = wire(eth(1));
  const Mac from = mac(eth(1));
  const Mac to = mac(eth(0));
  constexpr std::uint32_t kCount = 2000;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    (void)far.send(packet(kUnasked + i, from, to));
  }
  // Some are lost on the way; what came is right, and came once.
  std::set<std::uint32_t> came;
  while (const auto got = far.receive(1s, [](std::span<const std::byte> each) {
    return number_in(each).has_value();
  })) {
    const std::uint32_t number = *number_in(*got);
    ASSERT_LT(number - kUnasked, kCount);
    EXPECT_TRUE(came.insert(number).second) << "twice: " << number;
    ASSERT_EQ(*got, reflected(number, from, to));
  }
  EXPECT_GT(came.size(), 0u);
  // And nothing is lost that has a pace.
  expect_reflected(far, eth(1), eth(0), 500);
  const Stats stats = run.stop();
  EXPECT_EQ(sum(stats, &QueueStats::tx_packets),
            sum(stats, &QueueStats::rx_packets));
}

TEST_F(ZeroCopyTest, EndsAndBeginsUnderTraffic) {
  const Flood flood(wire(eth(1)), mac(eth(1)), mac(eth(0)));
  for (int i = 0; i < 2; ++i) {
    EngineRun run(options({eth(0)}, Mode::zero_copy));
    EXPECT_TRUE(run.start<services::Reflect>());
    EXPECT_TRUE(run.until(
        60s, [&] { return sum(run->stats(), &QueueStats::tx_packets) > 200; }));
    run.stop();
  }
}

TEST_F(ZeroCopyTest, NoPacketIsCutByADriverThatFillsWholeKibibytes) {
  EngineOptions small = options({eth(0)});
  small.frame_size = 2048;
  EngineRun run(std::move(small));
  ASSERT_TRUE(run.start<services::Reflect>());
  for (const QueueGrant& grant : run->queues()) {
    const bool steps = nic() == "igb";
    EXPECT_EQ(grant.mode, steps ? Mode::copy : Mode::zero_copy);
    const std::string why = reason(grant.refused, "zero-copy");
    EXPECT_EQ(why.find("use --frame-size 4096") != std::string::npos, steps)
        << why;
  }
  Wire far = wire(eth(1));
  expect_reflected(far, eth(1), eth(0), 500);
  run.stop();
}

// Counts what handlers are told of the link.
struct Links {
  explicit Links(Core& core) : told(core.counter("told")), reflect(core) {}
  void operator()(Packet packet, Core& core) noexcept {
    reflect(std::move(packet), core);
  }
  void event(const Event&) { ++told; }
  Counter& told;
  services::Reflect reflect;
};

TEST_F(ZeroCopyTest, ALinkThatDropsAtAttachIsWaitedFor) {
  EngineRun run(options({eth(0)}, Mode::zero_copy));
  ASSERT_TRUE(run.start<Links>());
  Wire far = wire(eth(1));
  // The very first packet is answered.
  expect_reflected(far, eth(1), eth(0), 1);
  // Said where it was seen: on a slow machine it may be up again before.
  for (const std::string& line : run->take_news()) {
    EXPECT_EQ(line, eth(0) +
                        ": the link went down as it was set up, and is up "
                        "again");
  }
  EXPECT_FALSE(run.until(1500ms, [&] { return run.counter("told") > 0; }))
      << "a handler heard of a link that dropped before it stood";
  run.stop();
}

}  // namespace
}  // namespace sluice::testing
