// SPDX-License-Identifier: Apache-2.0
// Clauses: an expression as a list of clauses, of which one must hold.
//
// A clause allows certain kinds and protos (see sluice/abi.h) and certain
// values of each field; it holds where all allow. Every expression comes to
// such a list, with libpcap's third truth value kept: where `or` and `not` look
// behind the end of a packet, the kinds that are long enough are part of the
// clause.
#pragma once

#include <sluice/abi.h>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <sluice/expression.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "parts.hpp"
#include "terms.hpp"

namespace sluice::steering {

// Sets of numbers below N, each kept once and named by its index.
template <std::size_t N>
class SetPool {
 public:
  using Set = std::bitset<N>;
  using Id = std::uint32_t;

  Id add(const Set& set) {
    const auto [found, is_new] =
        ids_.try_emplace(set, static_cast<Id>(sets_.size()));
    if (is_new) sets_.push_back(set);
    return found->second;
  }
  [[nodiscard]] const Set& operator[](Id id) const { return sets_[id]; }
  [[nodiscard]] std::size_t size() const { return sets_.size(); }
  Id intersect(Id a, Id b) {
    if (a == b) return a;
    if (a > b) std::swap(a, b);
    const auto [found, is_new] =
        both_.try_emplace(std::uint64_t{a} << 32 | b, Id{0});
    if (is_new) found->second = add(sets_[a] & sets_[b]);
    return found->second;
  }

 private:
  std::vector<Set> sets_;
  std::unordered_map<Set, Id> ids_;
  std::unordered_map<std::uint64_t, Id> both_;
};

using Kinds = SetPool<SLUICE_KINDS>;
using Protos = SetPool<SLUICE_PROTOS>;

// The fields behind the addresses, as indices of Clause::numbers.
constexpr std::size_t kNumbers = SLUICE_FIELDS - SLUICE_SOURCE_PORT;

struct Clause {
  Kinds::Id kinds = 0;  // Of all kinds: the first set of a compiler.
  Protos::Id protos = 0;
  std::array<AddressTerm, 2> addresses;  // SLUICE_SOURCE, SLUICE_DESTINATION.
  std::array<NumberTerm, kNumbers> numbers;
  friend bool operator==(const Clause&, const Clause&) = default;
};

class ClauseCompiler {
 public:
  ClauseCompiler();

  // The packets that match. None, if that takes more than `most` clauses.
  std::optional<std::vector<Clause>> compile(const Expression& expression,
                                             std::size_t most);

  [[nodiscard]] const Kinds& kinds() const { return kinds_; }
  [[nodiscard]] const Protos& protos() const { return protos_; }

 private:
  using Clauses = std::vector<Clause>;
  // For which packets the answer is yes, is no, and is either of them.
  struct Answers {
    Clauses yes, no, seen;
  };
  // The parts of a primitive, with their sets in the pools.
  struct Part {
    Kinds::Id kinds;
    Protos::Id protos;
    PrimitivePart::Values values;
    unsigned words;
  };
  struct Parts {
    std::vector<Part> yes, no, seen;
  };

  // `yes_only`: what is said of the others is not looked at.
  Answers answer(const Expression& expression, bool yes_only);
  Answers answer(const Primitive& primitive, bool yes_only);
  Part keep(const PrimitivePart& part);
  Clause clause_of(const Primitive& primitive, const Part& part);
  Answers conjunction(std::span<const Expression> operands, bool yes_only);
  Answers joined(std::span<const Expression> operands, Clauses Answers::* ends,
                 Clauses Answers::* goes_on);
  const Parts& parts_of(const Primitive& primitive);
  Clauses both(const Clauses& a, const Clauses& b);
  void unite(Clauses& all, Clauses more);
  bool absorb(Clause& into, const Clause& other);
  static bool is_empty(const Clause& clause);

  Kinds kinds_;
  Protos protos_;
  std::map<std::vector<std::uint32_t>, Parts> parts_;
  std::size_t most_ = 0;
  bool too_many_ = false;
};

}  // namespace sluice::steering
