// SPDX-License-Identifier: Apache-2.0
// Why a list does what it does.
#include <algorithm>

#include <sluice/rules.hpp>

namespace sluice {
namespace {

using Bytes = std::span<const std::byte>;

void collect(const Expression& expression, Bytes packet,
             std::vector<const Primitive*>& found) {
  const bool all = expression.kind == Expression::Kind::conjunction;
  switch (expression.kind) {
    case Expression::Kind::all:
      return;
    case Expression::Kind::primitive:
      found.push_back(&expression.primitive);
      return;
    case Expression::Kind::negation:
      return collect(expression.operands.front(), packet, found);
    case Expression::Kind::conjunction:
    case Expression::Kind::disjunction:
      break;
  }
  // The one that ended it, or if none did, all of them.
  for (const Expression& operand : expression.operands) {
    if (evaluate(operand, packet) != (all ? Truth::yes : Truth::no)) {
      return collect(operand, packet, found);
    }
  }
  for (const Expression& operand : expression.operands) {
    collect(operand, packet, found);
  }
}

std::string reason_of(const Expression& expression, Bytes packet) {
  constexpr std::size_t kShown = 4;
  const auto primitives = reasons(expression, packet);
  std::string text;
  for (std::size_t i = 0; i < std::min(primitives.size(), kShown); ++i) {
    text += (i == 0 ? "" : "; ") + text_of(*primitives[i]) + ": " +
            value_of(*primitives[i], packet);
  }
  if (primitives.size() > kShown) {
    text += "; and " + std::to_string(primitives.size() - kShown) + " more";
  }
  return text.empty() ? "every packet" : text;
}

const char* word_of(Truth truth) {
  switch (truth) {
    case Truth::yes:
      return "matches";
    case Truth::no:
      return "misses";
    case Truth::unseen:
      return "can't see";
  }
  return "?";
}

}  // namespace

std::vector<const Primitive*> reasons(const Expression& expression,
                                      Bytes packet) {
  std::vector<const Primitive*> found;
  collect(expression, packet, found);
  return found;
}

Explanation explain(const Rules& rules, Bytes packet) {
  Explanation explanation{rules.decide(packet), {}};
  if (explanation.decision.fragment) return explanation;
  const auto decided = explanation.decision.rule;
  const std::size_t end = decided ? *decided + 1 : rules.size();
  for (std::size_t i = 0; i < end; ++i) {
    const Expression& match = rules[i].match;
    explanation.steps.push_back(
        {i, evaluate(match, packet), reason_of(match, packet)});
  }
  return explanation;
}

std::string Explanation::text(const Rules& rules) const {
  std::string text;
  for (const Step& step : steps) {
    text += rules.place(step.rule) + ": " + rules[step.rule].text() + "\n  " +
            word_of(step.truth) + ": " + step.reason + "\n";
  }
  text += to_string(decision.action);
  if (decision.fragment) return text + ": a fragment\n";
  if (!decision.rule) return text + ": the default\n";
  return text + ": the rule above\n";
}

}  // namespace sluice
