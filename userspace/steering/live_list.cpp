// SPDX-License-Identifier: Apache-2.0
#include "live_list.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <unordered_map>
#include <utility>

namespace sluice::steering {
namespace {

unsigned cpus() { return static_cast<unsigned>(libbpf_num_possible_cpus()); }

// The program adds meanwhile, on another CPU; each word is whole.
std::uint64_t load(const __u64& word) {
  return std::atomic_ref(const_cast<__u64&>(word)).load();
}

void add(RuleCount& to, const RuleCount& from) {
  to.packets += from.packets;
  to.bytes += from.bytes;
  to.last_hit = std::max(to.last_hit, from.last_hit);
}

// What makes two rules of two lists the same.
std::string identity(const Rule& rule) {
  return rule.label.empty() ? rule.text() : "@" + rule.label;
}

Result<Mapping> map_lines(int map, std::uint32_t lines) {
  return Mapping::shared(map, std::size_t{lines} * sizeof(sluice_line), 0,
                         "rules");
}

Error not_ours(std::string what) {
  return {EPROTO, "rules", std::move(what),
          "The program's list was made by another version of Sluice; detach it "
          "with that version, or attach again"};
}

}  // namespace

LiveList::LiveList(const Rules& rules, Image image, Fd map, Mapping memory)
    : rules_(rules),
      image_(std::move(image)),
      map_(std::move(map)),
      memory_(std::move(memory)) {}

Result<LiveList> LiveList::make(const Rules& rules, std::size_t counters_max) {
  auto image = Image::build(rules, cpus(), random_seed(), counters_max);
  if (!image) return image.error();
  bpf_map_create_opts options{};
  options.sz = sizeof options;
  options.map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE;
  const std::uint32_t lines = image->lines();
  Fd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "sluice_rules", sizeof(__u32),
                        sizeof(sluice_line), lines, &options));
  if (!map) {
    return Error::last("bpf(MAP_CREATE)",
                       std::to_string(lines) + " lines of 64 bytes");
  }
  auto memory = map_lines(map.get(), lines);
  if (!memory) return memory.error();
  image->write({reinterpret_cast<sluice_line*>(memory->bytes().data()), lines});
  return LiveList(rules, std::move(*image), std::move(map), std::move(*memory));
}

Result<LiveList> LiveList::open(Fd map, const sluice_hot& hot) {
  bpf_map_info info{};
  __u32 size = sizeof info;
  if (const int done = bpf_obj_get_info_by_fd(map.get(), &info, &size);
      done != 0) {
    return Error{-done, "bpf(OBJ_GET_INFO_BY_FD)", "sluice_rules", {}};
  }
  constexpr std::uint64_t kLine = sizeof(sluice_line);
  if (info.value_size != kLine || hot.text > info.max_entries ||
      hot.text_bytes > (info.max_entries - hot.text) * kLine) {
    return not_ours(std::to_string(info.max_entries) + " lines");
  }
  auto memory = map_lines(map.get(), info.max_entries);
  if (!memory) return memory.error();
  const auto text = memory->bytes().subspan(hot.text * kLine, hot.text_bytes);
  auto rules =
      Rules::parse({reinterpret_cast<const char*>(text.data()), text.size()});
  if (!rules) return rules.error();
  HashSeed seed;
  std::ranges::copy(hot.hash, seed.begin());
  auto image = Image::build(*rules, cpus(), seed,
                            hot.flows_count != 0 ? 0 : ~std::size_t{0});
  if (!image) return image.error();
  const sluice_hot& same = image->hot();
  if (image->lines() != info.max_entries || same.counters != hot.counters ||
      same.counter_lines != hot.counter_lines || same.text != hot.text) {
    return not_ours("a list of " + std::to_string(rules->size()) + " rules");
  }
  return LiveList(*rules, std::move(*image), std::move(map),
                  std::move(*memory));
}

sluice_line* LiveList::line(std::uint32_t index) const {
  return reinterpret_cast<sluice_line*>(memory_.bytes().data()) + index;
}

sluice_counter* LiveList::counter(std::uint32_t row, std::uint32_t slot) const {
  const sluice_hot& list = hot();
  sluice_line* first = line(list.counters + row * list.counter_lines);
  return reinterpret_cast<sluice_counter*>(first) + slot;
}

RuleCount LiveList::read_slot(std::uint32_t slot) const {
  RuleCount sum;
  for (unsigned row = 0; row <= cpus(); ++row) {
    const sluice_counter* from = counter(row, slot);
    add(sum, {{load(from->packets), load(from->bytes)}, load(from->last_hit)});
  }
  return sum;
}

std::span<const Image::Flow> LiveList::flows_of(std::size_t rule) const {
  const auto number = static_cast<std::uint32_t>(rule);
  const auto found =
      std::ranges::equal_range(image_.flows(), number, {}, &Image::Flow::rule);
  return {found.begin(), found.end()};
}

RuleCount LiveList::count(std::size_t rule) const {
  RuleCount sum;
  const std::uint32_t slot = image_.slot_of(rule);
  if (slot != Image::kNoSlot) sum = read_slot(slot);
  for (const Image::Flow& flow : flows_of(rule)) {
    const auto* entry = reinterpret_cast<const sluice_entry*>(line(flow.line));
    add(sum, {{load(entry->packets), load(entry->bytes)},
              std::uint64_t{entry->slot_or_last} << 24});
  }
  return sum;
}

// The row behind those of the CPUs is ours alone.
void LiveList::carry(std::uint32_t slot, const RuleCount& count) {
  sluice_counter* to = counter(cpus(), slot);
  to->packets += count.packets;
  to->bytes += count.bytes;
  to->last_hit = std::max<std::uint64_t>(to->last_hit, count.last_hit);
}

void LiveList::carry_rule(std::size_t rule, const RuleCount& count) {
  const std::uint32_t slot = image_.slot_of(rule);
  if (slot != Image::kNoSlot) return carry(slot, count);
  const auto flows = flows_of(rule);
  if (flows.empty()) return;  // A rule that is never asked.
  auto* entry = reinterpret_cast<sluice_entry*>(line(flows[0].line));
  std::atomic_ref(entry->packets).fetch_add(count.packets);
  std::atomic_ref(entry->bytes).fetch_add(count.bytes);
  if (entry->slot_or_last == 0) {
    entry->slot_or_last = static_cast<std::uint32_t>(count.last_hit >> 24);
  }
}

void LiveList::carry_over(const LiveList& old) {
  carry(Image::kUnmatched, old.unmatched());
  carry(Image::kFragments, old.fragments());
  std::unordered_multimap<std::string, RuleCount> known;
  for (std::size_t i = 0; i < old.rules_.size(); ++i) {
    const RuleCount count = old.count(i);
    if (count.packets != 0) known.emplace(identity(old.rules_[i]), count);
  }
  if (known.empty()) return;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const auto found = known.find(identity(rules_[i]));
    if (found == known.end()) continue;
    carry_rule(i, found->second);
    known.erase(found);
  }
}

}  // namespace sluice::steering
