// SPDX-License-Identifier: Apache-2.0
#include "image.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <utility>

#include "classes.hpp"
#include "clause.hpp"

namespace sluice::steering {
namespace {

// Fewer rules of a shape than these are no table: bit vectors take them.
constexpr std::size_t kTableMin = 64;
constexpr std::size_t kClausesOfRuleMax = 4096;

constexpr std::size_t kExactNumbers = 2;  // Ports; VLAN ids are not keys.

// What the rules of an exact table have in common.
struct Shape {
  Kinds::Id kinds = 0;
  Protos::Id protos = 0;
  std::array<AddressTerm::Kind, 2> family{};
  std::array<std::uint8_t, 2> length{};
  std::array<bool, kExactNumbers> ports{};
  friend auto operator<=>(const Shape&, const Shape&) = default;

  [[nodiscard]] bool is_flow() const {
    const auto whole = [&](std::size_t side) {
      return length[side] ==
             (family[side] == AddressTerm::Kind::prefix4 ? 32 : 128);
    };
    return whole(0) && whole(1) && ports[0] && ports[1];
  }
};

struct Exact {
  std::uint32_t rule;
  sluice_key key;
};

struct Wild {
  std::uint32_t rule;
  Clause clause;
};

std::uint64_t high(Uint128 value) {
  return static_cast<std::uint64_t>(value >> 64);
}
std::uint64_t low(Uint128 value) { return static_cast<std::uint64_t>(value); }

bool observes(Action action) {
  return action == Action::mirror || action == Action::count;
}

bool shape_of(const Clause& clause, Shape& shape, sluice_key& key) {
  shape = {.kinds = clause.kinds, .protos = clause.protos};
  key = {};
  __u64* const words[2] = {key.source, key.destination};
  bool names = false;
  for (std::size_t side = 0; side < 2; ++side) {
    const AddressTerm& term = clause.addresses[side];
    if (term.kind() == AddressTerm::Kind::set) return false;
    if (term.is_any()) continue;
    if (term.length() == 0) return false;
    names = true;
    shape.family[side] = term.kind();
    shape.length[side] = static_cast<std::uint8_t>(term.length());
    words[side][0] = high(term.value());
    words[side][1] = low(term.value());
  }
  for (std::size_t i = 0; i < clause.numbers.size(); ++i) {
    const NumberTerm& term = clause.numbers[i];
    if (term.is_any()) continue;
    if (i >= kExactNumbers || !term.is_single() ||
        term.single() == NumberTerm::kNone) {
      return false;
    }
    names = true;
    shape.ports[i] = true;
    (i == 0 ? key.source_port : key.destination_port) =
        static_cast<std::uint16_t>(term.single());
  }
  return names;
}

Prefix prefix_of(const __u64 (&words)[2], unsigned length) {
  Prefix prefix;
  prefix.length = static_cast<std::uint8_t>(length);
  for (std::size_t i = 0; i < 16; ++i) {
    prefix.address[i] =
        static_cast<std::uint8_t>(words[i / 8] >> (56 - 8 * (i % 8)));
  }
  return prefix;
}

// The way back, for shapes that got no table.
Clause clause_of(const Shape& shape, const sluice_key& key) {
  Clause clause;
  clause.kinds = shape.kinds;
  clause.protos = shape.protos;
  for (std::size_t side = 0; side < 2; ++side) {
    const auto& words = side == 0 ? key.source : key.destination;
    const Prefix prefix = prefix_of(words, shape.length[side]);
    if (shape.family[side] == AddressTerm::Kind::prefix4) {
      clause.addresses[side] = AddressTerm::prefix4(prefix);
    } else if (shape.family[side] == AddressTerm::Kind::prefix6) {
      clause.addresses[side] = AddressTerm::prefix6(prefix);
    }
  }
  for (std::size_t i = 0; i < kExactNumbers; ++i) {
    if (!shape.ports[i]) continue;
    const std::uint32_t port = i == 0 ? key.source_port : key.destination_port;
    clause.numbers[i] = NumberTerm(NumberTerm::Set(port, port));
  }
  return clause;
}

sluice_key mask_of(const Shape& shape) {
  sluice_key mask{};
  __u64* const words[2] = {mask.source, mask.destination};
  for (std::size_t side = 0; side < 2; ++side) {
    if (shape.length[side] == 0) continue;
    const Uint128 bits = ~Uint128{0} << (128 - shape.length[side]);
    words[side][0] = high(bits);
    words[side][1] = low(bits);
  }
  if (shape.ports[0]) mask.source_port = 0xffff;
  if (shape.ports[1]) mask.destination_port = 0xffff;
  return mask;
}

std::uint64_t hash_of(const sluice_key& key, const __u64 (&odd)[5]) {
  std::uint64_t words[5];
  static_assert(sizeof words == sizeof key);
  std::memcpy(words, &key, sizeof key);
  std::uint64_t hash = (words[4] ^ words[4] >> 32) * odd[4];
  for (std::size_t i = 0; i < 4; ++i) hash += words[i] * odd[i];
  return hash;
}

}  // namespace

class ImageBuilder {
 public:
  ImageBuilder(const Rules& rules, unsigned cpus)
      : rules_(rules), cpus_(cpus), hot_(*image_.hot_) {}

  Result<Image> build() {
    if (auto done = split(); !done) return done.error();
    choose_tables();
    if (auto done = place_clauses(); !done) return done.error();
    number_slots();
    classify_pairs();
    classify_addresses();
    for (std::size_t i = 0; i < kNumbers; ++i) classify_numbers(i);
    write_decisions();
    if (auto done = write_tables(); !done) return done.error();
    finish();
    return std::move(image_);
  }

 private:
  // Every rule to clauses; those that name exact values by their shape.
  Result<void> split() {
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      const Rule& rule = rules_[i];
      auto clauses = compiler_.compile(rule.match, kClausesOfRuleMax);
      if (!clauses) {
        return Error{E2BIG, "rule", rule.text(),
                     "It comes to more than " +
                         std::to_string(kClausesOfRuleMax) +
                         " combinations; split it, or name sets"};
      }
      const auto number = static_cast<std::uint32_t>(i);
      for (Clause& clause : *clauses) {
        Shape shape;
        sluice_key key;
        if (!observes(rule.action) && shape_of(clause, shape, key)) {
          shapes_[shape].push_back({number, key});
        } else {
          wild_.push_back({number, std::move(clause)});
        }
      }
    }
    return {};
  }

  // The shapes with most rules become tables, the others bit vectors.
  void choose_tables() {
    for (auto shape = shapes_.begin(); shape != shapes_.end(); ++shape) {
      if (shape->second.size() >= kTableMin) tables_.push_back(shape);
    }
    std::ranges::sort(tables_, std::ranges::greater{},
                      [](const auto& table) { return table->second.size(); });
    if (tables_.size() > SLUICE_TABLES_MAX) tables_.resize(SLUICE_TABLES_MAX);
    for (auto shape = shapes_.begin(); shape != shapes_.end(); ++shape) {
      if (std::ranges::find(tables_, shape) != tables_.end()) continue;
      for (const Exact& exact : shape->second) {
        wild_.push_back({exact.rule, clause_of(shape->first, exact.key)});
      }
    }
  }

  // Clauses that are alike share words, so that few words are left when all
  // fields have been asked. Within a word they stand in the order of rules.
  Result<void> place_clauses() {
    const auto is_observer = [this](const Wild& wild) {
      return observes(rules_[wild.rule].action);
    };
    std::ranges::sort(wild_, {}, &Wild::rule);
    const auto finals = std::ranges::stable_partition(
        wild_, [&](const Wild& wild) { return !is_observer(wild); });
    const auto split = static_cast<std::size_t>(finals.begin() - wild_.begin());
    std::stable_sort(wild_.begin(), finals.begin(),
                     [this](const Wild& a, const Wild& b) {
                       return likeness(a.clause) < likeness(b.clause);
                     });
    const auto banks = [](std::size_t clauses) {
      return (clauses + SLUICE_BANK - 1) / SLUICE_BANK;
    };
    const std::size_t final_banks = banks(split);
    banks_ = final_banks + banks(wild_.size() - split);
    if (banks_ > SLUICE_BANKS_MAX) {
      return Error{E2BIG, "rules", std::to_string(wild_.size()) + " clauses",
                   "Rules that name more than single values or prefixes come "
                   "to more than " +
                       std::to_string(SLUICE_BANKS_MAX * SLUICE_BANK) +
                       " combinations; use sets: define NAME = { ... }"};
    }
    hot_.banks = static_cast<std::uint32_t>(final_banks);
    hot_.observers = static_cast<std::uint32_t>(banks_ - final_banks);
    for (std::size_t i = 0; i < wild_.size(); ++i) {
      places_.push_back(i < split ? i : final_banks * SLUICE_BANK + i - split);
    }
    for (std::size_t word = 0; word < split; word += 64) {
      const auto end = std::min(word + 64, split);
      std::stable_sort(wild_.begin() + static_cast<std::ptrdiff_t>(word),
                       wild_.begin() + static_cast<std::ptrdiff_t>(end),
                       [](const Wild& a, const Wild& b) {
                         return a.rule < b.rule;
                       });
    }
    padding_ = Bits(banks_ * 64, ~0ull);
    for (const std::size_t place : places_) {
      padding_[place / 64] &= ~(1ull << place % 64);
    }
    return {};
  }

  using Likeness = std::tuple<unsigned, Kinds::Id, Protos::Id, Uint128, Uint128,
                              std::uint32_t, std::uint32_t>;
  static Likeness likeness(const Clause& clause) {
    unsigned any = 0;
    for (const auto& term : clause.addresses) any = any * 2 + term.is_any();
    for (const auto& term : clause.numbers) any = any * 2 + term.is_any();
    const auto first = [](const NumberTerm& term) {
      return term.empty() ? 0 : term.set().ranges().front().first;
    };
    return {any,
            clause.kinds,
            clause.protos,
            clause.addresses[SLUICE_DESTINATION].value(),
            clause.addresses[SLUICE_SOURCE].value(),
            first(clause.numbers[1]),
            first(clause.numbers[0])};
  }

  // Rules that count in a slot; flows count in their entries.
  void number_slots() {
    image_.slots_.assign(rules_.size(), Image::kNoSlot);
    next_slot_ = 2;
    const auto give = [this](std::uint32_t rule) {
      std::uint32_t& slot = image_.slots_[rule];
      if (slot == Image::kNoSlot) slot = next_slot_++;
    };
    for (const Wild& wild : wild_) give(wild.rule);
    for (const auto& table : tables_) {
      if (table->first.is_flow()) continue;
      for (const Exact& exact : table->second) give(exact.rule);
    }
    hot_.otherwise = {
        static_cast<std::uint32_t>(rules_.default_action()) << 28 |
            SLUICE_RULE_MASK,
        0};
    hot_.fragment_slot = 1;
    hot_.pass_fragments = rules_.fragments_pass() ? 1 : 0;
  }

  // Which of the sets in use each number is in: its class.
  template <std::size_t N>
  std::vector<std::vector<std::uint32_t>> classes_of(
      const SetPool<N>& pool, std::vector<std::uint32_t> used,
      std::uint16_t (&class_of)[N]) {
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

  // Kinds and protos together make one record, and say which tables to ask.
  void classify_pairs() {
    std::map<std::pair<Kinds::Id, Protos::Id>, Bits> groups;
    for (std::size_t i = 0; i < wild_.size(); ++i) {
      const Clause& clause = wild_[i].clause;
      Bits& bits = groups[{clause.kinds, clause.protos}];
      bits.resize(banks_ * 64);
      bits[places_[i] / 64] |= 1ull << places_[i] % 64;
    }
    std::vector<std::uint32_t> kinds;
    std::vector<std::uint32_t> protos;
    for (const auto& group : groups) {
      kinds.push_back(group.first.first);
      protos.push_back(group.first.second);
    }
    for (const auto& table : tables_) {
      kinds.push_back(table->first.kinds);
      protos.push_back(table->first.protos);
    }
    for (auto* ids : {&kinds, &protos}) {
      std::ranges::sort(*ids);
      ids->erase(std::unique(ids->begin(), ids->end()), ids->end());
    }
    const auto kind_classes =
        classes_of(compiler_.kinds(), kinds, hot_.kind_class);
    const auto proto_classes =
        classes_of(compiler_.protos(), protos, hot_.proto_class);
    hot_.proto_classes = static_cast<std::uint32_t>(proto_classes.size());
    hot_.pairs =
        lines_.add((kind_classes.size() * proto_classes.size() + 7) / 8);
    std::size_t index = 0;
    for (const auto& kind : kind_classes) {
      for (const auto& proto : proto_classes) {
        const auto holds = [&](Kinds::Id a, Protos::Id b) {
          return std::ranges::binary_search(kind, a) &&
                 std::ranges::binary_search(proto, b);
        };
        sluice_pair pair{};
        Bits bits(banks_ * 64);
        for (const auto& [ids, members] : groups) {
          if (!holds(ids.first, ids.second)) continue;
          for (std::size_t i = 0; i < bits.size(); ++i) bits[i] |= members[i];
        }
        if (banks_ != 0) pair.record = records().add(bits);
        for (std::size_t i = 0; i < tables_.size(); ++i) {
          const Shape& shape = tables_[i]->first;
          if (holds(shape.kinds, shape.protos)) pair.tables |= 1u << i;
        }
        lines_.put(hot_.pairs, index++, pair);
      }
    }
  }

  Records& records() {
    if (!records_) records_ = std::make_unique<Records>(lines_, banks_);
    return *records_;
  }

  // The clauses for which a field plays no part, and the places of none.
  template <class IsAny>
  Bits indifferent(const IsAny& is_any) {
    Bits bits = padding_;
    for (std::size_t i = 0; i < wild_.size(); ++i) {
      if (is_any(wild_[i].clause)) bits[places_[i] / 64] |= 1ull
                                                            << places_[i] % 64;
    }
    return bits;
  }

  void classify_addresses() {
    for (std::size_t side = 0; side < 2; ++side) {
      const Bits begin = indifferent([side](const Clause& clause) {
        return clause.addresses[side].is_any();
      });
      std::vector<AddressSet> sets;
      std::vector<std::size_t> places;
      for (std::size_t i = 0; i < wild_.size(); ++i) {
        const AddressTerm& term = wild_[i].clause.addresses[side];
        if (term.is_any()) continue;
        sets.push_back(term.set());
        places.push_back(places_[i]);
      }
      if (sets.empty()) continue;
      hot_.fields |= 1u << side;
      Bits none = begin;
      std::vector<Allowed<std::uint32_t>> four;
      std::vector<Allowed<Uint128>> six;
      for (std::size_t i = 0; i < sets.size(); ++i) {
        four.push_back({places[i], sets[i].four.ranges()});
        six.push_back({places[i], sets[i].six.ranges()});
        if (sets[i].none) none[places[i] / 64] |= 1ull << places[i] % 64;
      }
      hot_.none[side] = records().add(none);
      hot_.root4[side] = plant<std::uint32_t>(
          intervals_of<std::uint32_t>(four, records(), begin, ~0u), 32, lines_);
      hot_.root6[side] = plant<Uint128>(
          intervals_of<Uint128>(six, records(), begin, ~Uint128{0}), 128,
          lines_);
    }
  }

  void classify_numbers(std::size_t number) {
    const Bits begin = indifferent([number](const Clause& clause) {
      return clause.numbers[number].is_any();
    });
    std::vector<NumberTerm::Set> sets;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < wild_.size(); ++i) {
      const NumberTerm& term = wild_[i].clause.numbers[number];
      if (term.is_any()) continue;
      sets.push_back(term.set());
      places.push_back(places_[i]);
    }
    if (sets.empty()) return;
    const std::size_t field = SLUICE_SOURCE_PORT + number;
    hot_.fields |= 1u << field;
    std::vector<Allowed<std::uint32_t>> allowed;
    for (std::size_t i = 0; i < sets.size(); ++i) {
      allowed.push_back({places[i], sets[i].ranges()});
    }
    auto intervals = intervals_of<std::uint32_t>(allowed, records(), begin,
                                                 NumberTerm::kNone);
    hot_.none[field] = intervals.back().ref & ~SLUICE_LEAF;
    if (intervals.back().first == NumberTerm::kNone) intervals.pop_back();
    hot_.root[field] = plant<std::uint32_t>(intervals, 16, lines_);
  }

  [[nodiscard]] std::uint32_t decision_of(std::uint32_t rule) const {
    const Rule& of = rules_[rule];
    return rule | static_cast<std::uint32_t>(of.action) << 28 |
           (of.otherwise == Action::drop ? SLUICE_RULE_ELSE_DROP : 0);
  }

  void write_decisions() {
    hot_.clauses = lines_.add(banks_ * SLUICE_BANK / 8);
    for (std::size_t i = 0; i < wild_.size(); ++i) {
      const std::uint32_t rule = wild_[i].rule;
      const sluice_decision decision{decision_of(rule), image_.slots_[rule]};
      lines_.put(hot_.clauses, places_[i], decision);
    }
  }

  // Entries in the order of their hashes, each as near to its own as can be.
  Result<void> write_tables() {
    std::random_device random;
    for (auto& odd : hot_.hash) {
      odd = (std::uint64_t{random()} << 32 | random()) | 1;
    }
    hot_.tables = lines_.add(tables_.size());
    auto line = static_cast<std::uint32_t>(lines_.size());
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      const auto& [shape, rows] = *tables_[i];
      sluice_table table{};
      table.mask = mask_of(shape);
      table.base = line;
      table.flows = shape.is_flow() ? 1 : 0;
      table.size = static_cast<std::uint32_t>(rows.size() * 8 / 5 + 1);
      while (!fill(table, rows)) table.size += table.size / 2;
      line += table.size + SLUICE_PROBES;
      lines_.put(hot_.tables + static_cast<std::uint32_t>(i), table);
    }
    tables_end_ = line;
    std::ranges::sort(image_.flows_, {}, &Image::Flow::rule);
    return {};
  }

  bool fill(const sluice_table& table, const std::vector<Exact>& rows) {
    struct Row {
      std::uint64_t hash;
      std::uint32_t index;
    };
    std::vector<Row> order;
    order.reserve(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      order.push_back({hash_of(rows[i].key, hot_.hash),
                       static_cast<std::uint32_t>(i)});
    }
    std::ranges::sort(order, [&](const Row& a, const Row& b) {
      if (a.hash != b.hash) return a.hash < b.hash;
      return rows[a.index].rule < rows[b.index].rule;
    });
    const std::size_t entries = image_.entries_.size();
    const std::size_t flows = image_.flows_.size();
    std::uint32_t free = table.base;
    const Exact* previous = nullptr;
    for (const Row& row : order) {
      const Exact& exact = rows[row.index];
      // A later rule of the same key is never asked.
      if (previous != nullptr &&
          std::memcmp(&previous->key, &exact.key, sizeof exact.key) == 0) {
        continue;
      }
      previous = &exact;
      const auto home = table.base + static_cast<std::uint32_t>(
                                         (row.hash >> 32) * table.size >> 32);
      free = std::max(free, home);
      if (free - home >= SLUICE_PROBES) {
        image_.entries_.resize(entries);
        image_.flows_.resize(flows);
        return false;
      }
      sluice_entry entry{};
      entry.key = exact.key;
      entry.decision = decision_of(exact.rule);
      if (table.flows != 0) {
        image_.flows_.push_back({exact.rule, free});
      } else {
        entry.slot_or_last = image_.slots_[exact.rule];
      }
      image_.entries_.push_back({free++, entry});
    }
    return true;
  }

  void finish() {
    image_.small_ = lines_.take();
    std::copy_n(image_.small_.begin(),
                std::min<std::size_t>(image_.small_.size(), SLUICE_HOT_LINES),
                hot_.lines);
    hot_.counters = tables_end_;
    hot_.counter_lines = (next_slot_ + 1) / 2;
    // One row more: what was counted under lists before.
    image_.lines_ = tables_end_ + hot_.counter_lines * (cpus_ + 1);
  }

  const Rules& rules_;
  unsigned cpus_;
  Image image_;
  sluice_hot& hot_;
  ClauseCompiler compiler_;
  std::map<Shape, std::vector<Exact>> shapes_;
  std::vector<decltype(shapes_)::iterator> tables_;
  std::vector<Wild> wild_;
  std::vector<std::size_t> places_;  // Of each of wild_.
  std::size_t banks_ = 0;
  Bits padding_;  // Places of no clause.
  Lines lines_;
  std::unique_ptr<Records> records_;
  std::uint32_t next_slot_ = 0;
  std::uint32_t tables_end_ = 0;
};

Result<Image> Image::build(const Rules& rules, unsigned cpus) {
  return ImageBuilder(rules, cpus).build();
}

void Image::write(std::span<sluice_line> lines) const {
  std::ranges::copy(small_, lines.begin());
  // Empty entries are not zero.
  sluice_entry empty{};
  empty.decision = SLUICE_EMPTY;
  for (std::size_t line = small_.size(); line < hot_->counters; ++line) {
    std::memcpy(&lines[line], &empty, sizeof empty);
  }
  for (const Entry& each : entries_) {
    std::memcpy(&lines[each.line], &each.entry, sizeof each.entry);
  }
}

}  // namespace sluice::steering
