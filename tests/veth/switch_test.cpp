// SPDX-License-Identifier: Apache-2.0
// What the XDP program says of the packets it steers, and that it is true while
// lists change under them.
#include <atomic>
#include <sluice/services/reflect.hpp>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

constexpr std::size_t kPortAt = 14 + 20 + 2;  // UDP's destination.
constexpr std::size_t kPayload = 14 + 20 + 8;

Rules rules_of(std::string_view text) {
  auto rules = Rules::parse(text);
  EXPECT_TRUE(rules) << rules.error().message();
  return *rules;
}

// Answers with what is known of a packet.
struct Answer {
  std::uint32_t rule;
  std::uint32_t clock;
  std::uint64_t version;
  std::uint64_t time;
};
struct Tell {
  explicit Tell(Core& core) : reflect(core) {}
  void operator()(Packet packet, Core& core) noexcept {
    const auto time = packet.timestamp();
    const Answer answer{packet.rule().value,
                        time ? static_cast<std::uint32_t>(time->clock) : 0,
                        packet.list_version(), time ? time->ns : 0};
    if (packet.bytes().size() < kPayload + sizeof answer) return;
    std::memcpy(packet.bytes().data() + kPayload, &answer, sizeof answer);
    reflect(std::move(packet), core);
  }
  services::Reflect reflect;
};

class MetadataTest : public VethTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1}; }

  EngineOptions options(std::string_view rules) {
    EngineOptions options;
    options.ports = {{"only", mine().interface}};
    options.rules = rules_of(rules);
    options.ring_size = 64;
    options.poller.batch = 16;
    return options;
  }
  std::optional<Answer> ask(Wire& from, std::uint16_t port) {
    const Bytes question = Frame()
                               .eth(kMacB, kMacA)
                               .ipv4("10.203.0.2", "10.203.0.1")
                               .udp(4000, port)
                               .payload(64u);
    if (!from.send(question)) return {};
    const auto got = from.receive(5s, [&](std::span<const std::byte> packet) {
      return packet.size() == question.size() &&
             packet[kPortAt - 1] == static_cast<std::byte>(port);
    });
    if (!got) return {};
    Answer answer;
    std::memcpy(&answer, got->data() + kPayload, sizeof answer);
    return answer;
  }
  // A veth knows no time of its own of what another program sends, and its
  // driver says so for each packet.
  void expect_clock(const QueueGrant& grant) {
    const bool offered = lab().in(Side::a, [&] {
      return driver_rx_hints(Netdev::read(mine().interface)->index).time;
    });
    const bool asked = offered && grant.mode != Mode::generic;
    EXPECT_EQ(grant.clock,
              asked ? Timestamp::Clock::hardware : Timestamp::Clock::monotonic);
    const bool refused = std::ranges::any_of(
        grant.refused,
        [](const Refused& each) { return each.rung == "hardware timestamps"; });
    EXPECT_NE(refused, asked);
  }
  void expect_told(Mode mode) {
    EngineOptions engine = options(
        "steer @dns udp dst port 53\nsteer udp dst port 7\n"
        "steer @echo udp dst port 9\n");
    engine.mode = mode;
    engine.timestamps = true;
    EngineRun run(lab(), std::move(engine));
    ASSERT_TRUE(run.start<Tell>());
    expect_clock(run->queues().front());
    Wire b = wire(Side::b);
    // More than there are frames: each is used again, by another rule's packet.
    for (int i = 0; i < 1000; ++i) {
      const std::uint64_t before = monotonic_now().ns;
      const auto dns = ask(b, 53);
      ASSERT_TRUE(dns) << i;
      EXPECT_EQ(dns->rule, rule_id("dns").value);
      EXPECT_EQ(dns->version, 1u);
      EXPECT_EQ(dns->clock, SLUICE_CLOCK_MONOTONIC);
      EXPECT_GE(dns->time, before);
      EXPECT_LE(dns->time, monotonic_now().ns);
      const auto none = ask(b, 7);
      ASSERT_TRUE(none) << i;
      EXPECT_EQ(none->rule, 0u);
      EXPECT_EQ(none->version, 1u);
      const auto echo = ask(b, 9);
      ASSERT_TRUE(echo) << i;
      EXPECT_EQ(echo->rule, rule_id("echo").value);
    }
    run.stop();
  }
};

TEST_F(MetadataTest, HandlersAreToldRuleVersionAndTime) {
  expect_told(Mode::automatic);
}

TEST_F(MetadataTest, KernelsTimeIsToldWithoutTheHardwares) {
  EngineOptions engine = options("steer @echo udp dst port 9\n");
  engine.timestamps = true;
  engine.masked.hardware_time = true;
  EngineRun run(lab(), std::move(engine));
  ASSERT_TRUE(run.start<Tell>());
  EXPECT_EQ(run->queues().front().clock, Timestamp::Clock::monotonic);
  Wire b = wire(Side::b);
  const auto echo = ask(b, 9);
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->clock, SLUICE_CLOCK_MONOTONIC);
  run.stop();
}

TEST_F(MetadataTest, GenericModeTellsTheSame) { expect_told(Mode::generic); }

TEST_F(MetadataTest, NoTimeUnlessItIsAskedFor) {
  EngineRun run(lab(), options("steer @echo udp dst port 9\n"));
  ASSERT_TRUE(run.start<Tell>());
  Wire b = wire(Side::b);
  const auto first = ask(b, 9);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->clock, 0u);
  const auto other = rules_of("steer @other udp dst port 9\n");
  ASSERT_TRUE(lab().in(Side::a, [&] { return run->set_rules(other); }));
  const auto second = ask(b, 9);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->rule, rule_id("other").value);
  EXPECT_EQ(second->version, 2u);
  run.stop();
}

// Rules in front of the even list: enough for an exact table.
constexpr std::uint32_t kDrops = 70;

// Answers only what one of the lists says as a whole. Odd versions steer port 7
// by @a and port 8 by @b, even ones the other way round.
struct Judge {
  explicit Judge(Core& core)
      : a(core.rule("a")),
        b(core.rule("b")),
        odd(core.counter("odd")),
        even(core.counter("even")),
        mixed(core.counter("mixed")),
        reflect(core) {}
  void operator()(Packet packet, Core& core) noexcept {
    const bool is_odd = packet.list_version() % 2 == 1;
    const bool seven = packet.bytes()[kPortAt + 1] == std::byte{7};
    const RuleId expected = is_odd == seven ? a : b;
    const auto metadata = packet.metadata();
    const bool whole =
        metadata && packet.rule() == expected &&
        metadata->rule == (is_odd ? 0u : kDrops) + (seven ? 0 : 1);
    ++(!whole ? mixed : is_odd ? odd : even);
    if (whole) reflect(std::move(packet), core);
  }
  RuleId a, b;
  Counter &odd, &even, &mixed;
  services::Reflect reflect;
};

// An interface whose list is switched while datagrams to one port come in. A
// switch mostly waits for RCU, so several wait together.
class Switched {
 public:
  Switched(const VethLab& lab, EngineOptions options, const Rules& even)
      : odd_(options.rules), even_(even), run(lab, std::move(options)) {}

  void switch_lists(int times) {
    switching_ = true;
    thread_ = std::thread([this, times] {
      for (int i = 0; i < times; ++i) {
        const auto set = run->set_rules(i % 2 == 0 ? even_ : odd_);
        EXPECT_TRUE(set) << set.error().message();
      }
      switching_ = false;
    });
  }
  [[nodiscard]] bool switching() const { return switching_; }
  void join() { thread_.join(); }

 private:
  const Rules odd_, even_;
  std::atomic<bool> switching_ = false;
  std::thread thread_;

 public:
  EngineRun run;
  std::optional<Process> traffic;
  std::uint64_t sent = 0;
};

class SwitchTest : public MetadataTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1, .pairs = kPairs}; }

  // The even list has an exact table, other classes and other numbers: parts
  // of one list are no use to the other.
  static Rules odd() {
    return rules_of(
        "steer @a udp and dst port 7 else drop\n"
        "steer @b udp and dst port 8 else drop\n"
        "drop udp and dst portrange 1-1023\n");
  }
  static Rules even() {
    std::string text;
    for (std::uint32_t i = 1; i <= kDrops; ++i) {
      text += "drop udp and src host 192.0.2.1 and src port " +
              std::to_string(i) + "\n";
    }
    return rules_of(text +
                    "steer @b udp and dst port 7 else drop\n"
                    "steer @a udp and dst port 8 else drop\n"
                    "drop udp and dst portrange 1-1023\n");
  }
  std::unique_ptr<Switched> switched(std::size_t pair) {
    EngineOptions engine = options("");
    engine.ports = {{"only", mine(pair).interface}};
    engine.rules = odd();
    engine.ring_size = 2048;
    engine.force = true;
    return std::make_unique<Switched>(lab(), std::move(engine), even());
  }
  void send(Switched& to, std::size_t pair) {
    constexpr int kCount = 20'000;
    to.traffic =
        spawn(Side::b,
              {TRAFFIC_PROGRAM, "udp", "--to", mine(pair).ipv4, "--port",
               std::to_string(7 + pair % 2), "--count", std::to_string(kCount),
               "--flows", "8", "--window", "64", "--timeout", "60"});
    to.sent += kCount;
  }
  // Every packet was answered by one whole list, and by nobody else.
  void expect_whole(Switched& of, std::size_t pair) {
    EXPECT_EQ(of.run.counter("mixed"), 0);
    const std::int64_t by_odd = of.run.counter("odd");
    const std::int64_t by_even = of.run.counter("even");
    EXPECT_GT(by_odd, 0);
    EXPECT_GT(by_even, 0);
    EXPECT_EQ(static_cast<std::uint64_t>(by_odd + by_even), of.sent);
    const Program& program = *of.run->program(mine(pair).interface);
    EXPECT_EQ(program.version(), 1u + kSwitches);
    const auto counts = program.counts();
    ASSERT_TRUE(counts);
    EXPECT_EQ(counts->rules[0].packets + counts->rules[1].packets, of.sent);
    EXPECT_EQ(counts->rules[2].packets, 0u) << "went another way";
    EXPECT_EQ(counts->verdicts.steered.packets, of.sent);
    EXPECT_EQ(counts->verdicts.dropped_no_socket.packets, 0u);
    const Stats stats = of.run.stop();
    EXPECT_EQ(sum(stats, &QueueStats::tx_packets), of.sent);
  }

  static constexpr std::uint32_t kPairs = 4;
  static constexpr int kSwitches = 250;  // Of each pair.
};

TEST_F(SwitchTest, AThousandSwitchesUnderTrafficMixAndLoseNothing) {
  std::vector<std::unique_ptr<Switched>> all;
  for (std::size_t pair = 0; pair < kPairs; ++pair) {
    all.push_back(switched(pair));
    ASSERT_TRUE(all[pair]->run.start<Judge>());
    send(*all[pair], pair);
  }
  for (const auto& each : all) each->switch_lists(kSwitches);
  while (std::ranges::any_of(
      all, &Switched::switching,
      [](const auto& each) -> const Switched& { return *each; })) {
    for (std::size_t pair = 0; pair < kPairs; ++pair) {
      const auto code = all[pair]->traffic->wait(5ms);
      if (!code) continue;
      EXPECT_EQ(*code, 0) << all[pair]->traffic->out();
      send(*all[pair], pair);
    }
  }
  for (std::size_t pair = 0; pair < kPairs; ++pair) {
    all[pair]->join();
    EXPECT_EQ(all[pair]->traffic->wait(60s), 0) << all[pair]->traffic->out();
    expect_whole(*all[pair], pair);
  }
}

}  // namespace
}  // namespace sluice::testing
