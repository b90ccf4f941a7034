// SPDX-License-Identifier: Apache-2.0
// A handler that has seen enough of a flow leaves the rest to the XDP program.
#include <set>
#include <sluice/testing/wire.hpp>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

constexpr std::uint16_t kBulk = 4001;   // Bypassed after ten packets.
constexpr std::uint16_t kEnd = 4002;    // Lets that expire in a second.
constexpr std::uint16_t kOther = 4003;  // Comes whatever happens.

struct Enough {
  explicit Enough(Core& core)
      : bulk(core.counter("bulk")),
        other(core.counter("other")),
        refused(core.counter("refused")) {}
  void operator()(Packet packet, Core& core) noexcept {
    const FlowKey flow = parse(packet).flow();
    const std::uint16_t port = flow.source_port;
    if (port == kBulk) {
      ++bulk;
      if (bulk.value() == 10) leave(core, flow, std::chrono::seconds(3600));
    } else if (port == kEnd) {
      FlowKey ends = flow;
      ends.source_port = kBulk;
      leave(core, ends, std::chrono::seconds(1));
    } else {
      ++other;
    }
  }
  void leave(Core& core, const FlowKey& flow, std::chrono::seconds time) {
    if (!core.bypass(flow, Action::drop, time)) ++refused;
  }
  Counter& bulk;
  Counter& other;
  Counter& refused;
};

class BypassTest : public VethTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1}; }
  EngineOptions options(std::uint32_t flows) {
    EngineOptions options;
    options.ports = {{"only", mine().interface}};
    options.rules = *Rules::parse("steer udp and dst port 7");
    options.bypass_flows = flows;
    return options;
  }
  static Bytes from_port(std::uint16_t port) {
    return Frame()
        .eth(kMacB, kMacA)
        .ipv4("10.203.0.2", "10.203.0.1")
        .udp(port, 7)
        .payload(20);
  }
  static void send(Wire& wire, std::uint16_t port, int count) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(wire.send(from_port(port)));
  }
};

TEST_F(BypassTest, AFlowThatWasSeenEnoughStaysAwayUntilItExpires) {
  EngineRun run(lab(), options(1000));
  ASSERT_TRUE(run.start<Enough>());
  Wire b = wire(Side::b);
  send(b, kBulk, 10);
  ASSERT_TRUE(run.until(10s, [&] { return run.counter("bulk") == 10; }));
  send(b, kBulk, 100);
  send(b, kOther, 5);  // The queue keeps the order: behind those.
  ASSERT_TRUE(run.until(10s, [&] { return run.counter("other") == 5; }));
  EXPECT_EQ(run.counter("bulk"), 10);
  const auto seen = run->stats().ports.at(0).verdicts->bypass;
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->total.packets, 100u);
  EXPECT_EQ(seen->total.bytes, 100 * from_port(kBulk).size());
  EXPECT_EQ(seen->inserted, 1u);

  send(b, kEnd, 1);
  ASSERT_TRUE(run.until(20s, [&] {
    EXPECT_TRUE(b.send(from_port(kBulk)));
    return run.counter("bulk") > 10;
  })) << "it does not come back";
  EXPECT_EQ(run.counter("refused"), 0);
  const Stats stats = run.stop();
  const Counts& counts = *stats.ports.at(0).verdicts;
  ASSERT_TRUE(counts.bypass);
  EXPECT_EQ(counts.verdicts.dropped.packets, counts.bypass->total.packets);
  EXPECT_EQ(counts.verdicts.steered.packets,
            sum(stats, &QueueStats::rx_packets));
}

TEST_F(BypassTest, WithoutATableTheHandlerIsToldAndSeesAll) {
  EngineRun run(lab(), options(0));
  ASSERT_TRUE(run.start<Enough>());
  Wire b = wire(Side::b);
  send(b, kBulk, 30);
  ASSERT_TRUE(run.until(10s, [&] { return run.counter("bulk") == 30; }));
  EXPECT_EQ(run.counter("refused"), 1);
  EXPECT_FALSE(run->stats().ports.at(0).verdicts->bypass);
  run.stop();
}

TEST_F(BypassTest, TheProgramTakesTheFlagAndPrintsNothingOfATableNotUsed) {
  Running running = run({"--bypass-flows", "1000", "--steer", "udp"});
  ASSERT_TRUE(running.up());
  const Json ended = running.stop();
  EXPECT_FALSE(ended.at("ports").at(0).contains("bypass"));
  Process large = sluice_run({"--bypass-flows", "16777217", "--steer", "udp"});
  EXPECT_NE(large.wait(10s), 0);
  EXPECT_NE(large.err().find("16777216"), std::string::npos) << large.err();
}

TEST_F(BypassTest, AnAttachedProgramHasTheTableItWasAttachedWith) {
  const auto done = [&](Words words) {
    return sluice(std::move(words)).wait(20s) == 0;
  };
  const Words run_it = {"--bypass-flows", "10"};
  ASSERT_TRUE(done({"attach", mine().interface}));
  Process without = sluice_run(run_it);
  EXPECT_NE(without.wait(20s), 0);
  EXPECT_NE(without.err().find("no table"), std::string::npos) << without.err();
  ASSERT_TRUE(done({"detach", mine().interface}));

  ASSERT_TRUE(done({"attach", mine().interface, "--bypass-flows", "100"}));
  Running running = run(run_it);
  EXPECT_TRUE(running.up());
  running.stop();
  EXPECT_TRUE(done({"detach", mine().interface}));
}

}  // namespace
}  // namespace sluice::testing
