// SPDX-License-Identifier: Apache-2.0
#include "image.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <sluice/metadata.hpp>
#include <string>
#include <tuple>
#include <utility>

#include "image_builder.hpp"

namespace sluice::steering {
namespace {

// Fewer clauses of a shape than these are no table: bit vectors take them.
constexpr std::size_t kTableMin = 64;
constexpr std::size_t kClausesOfRuleMax = 4096;
constexpr std::size_t kCapacity = std::size_t{SLUICE_BANKS_MAX} * SLUICE_BANK;

std::size_t banks_for(std::size_t clauses) {
  return (clauses + SLUICE_BANK - 1) / SLUICE_BANK;
}

// Clauses that are alike in this order share words, so that few words are left
// when all fields have been asked.
auto likeness(const Clause& clause) {
  unsigned any = 0;
  for (const auto& term : clause.addresses) any = any * 2 + term.is_any();
  for (const auto& term : clause.numbers) any = any * 2 + term.is_any();
  const auto first = [](const NumberTerm& term) { return term.first(); };
  return std::tuple(any, clause.kinds, clause.protos,
                    clause.addresses[SLUICE_DESTINATION].value(),
                    clause.addresses[SLUICE_SOURCE].value(),
                    first(clause.numbers[1]), first(clause.numbers[0]));
}

}  // namespace

HashSeed random_seed() {
  std::random_device random;
  HashSeed seed;
  for (auto& odd : seed) odd = (std::uint64_t{random()} << 32 | random()) | 1;
  return seed;
}

ImageBuilder::ImageBuilder(const Rules& rules, unsigned cpus,
                           const HashSeed& seed, std::size_t counters_max)
    : rules_(rules),
      cpus_(cpus),
      counters_max_(counters_max),
      hot_(*image_.hot_) {
  std::ranges::copy(seed, hot_.hash);
}

Result<Image> ImageBuilder::build() {
  if (auto done = split(); !done) return done.error();
  choose_tables();
  if (auto done = place_clauses(); !done) return done.error();
  number_slots();
  records_ = std::make_unique<Records>(lines_, banks_);
  classify_pairs();
  for (std::size_t side = 0; side < 2; ++side) classify_addresses(side);
  for (std::size_t i = 0; i < kNumbers; ++i) classify_numbers(i);
  write_clauses();
  write_tables();
  finish();
  return std::move(image_);
}

// Every rule to clauses; the exact ones by their shape.
Result<void> ImageBuilder::split() {
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
      if (is_final(rule.action) && take_exact(clause, shape, key)) {
        shapes_[shape].push_back({number, key});
      } else {
        wild_.push_back({number, std::move(clause)});
      }
    }
  }
  return {};
}

// The shapes with most clauses become tables, the others bit vectors.
void ImageBuilder::choose_tables() {
  for (auto shape = shapes_.cbegin(); shape != shapes_.cend(); ++shape) {
    if (shape->second.size() >= kTableMin) tables_.push_back(shape);
  }
  std::ranges::sort(tables_, std::ranges::greater{},
                    [](const auto& table) { return table->second.size(); });
  if (tables_.size() > SLUICE_TABLES_MAX) tables_.resize(SLUICE_TABLES_MAX);
  for (auto shape = shapes_.cbegin(); shape != shapes_.cend(); ++shape) {
    if (std::ranges::find(tables_, shape) != tables_.end()) continue;
    for (const Exact& exact : shape->second) {
      wild_.push_back({exact.rule, clause_of(shape->first, exact.key)});
    }
  }
}

// Within a word clauses stand in the order of their rules. Those that go on to
// the next rule have banks of their own, all in the order of their rules.
Result<void> ImageBuilder::place_clauses() {
  const auto goes_on = [this](const Wild& wild) {
    return !is_final(rules_[wild.rule].action);
  };
  std::ranges::sort(wild_, {}, [&](const Wild& wild) {
    return std::pair(goes_on(wild), wild.rule);
  });
  const auto finals = std::ranges::find_if(wild_, goes_on);
  const auto split = static_cast<std::size_t>(finals - wild_.begin());
  std::sort(wild_.begin(), finals, [](const Wild& one, const Wild& other) {
    return std::pair(likeness(one.clause), one.rule) <
           std::pair(likeness(other.clause), other.rule);
  });
  const std::size_t observers = banks_for(wild_.size() - split);
  banks_ = banks_for(split) + observers;
  if (banks_ > SLUICE_BANKS_MAX) {
    return Error{E2BIG, "rules", std::to_string(wild_.size()) + " combinations",
                 "Rules that name more than single values or prefixes come to "
                 "more than " +
                     std::to_string(kCapacity) +
                     "; name sets: define NAME = { ... }"};
  }
  hot_.banks = static_cast<std::uint32_t>(banks_ - observers);
  hot_.observers = static_cast<std::uint32_t>(observers);
  for (std::size_t word = 0; word < split; word += 64) {
    const auto begin = wild_.begin() + static_cast<std::ptrdiff_t>(word);
    const auto end = std::min(begin + 64, finals);
    std::ranges::sort(begin, end, {}, &Wild::rule);
  }
  order_words(split);
  padding_ = Bits(banks_ * 64, ~0ull);
  for (std::size_t i = 0; i < wild_.size(); ++i) {
    const std::size_t place =
        i < split ? i : hot_.banks * SLUICE_BANK + (i - split);
    wild_[i].place = place;
    padding_[place / 64] &= ~(1ull << place % 64);
  }
  return {};
}

// Words in the order of their first rules: the first that is asked mostly says
// that no other has to be. What does not fill a word stays behind.
void ImageBuilder::order_words(std::size_t finals) {
  std::vector<std::vector<Wild>> words;
  for (std::size_t i = 0; i + 64 <= finals; i += 64) {
    const auto begin =
        std::make_move_iterator(wild_.begin() + static_cast<std::ptrdiff_t>(i));
    words.emplace_back(begin, begin + 64);
  }
  std::ranges::sort(words, {}, [](const auto& word) { return word[0].rule; });
  auto to = wild_.begin();
  for (auto& word : words) to = std::ranges::move(word, to).out;
}

// Slots for rules that do not count in entries alone.
void ImageBuilder::number_slots() {
  image_.slots_.assign(rules_.size(), Image::kNoSlot);
  next_slot_ = 2;
  hot_.flows_count =
      rules_.size() * sizeof(sluice_counter) * (cpus_ + 1) > counters_max_;
  const auto give = [this](std::uint32_t rule) {
    std::uint32_t& slot = image_.slots_[rule];
    if (slot == Image::kNoSlot) slot = next_slot_++;
  };
  for (const Wild& wild : wild_) give(wild.rule);
  for (const auto& table : tables_) {
    if (counts_itself(table->first)) continue;
    for (const Exact& exact : table->second) give(exact.rule);
  }
  hot_.otherwise = {static_cast<std::uint32_t>(rules_.default_action()) << 28 |
                        SLUICE_RULE_MASK,
                    Image::kUnmatched};
  hot_.fragment_slot = Image::kFragments;
  hot_.pass_fragments = rules_.fragments_pass() ? 1 : 0;
}

std::uint32_t ImageBuilder::decision_of(std::uint32_t rule) const {
  const Rule& of = rules_[rule];
  return rule | static_cast<std::uint32_t>(of.action) << 28 |
         (of.otherwise == Action::drop ? SLUICE_RULE_ELSE_DROP : 0);
}

void ImageBuilder::write_clauses() {
  std::size_t places = 0;
  for (const Wild& wild : wild_) places = std::max(places, wild.place + 1);
  // The first rule of each word.
  std::vector<std::uint32_t> first(banks_ * 64, ~0u);
  for (const Wild& wild : wild_) {
    std::uint32_t& rule = first[wild.place / 64];
    rule = std::min(rule, wild.rule);
  }
  hot_.clauses = lines_.add((places + 3) / 4);
  for (const Wild& wild : wild_) {
    sluice_clause clause{};
    clause.rule = {decision_of(wild.rule), image_.slots_[wild.rule]};
    const std::size_t bank = wild.place / SLUICE_BANK * 64;
    for (std::size_t word = 0; word < 64; ++word) {
      if (first[bank + word] < wild.rule) clause.before |= 1ull << word;
    }
    lines_.put(hot_.clauses, wild.place, clause);
  }
}

void ImageBuilder::write_labels() {
  constexpr std::size_t kInLine = sizeof(sluice_line) / sizeof(std::uint32_t);
  const auto labelled = [](const Rule& rule) { return !rule.label.empty(); };
  if (std::ranges::none_of(rules_.list(), labelled)) return;
  hot_.labels = lines_.add((rules_.size() + kInLine - 1) / kInLine);
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    lines_.put(hot_.labels, i, rule_id(rules_[i].label).value);
  }
}

void ImageBuilder::write_tables() {
  hot_.tables = lines_.add(tables_.size());
  write_labels();
  // Entries change: they must not be among the lines that have a copy.
  auto line = static_cast<std::uint32_t>(lines_.size());
  line = std::max<std::uint32_t>(line, SLUICE_HOT_LINES);
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const auto& [shape, rows] = *tables_[i];
    sluice_table table{};
    table.mask = shape.mask();
    table.base = line;
    table.flows = counts_itself(shape) ? 1 : 0;
    table.first = std::ranges::min(rows, {}, &Exact::rule).rule;
    for (const Place& place : place_rows(rows, hot_.hash, table)) {
      const Exact& exact = rows[place.row];
      sluice_entry entry{};
      entry.key = exact.key;
      entry.decision = decision_of(exact.rule);
      if (table.flows != 0) {
        image_.flows_.push_back({exact.rule, place.line});
      } else {
        entry.slot_or_last = image_.slots_[exact.rule];
      }
      image_.entries_.push_back({place.line, entry});
    }
    line += table.size + SLUICE_PROBES;
    lines_.put(hot_.tables + static_cast<std::uint32_t>(i), table);
  }
  tables_end_ = line;
  std::ranges::sort(image_.flows_, {}, &Image::Flow::rule);
}

void ImageBuilder::finish() {
  image_.small_ = lines_.take();
  std::copy_n(image_.small_.begin(),
              std::min<std::size_t>(image_.small_.size(), SLUICE_HOT_LINES),
              hot_.lines);
  const auto finals = std::ranges::count_if(wild_, [this](const Wild& wild) {
    return is_final(rules_[wild.rule].action);
  });
  hot_.is_short = finals <= 64 && hot_.banks == 1 && hot_.observers == 0 &&
                  image_.small_.size() <= SLUICE_HOT_LINES;
  hot_.counters = tables_end_;
  hot_.counter_lines = (next_slot_ + 1) / 2;
  // One row more: what was counted under lists before.
  hot_.text = hot_.counters + hot_.counter_lines * (cpus_ + 1);
  image_.text_ = rules_.text();
  hot_.text_bytes = static_cast<std::uint32_t>(image_.text_.size());
  constexpr std::uint32_t kLine = sizeof(sluice_line);
  image_.lines_ = hot_.text + (hot_.text_bytes + kLine - 1) / kLine;
}

Result<Image> Image::build(const Rules& rules, unsigned cpus,
                           const HashSeed& seed, std::size_t counters_max) {
  return ImageBuilder(rules, cpus, seed, counters_max).build();
}

void Image::write(std::span<sluice_line> lines) const {
  std::ranges::copy(small_, lines.begin());
  // An empty entry is not zero.
  sluice_entry empty{};
  empty.decision = SLUICE_EMPTY;
  for (std::size_t line = small_.size(); line < hot_->counters; ++line) {
    std::memcpy(&lines[line], &empty, sizeof empty);
  }
  for (const Entry& each : entries_) {
    std::memcpy(&lines[each.line], &each.entry, sizeof each.entry);
  }
  if (!text_.empty())
    std::memcpy(&lines[hot_->text], text_.data(), text_.size());
}

}  // namespace sluice::steering
