// SPDX-License-Identifier: Apache-2.0
#include <sluice/bypass.hpp>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>
#include <random>

namespace sluice {
namespace {

using Key = sluice_bypass_key;
constexpr std::size_t kWays = SLUICE_BYPASS_WAYS;
// Of the 15 entries of a bucket: hashes do not fill buckets evenly.
constexpr std::uint32_t kFlowsPerBucket = 8;

std::uint32_t buckets_of(std::uint32_t flows) {
  return std::max(1U, (flows + kFlowsPerBucket - 1) / kFlowsPerBucket);
}

// The program adds and reads at the same time: every word is an atomic one.
template <class T>
T load(const T& word) noexcept {
  return std::atomic_ref(const_cast<T&>(word)).load();
}
template <class T>
void store(T& word, T value) noexcept {
  std::atomic_ref(word).store(value);
}

// False: it is no longer what it was.
bool replace(__u64& word, __u64 was, __u64 becomes) noexcept {
  return std::atomic_ref(word).compare_exchange_strong(was, becomes);
}

std::uint64_t word_at(const std::uint8_t* bytes) noexcept {
  std::uint64_t word = 0;
  for (int i = 0; i < 8; ++i) word = word << 8 | bytes[i];
  return word;
}

bool is_extension(Protocol protocol) noexcept {
  return protocol == Protocol::hop_by_hop || protocol == Protocol::routing ||
         protocol == Protocol::fragment ||
         protocol == Protocol::authentication ||
         protocol == Protocol::destination_options;
}

// None: packets of that flow are not bypassed.
std::optional<Key> key_of(const FlowKey& flow) noexcept {
  Key key{};
  const auto& from = flow.source.bytes;
  const auto& to = flow.destination.bytes;
  if (flow.version == 4) {
    key.word[0] = word_at(from.data() + 8) << 32;
    key.word[2] = word_at(to.data() + 8) << 32;
  } else if (flow.version == 6 && !is_extension(flow.protocol)) {
    key.word[0] = word_at(from.data());
    key.word[1] = word_at(from.data() + 8);
    key.word[2] = word_at(to.data());
    key.word[3] = word_at(to.data() + 8);
  } else {
    return std::nullopt;
  }
  key.word[4] = std::uint64_t{flow.version} << 40 |
                std::uint64_t{static_cast<std::uint8_t>(flow.protocol)} << 32;
  if (flow.protocol == Protocol::tcp || flow.protocol == Protocol::udp) {
    key.word[4] |= std::uint64_t{flow.source_port} << 16;
    key.word[4] |= std::uint64_t{flow.destination_port};
  }
  return key;
}

bool same(const Key& a, const Key& b) noexcept {
  for (std::size_t i = 0; i < 5; ++i) {
    if (load(a.word[i]) != b.word[i]) return false;
  }
  return true;
}

std::uint64_t until_of(std::uint64_t state) noexcept {
  return state >> SLUICE_BYPASS_UNTIL;
}

// The state that follows: another generation.
std::uint64_t next_state(std::uint64_t state, std::uint64_t until,
                         std::uint64_t low) noexcept {
  constexpr std::uint64_t kGenerations = 0xffff0;
  return until << SLUICE_BYPASS_UNTIL | ((state + 0x10) & kGenerations) | low;
}

}  // namespace

std::size_t BypassTable::bytes(std::uint32_t flows) noexcept {
  assert(flows <= kFlowsMax);
  return (1 + std::size_t{buckets_of(flows)}) * kWays * sizeof(sluice_line);
}

void BypassTable::make(std::span<std::byte> memory, std::uint32_t flows) {
  assert(memory.size() >= bytes(flows));
  sluice_bypass_head head{};
  std::random_device random;
  for (__u64& each : head.hash) {
    each = std::uint64_t{random()} << 32 | random() | 1;
  }
  head.buckets = buckets_of(flows);
  std::memcpy(memory.data(), &head, sizeof head);
}

BypassTable::BypassTable(std::span<std::byte> memory,
                         std::uint32_t& bypassing) noexcept
    : lines_(reinterpret_cast<sluice_line*>(memory.data())),
      bypassing_(&bypassing) {}

// As bypass() of the program does.
BypassTable::Place BypassTable::place_of(const Key& key) const noexcept {
  const auto& head = reinterpret_cast<const sluice_bypass_head&>(lines_[0]);
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < 5; ++i) hash += key.word[i] * head.hash[i];
  for (int i = 0; i < 2; ++i) hash = (hash ^ hash >> 32) * head.hash[5];
  const std::uint64_t bucket = (hash >> 32) * head.buckets >> 32;
  return {(1 + bucket) * kWays, static_cast<std::uint32_t>(hash) | 1};
}

sluice_bypassed& BypassTable::entry(const Place& place,
                                    std::size_t way) const noexcept {
  return reinterpret_cast<sluice_bypassed&>(lines_[place.bucket + way]);
}

std::uint32_t& BypassTable::tag(const Place& place,
                                std::size_t way) const noexcept {
  return reinterpret_cast<sluice_bypass_tags&>(lines_[place.bucket]).tag[way];
}

sluice_bypass_counts& BypassTable::counts() const noexcept {
  return reinterpret_cast<sluice_bypass_counts&>(lines_[1]);
}

// The state is the same before the key is looked at and after.
BypassTable::Entry BypassTable::find(const Place& place,
                                     const Key& key) const noexcept {
  for (std::size_t way = 1; way < kWays; ++way) {
    if (load(tag(place, way)) != place.tag) continue;
    const sluice_bypassed& at = entry(place, way);
    const std::uint64_t state = load(at.state);
    if ((state & SLUICE_BYPASS_BUSY) != 0) continue;
    if (same(at.key, key) && load(at.state) == state) return {way, state};
  }
  return {};
}

// One that was never used, or else the one that would expire first.
BypassTable::Entry BypassTable::victim(const Place& place,
                                       std::uint64_t now) const noexcept {
  Entry best;
  for (std::size_t way = 1; way < kWays; ++way) {
    if (load(tag(place, way)) != 0) continue;
    const std::uint64_t state = load(entry(place, way).state);
    if (state == 0) return {way, state};
  }
  for (std::size_t way = 1; way < kWays; ++way) {
    const std::uint64_t state = load(entry(place, way).state);
    if ((state & SLUICE_BYPASS_BUSY) != 0) continue;
    if (until_of(state) <= now) return {way, state};
    if (best.way == 0 || until_of(state) < until_of(best.state)) {
      best = {way, state};
    }
  }
  return best;
}

// While it is busy nobody else writes it, and nobody believes what is there.
bool BypassTable::fill(const Place& place, Entry at, const Key& key,
                       std::uint64_t state) noexcept {
  sluice_bypassed& to = entry(place, at.way);
  const std::uint64_t busy = next_state(at.state, 0, SLUICE_BYPASS_BUSY);
  if (!replace(to.state, at.state, busy)) return false;
  for (std::size_t i = 0; i < 5; ++i) store(to.key.word[i], key.word[i]);
  store<__u64>(to.packets, 0);
  store<__u64>(to.bytes, 0);
  store(tag(place, at.way), place.tag);
  store<__u64>(to.state, next_state(busy, until_of(state), state & 7));
  return true;
}

bool BypassTable::insert(const FlowKey& flow, Action action,
                         std::chrono::seconds time, Time now) noexcept {
  if (action != Action::drop && action != Action::pass &&
      action != Action::reflect) {
    return false;
  }
  const auto key = key_of(flow);
  if (!key) return false;
  // Four years, and no overflow.
  constexpr std::int64_t kLongest = std::int64_t{1} << 27;
  const auto lasts = static_cast<std::uint64_t>(
      std::clamp(std::int64_t{time.count()}, std::int64_t{0}, kLongest));
  const std::uint64_t passed = now.ns >> SLUICE_BYPASS_UNIT;
  const std::uint64_t until =
      lasts == 0 ? 0
                 : ((now.ns + lasts * 1'000'000'000) >> SLUICE_BYPASS_UNIT) + 1;
  const std::uint64_t wanted =
      next_state(0, until, static_cast<std::uint64_t>(action));
  const Place place = place_of(*key);
  constexpr int kTries = 3;  // Others may be at the same bucket.
  for (int i = 0; i < kTries; ++i) {
    if (const Entry own = find(place, *key); own.way != 0) {
      const std::uint64_t next = next_state(own.state, until, wanted & 7);
      if (replace(entry(place, own.way).state, own.state, next)) return true;
      continue;
    }
    if (until == 0) return true;
    const Entry at = victim(place, passed);
    if (at.way == 0 || !fill(place, at, *key, wanted)) continue;
    ++std::atomic_ref(counts().inserted);
    if (until_of(at.state) > passed) ++std::atomic_ref(counts().evicted);
    if (load(*bypassing_) == 0) store(*bypassing_, 1U);
    return true;
  }
  return false;
}

std::optional<Action> BypassTable::ask(const FlowKey& flow, std::uint32_t bytes,
                                       Time now) noexcept {
  const auto key = key_of(flow);
  if (!key) return std::nullopt;
  const Place place = place_of(*key);
  const Entry at = find(place, *key);
  if (at.way == 0 || until_of(at.state) <= now.ns >> SLUICE_BYPASS_UNIT) {
    return std::nullopt;
  }
  sluice_bypassed& found = entry(place, at.way);
  ++std::atomic_ref(found.packets);
  std::atomic_ref(found.bytes) += bytes;
  return static_cast<Action>(at.state & 7);
}

std::optional<BypassTable::FlowCount> BypassTable::count(
    const FlowKey& flow) const noexcept {
  const auto key = key_of(flow);
  if (!key) return std::nullopt;
  const Place place = place_of(*key);
  const Entry at = find(place, *key);
  if (at.way == 0) return std::nullopt;
  const sluice_bypassed& found = entry(place, at.way);
  return FlowCount{load(found.packets), load(found.bytes)};
}

std::uint64_t BypassTable::inserted() const noexcept {
  return load(counts().inserted);
}

std::uint64_t BypassTable::evicted() const noexcept {
  return load(counts().evicted);
}

}  // namespace sluice
