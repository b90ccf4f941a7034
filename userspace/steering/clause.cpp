// SPDX-License-Identifier: Apache-2.0
#include "clause.hpp"

#include <algorithm>
#include <iterator>
#include <limits>

namespace sluice::steering {
namespace {

using Kind = Primitive::Kind;
using Values = PrimitivePart::Values;

AddressTerm addresses_of(const Primitive& primitive, unsigned words) {
  const auto prefixes = primitive.addresses();
  const bool is_four = primitive.kind == Kind::address4;
  if (prefixes.size() == 1 && words == 0) {
    return is_four ? AddressTerm::prefix4(prefixes[0])
                   : AddressTerm::prefix6(prefixes[0]);
  }
  AddressSet set;
  std::vector<Range<std::uint32_t>> four;
  std::vector<Range<Uint128>> six;
  for (const Prefix& prefix : prefixes) {
    const auto range = range_of(prefix, words == 0 ? 128 : 32 * words);
    if (is_four) {
      four.push_back({static_cast<std::uint32_t>(range.first >> 96),
                      static_cast<std::uint32_t>(range.last >> 96)});
    } else {
      six.push_back(range);
    }
  }
  set.four = RangeSet<std::uint32_t>(std::move(four));
  set.six = RangeSet<Uint128>(std::move(six));
  return AddressTerm(std::move(set));
}

// The values of the field that a primitive with numbers asks for. Type and
// code of ICMP are the two bytes of one field.
NumberTerm numbers_of(const Primitive& primitive) {
  std::vector<Range<std::uint32_t>> ranges;
  for (const NumberRange& range : primitive.numbers()) {
    if (primitive.kind == Kind::icmp_type ||
        primitive.kind == Kind::icmp6_type) {
      ranges.push_back({range.first * 256u, range.last * 256u + 255});
    } else if (primitive.kind == Kind::icmp_code ||
               primitive.kind == Kind::icmp6_code) {
      for (std::uint32_t type = 0; type < 65536; type += 256) {
        ranges.push_back({type + range.first, type + range.last});
      }
    } else {
      ranges.push_back({range.first, range.last});
    }
  }
  return NumberTerm(NumberTerm::Set(std::move(ranges)));
}

std::size_t field_of(const Primitive& primitive) {
  switch (primitive.kind) {
    case Kind::ether_type:
      return SLUICE_ETHER_TYPE;
    case Kind::vlan:
      return SLUICE_VLAN0 + std::size_t{primitive.depth};
    case Kind::port:
      return primitive.side == Primitive::Side::source
                 ? SLUICE_SOURCE_PORT
                 : SLUICE_DESTINATION_PORT;
    default:
      return SLUICE_DETAIL;
  }
}

// What parts_of() depends on; two that agree have the same parts.
std::vector<std::uint32_t> key_of(const Primitive& primitive) {
  std::vector<std::uint32_t> key = {static_cast<std::uint32_t>(primitive.kind),
                                    static_cast<std::uint32_t>(primitive.side),
                                    primitive.families, primitive.transports,
                                    primitive.depth};
  const bool any_vlan = primitive.numbers()[0] == NumberRange{0, 4095};
  if (primitive.kind == Kind::vlan) key.push_back(any_vlan);
  if (primitive.kind == Kind::protocol || primitive.kind == Kind::ether_type) {
    for (const NumberRange& range : primitive.numbers()) {
      key.push_back(std::uint32_t{range.first} << 16 | range.last);
    }
  }
  return key;
}

}  // namespace

ClauseCompiler::ClauseCompiler() {
  // What a default Clause names: everything.
  static_cast<void>(kinds_.add(Kinds::Set().set()));
  static_cast<void>(protos_.add(Protos::Set().set()));
}

std::optional<std::vector<Clause>> ClauseCompiler::compile(
    const Expression& expression, std::size_t most) {
  most_ = most;
  too_many_ = false;
  Answers answers = answer(expression, true);
  if (too_many_) return {};
  return std::move(answers.yes);
}

ClauseCompiler::Part ClauseCompiler::keep(const PrimitivePart& part) {
  return {kinds_.add(part.kinds), protos_.add(part.protos), part.values,
          part.words};
}

const ClauseCompiler::Parts& ClauseCompiler::parts_of(
    const Primitive& primitive) {
  const auto [found, is_new] = parts_.try_emplace(key_of(primitive));
  if (is_new) {
    const PrimitiveParts parts = steering::parts_of(primitive);
    for (const auto& part : parts.yes) found->second.yes.push_back(keep(part));
    for (const auto& part : parts.no) found->second.no.push_back(keep(part));
    for (const auto& part : parts.seen) {
      found->second.seen.push_back(keep(part));
    }
  }
  return found->second;
}

Clause ClauseCompiler::clause_of(const Primitive& primitive, const Part& part) {
  Clause clause;
  clause.kinds = part.kinds;
  clause.protos = part.protos;
  if (part.values == Values::all) return clause;
  const bool outside = part.values == Values::outside;
  if (primitive.kind == Kind::address4 || primitive.kind == Kind::address6) {
    const AddressTerm term = addresses_of(primitive, part.words);
    clause.addresses[static_cast<std::size_t>(primitive.side)] =
        outside ? term.complement() : term;
  } else {
    const NumberTerm term = numbers_of(primitive);
    clause.numbers[field_of(primitive) - SLUICE_SOURCE_PORT] =
        outside ? term.complement() : term;
  }
  return clause;
}

ClauseCompiler::Answers ClauseCompiler::answer(const Primitive& primitive,
                                               bool yes_only) {
  const Parts& parts = parts_of(primitive);
  Answers answers;
  const auto add = [&](Clauses& to, const std::vector<Part>& from) {
    for (const Part& part : from) {
      Clause clause = clause_of(primitive, part);
      if (!is_empty(clause)) to.push_back(std::move(clause));
    }
  };
  add(answers.yes, parts.yes);
  if (yes_only) return answers;
  add(answers.no, parts.no);
  add(answers.seen, parts.seen);
  return answers;
}

ClauseCompiler::Answers ClauseCompiler::answer(const Expression& expression,
                                               bool yes_only) {
  switch (expression.kind) {
    case Expression::Kind::all:
      return {.yes = {Clause{}}, .no = {}, .seen = {Clause{}}};
    case Expression::Kind::primitive:
      return answer(expression.primitive, yes_only);
    case Expression::Kind::negation: {
      Answers answers = answer(expression.operands[0], false);
      std::swap(answers.yes, answers.no);
      return answers;
    }
    case Expression::Kind::conjunction:
      return conjunction(expression.operands, yes_only);
    case Expression::Kind::disjunction:
      return joined(expression.operands, &Answers::yes, &Answers::no);
  }
  return {};
}

ClauseCompiler::Answers ClauseCompiler::conjunction(
    std::span<const Expression> operands, bool yes_only) {
  if (!yes_only) return joined(operands, &Answers::no, &Answers::yes);
  Answers all = answer(operands[0], true);
  for (const Expression& operand : operands.subspan(1)) {
    all.yes = both(all.yes, answer(operand, true).yes);
  }
  return all;
}

// An operand with the answer `ends` gives it to the whole, if those before it
// had an answer: had one of them been that, it would have ended there. Where
// all have the answer `goes_on`, the whole has it.
ClauseCompiler::Answers ClauseCompiler::joined(
    std::span<const Expression> operands, Clauses Answers::* ends,
    Clauses Answers::* goes_on) {
  Answers all = answer(operands[0], false);
  for (const Expression& operand : operands.subspan(1)) {
    const Answers next = answer(operand, false);
    unite(all.*ends, both(all.seen, next.*ends));
    all.*goes_on = both(all.*goes_on, next.*goes_on);
    all.seen = all.*ends;
    unite(all.seen, all.*goes_on);
  }
  return all;
}

bool ClauseCompiler::is_empty(const Clause& clause) {
  return std::ranges::any_of(clause.addresses, &AddressTerm::empty) ||
         std::ranges::any_of(clause.numbers, &NumberTerm::empty);
}

ClauseCompiler::Clauses ClauseCompiler::both(const Clauses& a,
                                             const Clauses& b) {
  Clauses result;
  for (const Clause& x : a) {
    for (const Clause& y : b) {
      Clause clause;
      clause.kinds = kinds_.intersect(x.kinds, y.kinds);
      clause.protos = protos_.intersect(x.protos, y.protos);
      if (kinds_[clause.kinds].none() || protos_[clause.protos].none()) {
        continue;
      }
      for (std::size_t i = 0; i < clause.addresses.size(); ++i) {
        clause.addresses[i] = x.addresses[i] & y.addresses[i];
      }
      for (std::size_t i = 0; i < clause.numbers.size(); ++i) {
        clause.numbers[i] = x.numbers[i] & y.numbers[i];
      }
      if (!is_empty(clause)) unite(result, {std::move(clause)});
      if (too_many_) return {};
    }
  }
  return result;
}

// Makes one of two clauses that differ in one place at most.
bool ClauseCompiler::absorb(Clause& into, const Clause& other) {
  int differ = 0;
  differ += into.kinds != other.kinds;
  differ += into.protos != other.protos;
  for (std::size_t i = 0; i < into.addresses.size() && differ < 2; ++i) {
    differ += !(into.addresses[i] == other.addresses[i]);
  }
  for (std::size_t i = 0; i < into.numbers.size() && differ < 2; ++i) {
    differ += !(into.numbers[i] == other.numbers[i]);
  }
  if (differ > 1) return false;
  if (into.kinds != other.kinds) {
    into.kinds = kinds_.add(kinds_[into.kinds] | kinds_[other.kinds]);
  }
  if (into.protos != other.protos) {
    into.protos = protos_.add(protos_[into.protos] | protos_[other.protos]);
  }
  for (std::size_t i = 0; i < into.addresses.size(); ++i) {
    if (into.addresses[i] == other.addresses[i]) continue;
    into.addresses[i] = into.addresses[i] | other.addresses[i];
  }
  for (std::size_t i = 0; i < into.numbers.size(); ++i) {
    if (into.numbers[i] == other.numbers[i]) continue;
    into.numbers[i] = into.numbers[i] | other.numbers[i];
  }
  return true;
}

void ClauseCompiler::unite(Clauses& all, Clauses more) {
  for (Clause& clause : more) {
    const bool absorbed = std::ranges::any_of(
        all, [&](Clause& into) { return absorb(into, clause); });
    if (!absorbed) all.push_back(std::move(clause));
  }
  if (all.size() > most_) too_many_ = true;
  if (too_many_) all.clear();
}

}  // namespace sluice::steering
