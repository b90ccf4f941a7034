// SPDX-License-Identifier: Apache-2.0
// Whole lists: the XDP program decides and counts as the reference does,
// whatever the rules are laid out as.
//
// SLUICE_TEST_SEED=N repeats a run.
#include <bpf/bpf.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <sluice/sys.hpp>
#include <string>
#include <thread>
#include <vector>

#include "program_run.hpp"
#include "program_test.hpp"
#include "random_packet.hpp"
#include "random_rules.hpp"

namespace {

using sluice::Action;
using sluice::Counts;
using sluice::Fd;
using sluice::Rules;
using sluice::testing::after;
using sluice::testing::Bytes;
using sluice::testing::chosen_seed;
using sluice::testing::Dice;
using sluice::testing::Frame;
using sluice::testing::kRunOnMin;
using sluice::testing::RandomRules;

class ListTest : public sluice::testing::ProgramTest {
 protected:
  // Without a socket, what is steered passes, or what `else` says.
  void expect_decision(const Rules& rules, const Bytes& packet) {
    const auto decision = rules.decide(packet);
    const Action expected =
        decision.action == Action::steer ? decision.otherwise : decision.action;
    const auto action = program().run_on(packet);
    ASSERT_TRUE(action) << action.error().message();
    EXPECT_EQ(*action, expected)
        << sluice::testing::hex(packet) << "\n"
        << (decision.rule ? rules[*decision.rule].text() : "default") << "\n"
        << (rules.size() < 40 ? rules.text() : "");
  }
  Counts counts() {
    const auto counts = program().counts();
    EXPECT_TRUE(counts) << counts.error().message();
    return counts ? *counts : Counts{};
  }
};

std::string random_list(Dice& dice, std::size_t most) {
  constexpr std::array kActions = {"pass",    "drop",  "drop",  "steer",
                                   "reflect", "count", "mirror"};
  RandomRules draw(dice);
  std::string text = sluice::testing::kRandomSets;
  if (!dice.one_in(4)) text += "fragments match\n";
  for (std::size_t i = 1 + dice.below(most); i > 0; --i) {
    const std::string action = dice.of(kActions);
    text += action + " " + draw.expression(2).text(false);
    text += action == "steer" && dice.one_in(2) ? " else drop\n" : "\n";
  }
  return text + "default " + (dice.one_in(2) ? "pass\n" : "drop\n");
}

TEST_F(ListTest, DecidesAndCountsAsTheReferenceDoes) {
  Dice dice(chosen_seed());
  std::size_t pairs = 0;
  for (int list = 0; list < 150 && !HasFailure(); ++list) {
    const auto rules = Rules::parse(random_list(dice, 20));
    ASSERT_TRUE(rules) << rules.error().message();
    use("default pass");  // Nothing is carried over.
    ASSERT_TRUE(program().set_rules(*rules)) << rules->text();
    std::vector<std::uint64_t> expected(rules->size());
    std::uint64_t fragments = 0;
    const std::uint64_t before = counts().fragments.packets;
    for (int i = 0; i < 700 && !HasFailure(); ++i) {
      const Bytes packet = sluice::testing::random_packet(dice);
      if (packet.size() < kRunOnMin) continue;
      expect_decision(*rules, packet);
      const auto decision = rules->decide(packet);
      if (decision.rule) ++expected[*decision.rule];
      fragments += decision.fragment;
      for (const std::size_t rule : rules->noted(packet, decision))
        ++expected[rule];
      pairs += rules->size();
    }
    const Counts counted = counts();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(counted.rules[i].packets, expected[i])
          << (*rules)[i].text() << "\n"
          << rules->text();
    }
    EXPECT_EQ(counted.fragments.packets - before, fragments);
  }
  EXPECT_GT(pairs, 500'000u);
  std::cout << pairs << " pairs of rule and packet\n";
}

// A host of a small world, so that rules and packets meet.
std::string host4(Dice& dice) {
  return "10.0." + std::to_string(dice.below(8)) + "." +
         std::to_string(dice.below(40));
}
std::string host6(Dice& dice) {
  return "2001:db8:0:" + std::to_string(dice.below(8)) +
         "::" + std::to_string(dice.below(40));
}

// One rule of a shape that many others have.
std::string exact_rule(Dice& dice) {
  constexpr std::array kActions = {"drop ", "pass ", "reflect "};
  const bool four = !dice.one_in(3);
  const auto host = [&] { return four ? host4(dice) : host6(dice); };
  const auto port = [&] { return std::to_string(dice.below(20)); };
  std::string text = dice.of(kActions);
  switch (dice.below(5)) {
    case 0:
      return text + (dice.one_in(2) ? "tcp" : "udp") + " and src host " +
             host() + " and dst host " + host() + " and src port " + port() +
             " and dst port " + port();
    case 1:
      return text + "udp and dst host " + host() + " and dst port " + port();
    case 2:
      return text + "src host " + host();
    case 3:
      if (!four) {
        return text + "src net 2001:db8:0:" + std::to_string(dice.below(9)) +
               "::/64";
      }
      return text + "dst net 10.0." + std::to_string(dice.below(9)) + ".0/24";
    default:
      return text + "tcp src port " + port() + " and tcp dst port " + port();
  }
}

Bytes small_world_packet(Dice& dice) {
  Frame frame;
  frame.eth();
  if (dice.one_in(3)) {
    frame.ipv6(host6(dice).c_str(), host6(dice).c_str());
  } else {
    frame.ipv4(host4(dice).c_str(), host4(dice).c_str());
  }
  const auto port = [&] { return static_cast<std::uint16_t>(dice.below(22)); };
  if (dice.one_in(2)) {
    frame.tcp(port(), port());
  } else {
    frame.udp(port(), port());
  }
  return frame.payload(dice.below(40)).bytes();
}

// One that no table takes: its ports are a range.
std::string wide_rule(Dice& dice) {
  constexpr std::array kActions = {"drop ", "pass ", "reflect "};
  std::string text = dice.one_in(40) ? "count " : dice.of(kActions);
  text += dice.one_in(2) ? "tcp" : "udp";
  if (!dice.one_in(3)) text += " and src host " + host4(dice);
  if (!dice.one_in(3)) text += " and dst host " + host4(dice);
  const std::size_t low = dice.below(20);
  return text + " and dst portrange " + std::to_string(low) + "-" +
         std::to_string(low + 1 + dice.below(3)) + "\n";
}

// Lists of one word, of several, and of several banks.
TEST_F(ListTest, WordsAndBanksAgreeOnTheFirstMatch) {
  Dice dice(chosen_seed());
  for (const std::size_t size : {60u, 500u, 9000u}) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += wide_rule(dice);
    use("default pass");
    const auto rules = Rules::parse(text);
    ASSERT_TRUE(rules) << rules.error().message();
    const auto done = program().set_rules(*rules);
    ASSERT_TRUE(done) << done.error().message();
    std::vector<std::uint64_t> expected(size);
    std::size_t matched = 0;
    for (int i = 0; i < 1000 && !HasFailure(); ++i) {
      const Bytes packet = small_world_packet(dice);
      expect_decision(*rules, packet);
      const auto decision = rules->decide(packet);
      if (decision.rule) ++expected[*decision.rule], ++matched;
      for (const std::size_t rule : rules->noted(packet, decision))
        ++expected[rule];
    }
    EXPECT_GT(matched, 100u);
    const Counts counted = counts();
    for (std::size_t i = 0; i < size; ++i) {
      EXPECT_EQ(counted.rules[i].packets, expected[i]) << (*rules)[i].text();
    }
  }
}

TEST_F(ListTest, TablesAndBitVectorsAgreeOnTheFirstMatch) {
  Dice dice(chosen_seed());
  for (const std::size_t size : {100u, 1500u, 4000u}) {
    std::string text;
    RandomRules draw(dice);
    for (std::size_t i = 0; i < size; ++i) {
      text += exact_rule(dice) + "\n";
      if (dice.one_in(100)) {
        text += "pass vlan 7 and " + draw.primitive().text(false) + "\n";
      }
    }
    const auto rules = Rules::parse(sluice::testing::kRandomSets + text);
    ASSERT_TRUE(rules) << rules.error().message();
    const auto done = program().set_rules(*rules);
    ASSERT_TRUE(done) << done.error().message();
    std::size_t matched = 0;
    for (int i = 0; i < 3000 && !HasFailure(); ++i) {
      const Bytes packet = small_world_packet(dice);
      matched += rules->decide(packet).rule.has_value();
      expect_decision(*rules, packet);
    }
    EXPECT_GT(matched, 300u);
  }
}

TEST_F(ListTest, ALabelKeepsItsCountWhateverBecomesOfItsRule) {
  const Bytes packet =
      Frame().eth().ipv4("10.0.0.1", "10.0.0.2").udp(5, 53).payload(30);
  const std::string flow =
      "drop @it udp and src host 10.0.0.1 and dst host 10.0.0.2 and src port 5 "
      "and dst port 53\n";
  std::string many;  // Enough to be a table of flows.
  for (int i = 0; i < 100; ++i) {
    many +=
        "pass udp and src host 10.0.0.1 and dst host 10.0.0.2 and src port "
        "6 and dst port " +
        std::to_string(i) + "\n";
  }
  use(flow);
  ASSERT_TRUE(program().run_on(packet));
  const auto first = counts().rules[0];
  EXPECT_EQ(first.packets, 1u);
  EXPECT_GT(first.last_hit, 0u);
  use(many + flow);
  EXPECT_EQ(counts().rules[100].packets, 1u);
  ASSERT_TRUE(program().run_on(packet));
  ASSERT_TRUE(program().run_on(packet));
  EXPECT_EQ(counts().rules[100].packets, 3u);
  EXPECT_EQ(counts().rules[100].bytes, 3 * packet.size());
  EXPECT_GT(counts().rules[100].last_hit, 0u);
  use("count @it udp\n" + many);
  ASSERT_TRUE(program().run_on(packet));
  EXPECT_EQ(counts().rules[0].packets, 4u);
  use("pass tcp\ndrop udp\n");
  use("drop @it udp\n");
  EXPECT_EQ(counts().rules[0].packets, 0u);
}

TEST_F(ListTest, FlowsCountInTheirEntriesWhereCountersAreDear) {
  sluice::ProgramOptions options;
  options.counters_max = 0;
  auto program = sluice::Program::load(options);
  ASSERT_TRUE(program) << program.error().message();
  std::string text;
  for (int i = 0; i < 100; ++i) {
    text +=
        "drop udp and src host 10.0.0.1 and dst host 10.0.0.2 and src port "
        "5 and dst port " +
        std::to_string(i) + "\n";
  }
  const Bytes packet =
      Frame().eth().ipv4("10.0.0.1", "10.0.0.2").udp(5, 53).payload(30);
  for (const std::string& list : {text, "pass tcp\n" + text, text}) {
    ASSERT_TRUE(program->set_rules(*Rules::parse(list)));
    EXPECT_EQ(*program->run_on(packet), Action::drop);
  }
  const auto counted = program->counts();
  ASSERT_TRUE(counted);
  EXPECT_EQ(counted->rules[53].packets, 3u);
  EXPECT_EQ(counted->rules[53].bytes, 3 * packet.size());
  EXPECT_GT(counted->rules[53].last_hit, 0u);
  EXPECT_EQ(counted->rules[54].packets, 0u);
}

TEST_F(ListTest, ReflectionSwapsBothSidesAndNothingElse) {
  use("fragments match\nreflect all\n");
  Dice dice(chosen_seed());
  for (int i = 0; i < 2000 && !HasFailure(); ++i) {
    const Bytes packet = sluice::testing::whole_packet(dice);
    const Bytes turned = after(program(), packet);
    // Twice is the packet again, and once another order of the same bytes.
    EXPECT_EQ(after(program(), turned), packet) << sluice::testing::hex(packet);
    Bytes a = packet;
    Bytes b = turned;
    std::ranges::sort(a);
    std::ranges::sort(b);
    EXPECT_EQ(a, b);
  }
  const auto there = [](Frame frame) {
    return frame.ipv4("10.0.0.1", "10.0.0.2").udp(5, 53).payload(30).bytes();
  };
  const Bytes back = Frame()
                         .eth(sluice::testing::kMacB, sluice::testing::kMacA)
                         .vlan(7)
                         .ipv4("10.0.0.2", "10.0.0.1")
                         .udp(53, 5)
                         .payload(30);
  EXPECT_EQ(after(program(),
                  there(Frame()
                            .eth(sluice::testing::kMacA, sluice::testing::kMacB)
                            .vlan(7))),
            back);
  EXPECT_EQ(counts().verdicts.reflected.packets, 4001u);
}

// Many rules count the packet one after another, which takes long enough for
// many a switch to come in the middle: the list must stay until the last of
// them has counted.
TEST_F(ListTest, ASwitchWaitsForWhoReadsTheOldList) {
  std::string text;
  for (int i = 0; i < 500; ++i) {
    text += "count @n" + std::to_string(i) + " udp\n";
  }
  const std::array lists = {*Rules::parse(text + "drop @end udp\n"),
                            *Rules::parse(text + "drop @end dst port 53\n")};
  ASSERT_TRUE(program().set_rules(lists[1]));
  const Bytes packet =
      Frame().eth().ipv4("10.0.0.1", "10.0.0.2").udp(5, 53).payload(32);
  const Fd fd(bpf_prog_get_fd_by_id(program().id()));
  constexpr int kRepeat = 10'000;
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = packet.data();
  options.data_size_in = static_cast<__u32>(packet.size());
  options.repeat = kRepeat;
  std::atomic<bool> done = false;
  std::uint64_t runs = 0;
  std::thread runner([&] {
    for (; !done; runs += kRepeat) {
      EXPECT_EQ(bpf_prog_test_run_opts(fd.get(), &options), 0);
    }
  });
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_TRUE(program().set_rules(lists[i % 2]));
  }
  done = true;
  runner.join();
  for (const auto& counted : counts().rules) EXPECT_EQ(counted.packets, runs);
}

TEST_F(ListTest, FragmentsStayTogetherUnlessTheListSaysOtherwise) {
  const Bytes first =
      Frame()
          .eth()
          .ipv4("10.0.0.1", "10.0.0.2", {.more_fragments = true})
          .udp(5, 53)
          .payload(32);
  use("drop udp\n");
  EXPECT_EQ(*program().run_on(first), Action::pass);
  EXPECT_EQ(counts().fragments.packets, 1u);
  EXPECT_EQ(counts().rules[0].packets, 0u);
  use("fragments match\ndrop udp\n");
  EXPECT_EQ(*program().run_on(first), Action::drop);
  EXPECT_EQ(counts().fragments.packets, 1u);
}

}  // namespace
