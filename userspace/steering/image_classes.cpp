// SPDX-License-Identifier: Apache-2.0
// The fields of an image: their classes and the ways there.
#include <algorithm>
#include <utility>

#include "image_builder.hpp"

namespace sluice::steering {
namespace {

// Which of the sets in use each number is in: its class.
template <std::size_t N>
std::vector<std::vector<std::uint32_t>> classes_of(
    const SetPool<N>& pool, std::vector<std::uint32_t> used,
    std::uint16_t (&class_of)[N]) {
  std::ranges::sort(used);
  used.erase(std::unique(used.begin(), used.end()), used.end());
  std::map<std::vector<std::uint32_t>, std::uint16_t> known;
  std::vector<std::vector<std::uint32_t>> classes;
  for (std::size_t number = 0; number < N; ++number) {
    std::vector<std::uint32_t> in;
    for (const std::uint32_t id : used) {
      if (pool[id].test(number)) in.push_back(id);
    }
    const auto [found, is_new] =
        known.try_emplace(in, static_cast<std::uint16_t>(classes.size()));
    if (is_new) classes.push_back(std::move(in));
    class_of[number] = found->second;
  }
  return classes;
}

void set(Bits& bits, std::size_t place) {
  bits[place / 64] |= 1ull << place % 64;
}

}  // namespace

// What kinds and protos come to that are in these sets.
sluice_pair ImageBuilder::pair_of(std::span<const std::uint32_t> kinds,
                                  std::span<const std::uint32_t> protos) {
  const auto holds = [&](Kinds::Id kind, Protos::Id proto) {
    return std::ranges::binary_search(kinds, kind) &&
           std::ranges::binary_search(protos, proto);
  };
  sluice_pair pair{};
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const Shape& shape = tables_[i]->first;
    if (holds(shape.kinds, shape.protos)) pair.tables |= 1u << i;
  }
  if (banks_ == 0) return pair;
  Bits bits(banks_ * 64);
  for (const auto& [ids, members] : groups_) {
    if (!holds(ids.first, ids.second)) continue;
    for (std::size_t i = 0; i < bits.size(); ++i) bits[i] |= members[i];
  }
  pair.record = records_->add(bits);
  return pair;
}

// Kinds and protos together make one record, and say which tables to ask.
void ImageBuilder::classify_pairs() {
  for (const Wild& wild : wild_) {
    Bits& bits = groups_[{wild.clause.kinds, wild.clause.protos}];
    bits.resize(banks_ * 64);
    set(bits, wild.place);
  }
  std::vector<std::uint32_t> kinds;
  std::vector<std::uint32_t> protos;
  for (const auto& group : groups_) {
    kinds.push_back(group.first.first);
    protos.push_back(group.first.second);
  }
  for (const auto& table : tables_) {
    kinds.push_back(table->first.kinds);
    protos.push_back(table->first.protos);
  }
  const auto kind_classes =
      classes_of(compiler_.kinds(), std::move(kinds), hot_.kind_class);
  const auto proto_classes =
      classes_of(compiler_.protos(), std::move(protos), hot_.proto_class);
  hot_.proto_classes = static_cast<std::uint32_t>(proto_classes.size());
  hot_.pairs = lines_.add((kind_classes.size() * proto_classes.size() + 7) / 8);
  std::size_t index = 0;
  for (const auto& kind : kind_classes) {
    for (const auto& proto : proto_classes) {
      lines_.put(hot_.pairs, index++, pair_of(kind, proto));
    }
  }
}

template <class IsAny>
Bits ImageBuilder::indifferent(const IsAny& is_any) const {
  Bits bits = padding_;
  for (const Wild& wild : wild_) {
    if (is_any(wild.clause)) set(bits, wild.place);
  }
  return bits;
}

void ImageBuilder::classify_addresses(std::size_t side) {
  const Bits begin = indifferent(
      [side](const Clause& clause) { return clause.addresses[side].is_any(); });
  struct Member {
    std::size_t place;
    AddressSet set;
  };
  std::vector<Member> members;
  for (const Wild& wild : wild_) {
    const AddressTerm& term = wild.clause.addresses[side];
    if (!term.is_any()) members.push_back({wild.place, term.set()});
  }
  if (members.empty()) return;
  hot_.fields |= 1u << side;
  Bits none = begin;
  std::vector<Allowed<std::uint32_t>> four;
  std::vector<Allowed<Uint128>> six;
  for (const Member& member : members) {
    four.push_back({member.place, member.set.four.ranges()});
    six.push_back({member.place, member.set.six.ranges()});
    if (member.set.none) set(none, member.place);
  }
  hot_.none[side] = records_->add(none);
  hot_.root4[side] = plant<std::uint32_t>(
      intervals_of<std::uint32_t>(four, *records_, begin, ~0u), 32, lines_);
  hot_.root6[side] = plant<Uint128>(
      intervals_of<Uint128>(six, *records_, begin, ~Uint128{0}), 128, lines_);
}

void ImageBuilder::classify_numbers(std::size_t number) {
  const Bits begin = indifferent([number](const Clause& clause) {
    return clause.numbers[number].is_any();
  });
  struct Member {
    std::size_t place;
    NumberTerm::Set set;
  };
  std::vector<Member> members;
  for (const Wild& wild : wild_) {
    const NumberTerm& term = wild.clause.numbers[number];
    if (!term.is_any()) members.push_back({wild.place, term.set()});
  }
  if (members.empty()) return;
  const std::size_t field = SLUICE_SOURCE_PORT + number;
  hot_.fields |= 1u << field;
  std::vector<Allowed<std::uint32_t>> allowed;
  for (const Member& member : members) {
    allowed.push_back({member.place, member.set.ranges()});
  }
  auto intervals =
      intervals_of<std::uint32_t>(allowed, *records_, begin, NumberTerm::kNone);
  hot_.none[field] = intervals.back().ref & ~SLUICE_LEAF;
  if (intervals.back().first == NumberTerm::kNone) intervals.pop_back();
  hot_.root[field] = plant<std::uint32_t>(intervals, 16, lines_);
}

}  // namespace sluice::steering
