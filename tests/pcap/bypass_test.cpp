// SPDX-License-Identifier: Apache-2.0
// Core::bypass() over captures, by the file's clock.
#include <gtest/gtest.h>

#include <chrono>
#include <sluice/testing/replay.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

// Says of the first packet's flow what is to be done with those that follow.
struct Once {
  struct Config {
    Action action = Action::drop;
    std::chrono::seconds time{10};
  };
  Once(const Config& config, Core& core)
      : config_(config), refused_(core.counter("refused")) {}
  void operator()(Packet packet, Core& core) noexcept {
    if (std::exchange(done_, true)) return;
    const FlowKey flow = parse(packet).flow();
    if (!core.bypass(flow, config_.action, config_.time)) ++refused_;
  }
  Config config_;
  Counter& refused_;
  bool done_ = false;
};

Frame from(const std::string& source) {
  return Frame().eth().ipv4(source, "192.0.2.2").udp(1, 7);
}

Result<Replayed> run(std::vector<Arrival> packets, const Once::Config& config,
                     std::uint32_t flows = 100) {
  PcapOptions options;
  options.bypass_flows = flows;
  return replay<Once>(std::move(packets), config, options);
}

TEST(Bypass, AFlowIsNotSeenUntilItsTimeIsOver) {
  const Frame a = from("192.0.2.1");
  const auto replayed =
      run({{a, 0s}, {a, 1s}, {from("192.0.2.3"), 2s}, {a, 9s}, {a, 11s}}, {});
  ASSERT_TRUE(replayed) << replayed.error().message();
  EXPECT_EQ(replayed->received, 3u);
  EXPECT_EQ(replayed->counter("refused"), 0);
  const Counts& counts = *replayed->stats.ports.at(0).verdicts;
  EXPECT_EQ(counts.verdicts.dropped.packets, 2u);
  EXPECT_EQ(counts.verdicts.steered.packets, 3u);
  ASSERT_TRUE(counts.bypass);
  EXPECT_EQ(counts.bypass->total.packets, 2u);
  EXPECT_EQ(counts.bypass->total.bytes, 2 * a.bytes().size());
  EXPECT_EQ(counts.bypass->inserted, 1u);
  EXPECT_EQ(counts.bypass->evicted, 0u);
}

TEST(Bypass, WhatIsReflectedOrPassedIsSo) {
  const Frame a = from("192.0.2.1");
  const auto reflected = run({{a, 0s}, {a, 1s}}, {Action::reflect, 10s});
  ASSERT_TRUE(reflected);
  ASSERT_EQ(reflected->sent.size(), 1u);
  EXPECT_EQ(reflected->sent[0].bytes, Frame()
                                          .eth(kMacB, kMacA)
                                          .ipv4("192.0.2.2", "192.0.2.1")
                                          .udp(7, 1)
                                          .bytes());
  const auto passed = run({{a, 0s}, {a, 1s}}, {Action::pass, 10s});
  ASSERT_TRUE(passed);
  EXPECT_EQ(passed->received, 1u);
  EXPECT_EQ(passed->stats.ports.at(0).verdicts->verdicts.passed.packets, 1u);
}

TEST(Bypass, FragmentsTagsAndExtensionsComeAllTheSame) {
  const auto replayed =
      run({{from("192.0.2.1"), 0s},
           {Frame().eth().vlan(7).ipv4("192.0.2.1", "192.0.2.2").udp(1, 7), 1s},
           {Frame()
                .eth()
                .ipv4("192.0.2.1", "192.0.2.2", {.more_fragments = true})
                .udp(1, 7),
            1s}},
          {});
  ASSERT_TRUE(replayed);
  EXPECT_EQ(replayed->received, 3u);
  const Frame ip6 = Frame().eth().ipv6("fe80::1", "fe80::2");
  const auto other = run({{Frame(ip6).udp(1, 7), 0s},
                          {Frame(ip6).udp(1, 7), 1s},
                          {Frame(ip6).extension(0).udp(1, 7), 1s}},
                         {});
  ASSERT_TRUE(other);
  EXPECT_EQ(other->received, 2u);
}

TEST(Bypass, WithoutATableItSaysNo) {
  const Frame a = from("192.0.2.1");
  const auto replayed = run({{a, 0s}, {a, 1s}}, {}, 0);
  ASSERT_TRUE(replayed);
  EXPECT_EQ(replayed->received, 2u);
  EXPECT_EQ(replayed->counter("refused"), 1);
  EXPECT_FALSE(replayed->stats.ports.at(0).verdicts->bypass);
  const auto steering = run({{a, 0s}, {a, 1s}}, {Action::steer, 10s});
  ASSERT_TRUE(steering);
  EXPECT_EQ(steering->counter("refused"), 1);
}

TEST(Bypass, TooLargeATableIsRefused) {
  EXPECT_FALSE(run({{from("192.0.2.1"), 0s}}, {}, BypassTable::kFlowsMax + 1));
}

}  // namespace
}  // namespace sluice::testing
