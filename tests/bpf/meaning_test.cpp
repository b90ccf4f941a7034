// SPDX-License-Identifier: Apache-2.0
// What the XDP program makes of an expression: libpcap is the judge, as it is
// of evaluate() in tests/pcap.
//
// SLUICE_TEST_SEED=N repeats a run.
#include <cerrno>
#include <string>
#include <vector>

#include "pcap_filter.hpp"
#include "program_test.hpp"
#include "random_packet.hpp"
#include "random_rules.hpp"
#include "shrink.hpp"

namespace {

using sluice::Action;
using sluice::Rules;
using sluice::testing::Bytes;
using sluice::testing::chosen_seed;
using sluice::testing::Dice;
using sluice::testing::kRunOnMin;
using sluice::testing::PcapFilter;
using sluice::testing::RandomExpression;
using sluice::testing::RandomRules;
using sluice::testing::shrunk;

class ProgramMeaningTest : public sluice::testing::ProgramTest {
 protected:
  // False, too, where it comes to more combinations than one rule may have.
  bool use(const RandomExpression& expression) {
    const auto rules =
        Rules::parse(std::string(sluice::testing::kRandomSets) +
                     "fragments match\ndrop " + expression.text(false));
    EXPECT_TRUE(rules) << expression.text(false);
    if (!rules) return false;
    const auto set = program().set_rules(*rules);
    EXPECT_TRUE(set || set.error().code == E2BIG) << set.error().message();
    return static_cast<bool>(set);
  }

  bool disagree(const RandomExpression& expression, const Bytes& packet) {
    const PcapFilter filter(expression.text(true));
    if (packet.size() < kRunOnMin || !filter.valid()) return false;
    return use(expression) && differs(filter, packet);
  }

  // REQUIRES: the program has the expression.
  bool differs(const PcapFilter& filter, const Bytes& packet) {
    const auto action = program().run_on(packet);
    return !action || (*action == Action::drop) != filter.matches(packet);
  }

  void judge(const RandomExpression& expression,
             const std::vector<Bytes>& packets) {
    const PcapFilter filter(expression.text(true));
    ASSERT_TRUE(filter.valid()) << filter.error();
    if (!use(expression)) return;
    ++judged_;
    for (const Bytes& packet : packets) {
      if (packet.size() < kRunOnMin || !differs(filter, packet)) continue;
      const auto small = shrunk({expression, packet},
                                [this](const auto& less, const Bytes& bytes) {
                                  return disagree(less, bytes);
                                });
      FAIL() << small.text();
    }
  }

  int judged_ = 0;
};

TEST_F(ProgramMeaningTest, ProgramMeansWhatLibpcapMeans) {
  Dice dice(chosen_seed());
  RandomRules draw(dice);
  for (int i = 0; i < 300 && !HasFailure(); ++i) {
    std::vector<Bytes> packets;
    while (packets.size() < 600) packets.push_back(random_packet(dice));
    judge(dice.one_in(3) ? draw.primitive() : draw.expression(), packets);
  }
  EXPECT_GT(judged_, 280);
}

// At every length: a byte that is not there is not made up.
TEST_F(ProgramMeaningTest, TruncationAtEveryLengthMeansTheSame) {
  Dice dice(chosen_seed());
  RandomRules draw(dice);
  for (int i = 0; i < 300 && !HasFailure(); ++i) {
    std::vector<Bytes> cut = {whole_packet(dice)};
    while (!cut.back().empty()) {
      cut.emplace_back(cut.back().begin(), cut.back().end() - 1);
    }
    judge(dice.one_in(2) ? draw.primitive() : draw.expression(), cut);
  }
  EXPECT_GT(judged_, 280);
}

}  // namespace
