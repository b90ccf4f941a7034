// SPDX-License-Identifier: Apache-2.0
// Handlers that keep, multiply, grow and cut what they are given: every packet
// is accounted for, every byte is right.
#include <atomic>
#include <set>
#include <sluice/services/echo.hpp>
#include <sluice/services/reflect.hpp>

#include "numbered.hpp"

namespace sluice::testing {
namespace {

class HandlerTest : public VethTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1}; }

  // Small rings: what is kept is missed soon. Fewer in flight than they hold.
  const Words kFew = {"--window", "16", "--flows", "8"};
  EngineOptions options(const std::string& steer = "udp and dst port 7") {
    EngineOptions options;
    options.ports = {{"only", mine().interface}};
    const Words expressions = {steer};
    auto rules = Rules::steer(expressions);
    EXPECT_TRUE(rules);
    options.rules = std::move(*rules);
    options.ring_size = 64;
    options.poller.batch = 16;
    return options;
  }
};

// Keeps all that comes until it is told to let go, then answers.
struct Hoard {
  static constexpr std::uint32_t kHolds = 256;
  static inline std::atomic<bool> answers = false;

  explicit Hoard(Core& the_core)
      : core(the_core), kept_now(core.gauge("kept")), reflect(core) {
    kept.reserve(4096);
    core.every(std::chrono::milliseconds(1), [this] { let_go(); });
  }
  void operator()(Packet packet, Core&) noexcept {
    kept.push_back(std::move(packet));
    kept_now.set(static_cast<std::int64_t>(kept.size()));
  }
  void let_go() {
    if (!answers || kept.empty()) return;
    // As many as TX takes; the others at the next tick.
    while (!kept.empty() && core.room() > 0) {
      reflect(std::move(kept.back()), core);
      kept.pop_back();
    }
    kept_now.set(static_cast<std::int64_t>(kept.size()));
  }

  Core& core;
  Gauge& kept_now;
  services::Reflect reflect;
  std::vector<Packet> kept;
};

TEST_F(HandlerTest, KeepingEveryFrameStarvesFillAndLettingGoRecovers) {
  Hoard::answers = false;
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Hoard>());
  const auto frames = run->cores().front().frames;
  Wire b = wire(Side::b);
  // More than there are frames: in the end FILL has none.
  std::uint32_t sent = 0;
  ASSERT_TRUE(run.until(10s,
                        [&] {
                          for (int i = 0; i < 16; ++i) {
                            EXPECT_TRUE(b.send(datagram(sent++)));
                          }
                          const QueueStats queue = run->stats().queues.front();
                          return sent > frames && queue.pool_dry > 0 &&
                                 queue.kernel.fill_empty > 0;
                        }))
      << "kept " << run.counter("kept");
  EXPECT_GE(run.counter("kept"), std::int64_t{frames - 64 - 16});
  EXPECT_LE(run.counter("kept"), std::int64_t{frames});

  Hoard::answers = true;
  // What was kept is answered, once each and intact.
  std::set<std::uint32_t> answered;
  while (const auto got = b.receive(500ms, is_answer)) {
    EXPECT_TRUE(answered.insert(number_in(*got)).second) << "twice";
    EXPECT_EQ(got->size(), datagram(0).size());
  }
  EXPECT_GE(answered.size(), frames - 64u - 16u);
  EXPECT_EQ(run.counter("kept"), 0);
  // And it goes on as if nothing had been.
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(b.send(datagram(sent)));
    const auto got = b.receive(5s, is_answer);
    ASSERT_TRUE(got) << "after recovery, " << i;
    ASSERT_EQ(number_in(*got), sent++);
  }
  const Stats stats = run.stop();
  EXPECT_EQ(sum(stats, &QueueStats::tx_packets),
            sum(stats, &QueueStats::rx_packets));
}

TEST_F(HandlerTest, FramesStillHeldAtTheEndAreCounted) {
  Hoard::answers = false;
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Hoard>());
  Wire b = wire(Side::b);
  for (std::uint32_t i = 0; i < 20; ++i) ASSERT_TRUE(b.send(datagram(i)));
  ASSERT_TRUE(run.until(5s, [&] { return run.counter("kept") == 20; }));
  run.stop();
}

// Sends each packet and a copy of it.
struct Twice {
  explicit Twice(Core& core) : reflect(core) {}
  void operator()(Packet packet, Core& core) noexcept {
    if (auto second = packet.copy()) reflect(std::move(*second), core);
    reflect(std::move(packet), core);
  }
  services::Reflect reflect;
};

TEST_F(HandlerTest, SendingTwiceWhatCameArrivesTwice) {
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Twice>());
  Wire b = wire(Side::b);
  for (std::uint32_t i = 0; i < 5000; ++i) {
    ASSERT_TRUE(b.send(datagram(i)));
    for (int each = 0; each < 2; ++each) {
      const auto got = b.receive(5s, is_answer);
      ASSERT_TRUE(got) << i;
      ASSERT_EQ(number_in(*got), i);
    }
  }
  const Stats stats = run.stop();
  EXPECT_EQ(sum(stats, &QueueStats::rx_packets), 5000u);
  EXPECT_EQ(sum(stats, &QueueStats::tx_packets), 10'000u);
  EXPECT_EQ(stats.queues.front().lost(), 0u);
}

TEST_F(HandlerTest, SendingTwiceUnderFloodLosesNoFrame) {
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Twice>());
  Process flood = spawn(
      Side::b, {TRAFFIC_PROGRAM, "blast", "--to", mine().ipv4, "--port", "7",
                "--rate", "2000000", "--duration", "1", "--flows", "64"});
  EXPECT_TRUE(flood.wait(20s));
  const Stats stats = run.stop();
  EXPECT_GT(sum(stats, &QueueStats::tx_packets),
            sum(stats, &QueueStats::rx_packets));
}

// Puts `grow` bytes in front of the payload, or takes some off the end, and
// sends that as a frame of its own EtherType.
struct Resize {
  struct Config {
    std::uint32_t front = 0, back = 0, cut = 0;
  };
  explicit Resize(const Config& config) : config_(config) {}
  void operator()(Packet packet, Core& core) noexcept {
    const bool done = packet.trim_front(sizeof(Ethernet)) &&
                      packet.trim_back(config_.cut) &&
                      packet.append(config_.back) &&
                      packet.prepend(config_.front + sizeof(Ethernet));
    if (!done) return;
    const auto bytes = packet.bytes();
    std::fill(bytes.begin(), bytes.begin() + 14 + config_.front,
              std::byte{0xee});
    std::fill(bytes.end() - config_.back, bytes.end(), std::byte{0xbb});
    bytes[12] = std::byte{0x88};
    bytes[13] = std::byte{0xb5};
    core.reply(std::move(packet));
  }
  Config config_;
};

TEST_F(HandlerTest, PacketsGrowAndShrinkAtBothEnds) {
  const Resize::Config all[] = {
      {0, 0, 0}, {240, 0, 0}, {0, 200, 0}, {100, 100, 20}, {0, 0, 40}};
  for (const Resize::Config& config : all) {
    EngineRun run(lab(), options());
    ASSERT_TRUE(run.start<Resize>(config));
    Wire b = wire(Side::b);
    for (const std::size_t size : {40u, 500u, 1400u}) {
      if (config.front + config.back + size > 1472) continue;
      const Bytes question = datagram(1, size);
      ASSERT_TRUE(b.send(question));
      const auto got = b.receive(5s, [](std::span<const std::byte> packet) {
        return packet[12] == std::byte{0x88};
      });
      ASSERT_TRUE(got) << size;
      Bytes expected(14 + config.front, std::byte{0xee});
      expected[12] = std::byte{0x88};
      expected[13] = std::byte{0xb5};
      expected.insert(expected.end(), question.begin() + 14,
                      question.end() - config.cut);
      expected.resize(expected.size() + config.back, std::byte{0xbb});
      EXPECT_EQ(*got, expected) << size;
    }
    run.stop();
  }
}

// A whole burst, sent in the order in which it came.
struct BurstReflect {
  explicit BurstReflect(Core& core) : reflect(core) {}
  void operator()(Burst& burst, Core& core) noexcept {
    for (Packet& packet : burst) reflect(std::move(packet), core);
  }
  services::Reflect reflect;
};

TEST_F(HandlerTest, BurstHandlersAnswerEverything) {
  auto wide = options();
  wide.ring_size = 2048;
  EngineRun run(lab(), std::move(wide));
  ASSERT_TRUE(run.start<BurstReflect>());
  expect_answered(mine().ipv4, kPort, 30'000, {"--flows", "64"});
  const Stats stats = run.stop();
  EXPECT_EQ(sum(stats, &QueueStats::tx_packets), 30'000u);
  EXPECT_EQ(stats.queues.front().lost(), 0u);
}

// Everything that a host is asked, cut off at every length.
TEST_F(HandlerTest, TruncatedFramesOfEveryLengthAreSurvived) {
  const std::string own4 = "10.203.0.9";
  const std::string own6 = "fd00:203::9";
  EngineOptions all = options("all");
  all.force = true;
  EngineRun run(lab(), std::move(all));
  ASSERT_TRUE(run.start<services::Echo>(
      {.addresses = {own4, own6}, .ports = {}, .mac = ""}));
  const Bytes wholes[] = {
      Frame().eth(kMacB, kMacA).arp(1, "10.203.0.2", own4),
      Frame().eth(kMacB, kMacA).ipv4("10.203.0.2", own4).icmp(8).payload(40u),
      Frame().eth(kMacB, kMacA).ipv4("10.203.0.2", own4).udp(9, 7).payload(40u),
      Frame().eth(kMacB, kMacA).ipv4("10.203.0.2", own4).tcp(9, 7).payload(40u),
      Frame()
          .eth(kMacB, kMacA)
          .ipv6("fd00:203::2", own6)
          .neighbour_solicitation(own6),
      Frame()
          .eth(kMacB, kMacA)
          .ipv6("fd00:203::2", own6)
          .icmp6(128)
          .payload(40u),
      Frame()
          .eth(kMacB, kMacA)
          .ipv6("fd00:203::2", own6)
          .udp(9, 7)
          .payload(40u),
      Frame().eth(kMacB, kMacA).vlan(5).ipv4("10.203.0.2", own4).udp(9, 7)};
  Wire b = wire(Side::b);
  std::uint64_t sent = 0;
  for (const Bytes& whole : wholes) {
    for (std::size_t size = 14; size <= std::min<std::size_t>(60, whole.size());
         ++size) {
      ASSERT_TRUE(b.send(std::span(whole).first(size))) << size;
      ++sent;
    }
    // At a pace that small rings hold.
    EXPECT_TRUE(run.until(10s, [&] {
      return sum(run->stats(), &QueueStats::rx_packets) >= sent;
    }));
  }
  // It lives, and answers what is whole.
  Wire fresh = wire(Side::b);
  ASSERT_TRUE(fresh.send(wholes[2]));
  const Bytes answer =
      Frame().eth(kMacA, kMacB).ipv4(own4, "10.203.0.2").udp(7, 9).payload(40u);
  EXPECT_TRUE(fresh.receive(5s, [&](std::span<const std::byte> packet) {
    return std::ranges::equal(packet, answer);
  }));
  run.stop();
}

TEST_F(HandlerTest, RulesChangeWhilePacketsFlow) {
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<services::Reflect>());
  expect_answered(mine().ipv4, 7, 1000, kFew);
  const Words eight = {"udp and dst port 8"};
  const auto other = Rules::steer(eight);
  ASSERT_TRUE(other);
  const auto set = lab().in(Side::a, [&] { return run->set_rules(*other); });
  ASSERT_TRUE(set) << set.error().message();
  expect_answered(mine().ipv4, 8, 1000, kFew);
  // Port 7 is the Linux stack's again: nobody listens there.
  Process seven =
      spawn(Side::b, {TRAFFIC_PROGRAM, "udp", "--to", mine().ipv4, "--port",
                      "7", "--count", "10", "--flows", "1", "--window", "1",
                      "--patience", "0.2", "--timeout", "3"});
  EXPECT_EQ(seven.wait(20s), 1) << seven.out();
  // A list that would cut the host off changes nothing.
  const Words all = {"all"};
  const auto everything = Rules::steer(all);
  EXPECT_FALSE(lab().in(Side::a, [&] { return run->set_rules(*everything); }));
  expect_answered(mine().ipv4, 8, 1000, kFew);
  const Stats stats = run.stop();
  EXPECT_EQ(sum(stats, &QueueStats::tx_packets), 3000u);
}

// Counts what it is told of the link.
struct Links {
  explicit Links(Core& core)
      : ups(core.counter("ups")), downs(core.counter("downs")), reflect(core) {}
  void operator()(Packet packet, Core& core) noexcept {
    reflect(std::move(packet), core);
  }
  void event(const Event& event) {
    if (event.kind == Event::Kind::link_up) ++ups;
    if (event.kind == Event::Kind::link_down) ++downs;
  }
  Counter& ups;
  Counter& downs;
  services::Reflect reflect;
};

TEST_F(HandlerTest, LinkChangesAreToldAndTrafficResumes) {
  ASSERT_TRUE(lab().wait_for_link(Side::a, true));
  EngineRun run(lab(), options());
  ASSERT_TRUE(run.start<Links>());
  for (int i = 1; i <= 2; ++i) {
    expect_answered(mine().ipv4, 7, 500, kFew);
    // Its peer first, then the interface itself.
    const Side side = i == 1 ? Side::b : Side::a;
    ASSERT_TRUE(lab().set_link(side, false));
    EXPECT_TRUE(run.until(10s, [&] { return run.counter("downs") == i; }));
    ASSERT_TRUE(lab().set_link(side, true));
    EXPECT_TRUE(run.until(10s, [&] { return run.counter("ups") == i; }));
    // The neighbours went with the link.
    for (const auto& [at, to] :
         {std::pair{Side::a, peer()}, {Side::b, mine()}}) {
      ASSERT_TRUE(lab().ip(at, "neigh replace " + to.ipv4 + " dev " +
                                   lab().end(at).interface + " lladdr " +
                                   to.mac.text() + " nud permanent"));
    }
  }
  expect_answered(mine().ipv4, 7, 500, kFew);
  const auto news = run->take_news();
  EXPECT_EQ(std::ranges::count_if(news,
                                  [](const std::string& line) {
                                    return line.find(": link ") !=
                                           std::string::npos;
                                  }),
            4);
  run.stop();
}

}  // namespace
}  // namespace sluice::testing
