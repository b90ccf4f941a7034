// SPDX-License-Identifier: Apache-2.0
// Flows that the XDP program deals with before the rules, run by the kernel on
// crafted packets. The table's own logic is judged in unit/bypass_test.cpp.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <sluice/bypass.hpp>
#include <sluice/testing/frame.hpp>

#include "program_test.hpp"

namespace {

using namespace std::chrono_literals;
using sluice::Action;
using sluice::BypassTable;
using sluice::Count;
using sluice::Counts;
using sluice::FlowKey;
using sluice::monotonic_now;
using sluice::Program;
using sluice::ProgramOptions;
using sluice::Rules;
using sluice::testing::Bytes;
using sluice::testing::Frame;
using sluice::testing::udp_to;

FlowKey flow_of(Bytes packet) { return sluice::parse(packet).flow(); }

Frame ip() { return Frame().eth().ipv4("192.0.2.9", "192.0.2.1"); }
Frame ip6() { return Frame().eth().ipv6("2001:db8::9", "2001:db8::1"); }

class BypassTest : public sluice::testing::ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_EQ(program().bypass(), nullptr) << "it was not asked for";
    ProgramOptions options;
    options.bypass_flows = 1000;
    auto loaded = Program::load(options);
    ASSERT_TRUE(loaded) << loaded.error().message();
    program() = std::move(*loaded);
    ASSERT_NE(program().bypass(), nullptr);
  }
  BypassTable& table() { return *program().bypass(); }
  Action verdict(const Bytes& packet) {
    const auto action = program().run_on(packet);
    EXPECT_TRUE(action) << action.error().message();
    return action ? *action : Action::steer;
  }
  Counts counts() {
    const auto counts = program().counts();
    EXPECT_TRUE(counts) << counts.error().message();
    return counts ? *counts : Counts{};
  }
  void bypass(const Bytes& packet, Action action) {
    ASSERT_TRUE(
        table().insert(flow_of(packet), action, 3600s, monotonic_now()));
  }
};

TEST_F(BypassTest, EveryKindOfFlowIsFoundAndNoOther) {
  struct Case {
    const char* name;
    Bytes flow;
    std::vector<Bytes> others;
  };
  const Case cases[] = {
      {"udp",
       udp_to(53),
       {udp_to(54), ip().udp(4001, 53), ip().tcp(4000, 53),
        Frame().eth().ipv4("192.0.2.1", "192.0.2.9").udp(53, 4000),
        Frame().eth().ipv4("192.0.2.8", "192.0.2.1").udp(4000, 53),
        Frame().eth().ipv4("192.0.2.9", "192.0.2.2").udp(4000, 53)}},
      {"tcp", ip().tcp(1, 2), {ip().tcp(2, 1), ip6().tcp(1, 2)}},
      {"udp over ip6",
       ip6().udp(1, 2),
       {ip6().udp(1, 3), ip6().tcp(1, 2),
        Frame().eth().ipv6("2001:db8::9", "2001:db9::1").udp(1, 2),
        Frame().eth().ipv6("2001:db8::8", "2001:db8::1").udp(1, 2)}},
      {"icmp", ip().icmp(8), {ip6().icmp6(128), ip().protocol(47)}},
      {"icmp6", ip6().icmp6(128), {ip().icmp(8)}},
      {"sctp has no ports here", ip().sctp(1, 2), {ip().protocol(133)}},
      {"gre", ip().protocol(47).payload(20), {ip().protocol(46).payload(20)}},
      {"options",
       Frame()
           .eth()
           .ipv4("192.0.2.77", "192.0.2.1", {.option_words = 3})
           .udp(1, 2),
       {Frame().eth().ipv4("192.0.2.77", "192.0.2.1").udp(1, 3)}},
  };
  for (const auto& [name, flow, others] : cases) {
    bypass(flow, Action::drop);
    EXPECT_EQ(verdict(flow), Action::drop) << name;
    for (std::size_t i = 0; i < others.size(); ++i) {
      EXPECT_EQ(verdict(others[i]), Action::pass) << name << ", other " << i;
    }
    ASSERT_TRUE(
        table().insert(flow_of(flow), Action::drop, 0s, monotonic_now()));
  }
}

TEST_F(BypassTest, EachActionComesBeforeTheRules) {
  use("drop udp and dst port 1\npass udp and dst port 2\ndefault drop");
  bypass(udp_to(1), Action::reflect);
  bypass(udp_to(2), Action::drop);
  bypass(udp_to(3), Action::pass);
  EXPECT_EQ(verdict(udp_to(1)), Action::reflect);
  EXPECT_EQ(verdict(udp_to(2)), Action::drop);
  EXPECT_EQ(verdict(udp_to(3)), Action::pass);
  EXPECT_EQ(verdict(udp_to(4)), Action::drop);
}

TEST_F(BypassTest, PacketsAndBytesAreCounted) {
  EXPECT_FALSE(counts().bypass) << "nobody used it";
  use("drop udp");
  const std::uint64_t size = udp_to(1).size();
  bypass(udp_to(1), Action::pass);
  bypass(udp_to(2), Action::reflect);
  for (int i = 0; i < 3; ++i) verdict(udp_to(1));
  for (int i = 0; i < 4; ++i) verdict(udp_to(2));
  for (int i = 0; i < 5; ++i) verdict(udp_to(3));
  const Counts seen = counts();
  EXPECT_EQ(seen.verdicts.passed.packets, 3u);
  EXPECT_EQ(seen.verdicts.reflected.packets, 4u);
  EXPECT_EQ(seen.verdicts.dropped.packets, 5u);
  EXPECT_EQ(seen.rules.at(0).packets, 5u) << "of the others alone";
  EXPECT_EQ(seen.unmatched.packets, 0u);
  ASSERT_TRUE(seen.bypass);
  EXPECT_EQ(seen.bypass->total.packets, 7u);
  EXPECT_EQ(seen.bypass->total.bytes, 7 * size);
  EXPECT_EQ(seen.bypass->inserted, 2u);
  EXPECT_EQ(seen.bypass->evicted, 0u);
  const auto flow = table().count(flow_of(udp_to(1)));
  ASSERT_TRUE(flow);
  EXPECT_EQ(flow->packets, 3u);
  EXPECT_EQ(flow->bytes, 3 * size);
}

TEST_F(BypassTest, AFlowWhoseTimeIsOverIsAskedAboutAgain) {
  const FlowKey flow = flow_of(udp_to(1));
  const sluice::Time now = monotonic_now();
  ASSERT_TRUE(table().insert(flow, Action::drop, 3600s, now));
  EXPECT_EQ(verdict(udp_to(1)), Action::drop);
  const sluice::Time before{now.ns - 2'000'000'000};
  ASSERT_TRUE(table().insert(flow, Action::drop, 1s, before));
  EXPECT_EQ(verdict(udp_to(1)), Action::pass);
  ASSERT_TRUE(table().insert(flow, Action::drop, 1s, now));
  while (verdict(udp_to(1)) == Action::drop) {
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_GE(monotonic_now() - now, 1s - 10ms) << "not before its time";
}

TEST_F(BypassTest, ZeroSecondsTakeItBack) {
  bypass(udp_to(1), Action::drop);
  ASSERT_TRUE(
      table().insert(flow_of(udp_to(1)), Action::drop, 0s, monotonic_now()));
  EXPECT_EQ(verdict(udp_to(1)), Action::pass);
}

TEST_F(BypassTest, FragmentsTagsAndExtensionsAreLeftToTheRules) {
  const auto part = [](std::uint16_t offset, bool more) -> Bytes {
    return Frame()
        .eth()
        .ipv4("192.0.2.9", "192.0.2.1",
              {.more_fragments = more, .fragment_offset = offset})
        .udp(4000, 53)
        .payload(10);
  };
  bypass(udp_to(53), Action::drop);
  EXPECT_EQ(verdict(udp_to(53)), Action::drop);
  EXPECT_EQ(verdict(part(0, true)), Action::pass);
  EXPECT_EQ(verdict(part(3, false)), Action::pass);
  EXPECT_EQ(verdict(Frame()
                        .eth()
                        .vlan(7)
                        .ipv4("192.0.2.9", "192.0.2.1")
                        .udp(4000, 53)
                        .payload(10)),
            Action::pass);
  bypass(ip6().udp(4000, 53), Action::drop);
  EXPECT_EQ(verdict(ip6().fragment6(0, true).udp(4000, 53)), Action::pass);
  EXPECT_EQ(verdict(ip6().fragment6(0, false).udp(4000, 53)), Action::pass);
  EXPECT_EQ(verdict(ip6().extension(0).udp(4000, 53)), Action::pass);
}

TEST_F(BypassTest, AFullTableEvictsAndCountsIt) {
  std::uint64_t found = 0;
  constexpr std::uint16_t kFlows = 4000;
  for (std::uint16_t i = 0; i < kFlows; ++i) bypass(udp_to(i), Action::drop);
  for (std::uint16_t i = 0; i < kFlows; ++i) {
    found += verdict(udp_to(i)) == Action::drop ? 1U : 0U;
  }
  const Counts seen = counts();
  ASSERT_TRUE(seen.bypass);
  EXPECT_EQ(seen.bypass->inserted, kFlows);
  EXPECT_GT(seen.bypass->evicted, 2000u);
  EXPECT_EQ(found, kFlows - seen.bypass->evicted);
  EXPECT_EQ(seen.bypass->total.packets, found);
}

TEST_F(BypassTest, AMillionFlowsFit) {
  constexpr std::uint32_t kFlows = 1'000'000;
  ProgramOptions options;
  options.bypass_flows = kFlows;
  auto large = Program::load(options);
  ASSERT_TRUE(large) << large.error().message();
  const auto flow = [](std::uint32_t i) {
    const std::string from = "10." + std::to_string(i >> 16) + "." +
                             std::to_string(i >> 8 & 255) + "." +
                             std::to_string(i & 255);
    return Bytes(Frame().eth().ipv4(from, "192.0.2.1").udp(4000, 53));
  };
  const sluice::Time now = monotonic_now();
  FlowKey key = flow_of(flow(0));
  for (std::uint32_t i = 0; i < kFlows; ++i) {
    for (std::size_t b = 0; b < 3; ++b) {
      key.source.bytes[15 - b] = static_cast<std::uint8_t>(i >> 8 * b);
    }
    ASSERT_TRUE(large->bypass()->insert(key, Action::drop, 3600s, now));
  }
  EXPECT_EQ(large->bypass()->inserted(), kFlows);
  EXPECT_LT(large->bypass()->evicted(), kFlows / 200);
  std::uint32_t found = 0;
  constexpr std::uint32_t kSteps = 1009;
  for (std::uint32_t i = 0; i < kFlows; i += kSteps) {
    found += *large->run_on(flow(i)) == Action::drop ? 1U : 0U;
  }
  EXPECT_GT(found, kFlows / kSteps * 97 / 100);
}

// One thread has the flow dropped and passed by turns, others fill its bucket.
// Whatever the program reads meanwhile, it is never another flow's action.
TEST_F(BypassTest, NoPacketSeesHalfAnEntry) {
  ProgramOptions options;
  options.bypass_flows = 1;  // One bucket.
  auto small = Program::load(options);
  ASSERT_TRUE(small) << small.error().message();
  const auto rules = Rules::parse("default drop");
  ASSERT_TRUE(small->set_rules(*rules));
  std::vector<std::jthread> writers;
  for (int w = 0; w < 2; ++w) {
    writers.emplace_back([&, w](const std::stop_token& stop) {
      std::uint16_t port = 0;
      while (!stop.stop_requested()) {
        port = static_cast<std::uint16_t>((port + 1) % 64);
        (void)small->bypass()->insert(
            flow_of(ip().udp(static_cast<std::uint16_t>(w), port)),
            port % 2 == 0 ? Action::pass : Action::drop, 3600s,
            monotonic_now());
      }
    });
  }
  const Bytes dropped = ip().udp(0, 33);
  std::uint64_t passed = 0;
  for (int i = 0; i < 50'000; ++i) {
    passed += *small->run_on(dropped) == Action::drop ? 0U : 1U;
  }
  EXPECT_EQ(passed, 0u);
}

TEST_F(BypassTest, TooLargeATableIsRefused) {
  ProgramOptions options;
  options.bypass_flows = BypassTable::kFlowsMax + 1;
  const auto refused = Program::load(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EINVAL);
}

}  // namespace
