// SPDX-License-Identifier: Apache-2.0
#include "classes.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace sluice::steering {
namespace {

std::uint64_t mix(std::uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

sluice_node empty_node() {
  sluice_node node{};
  std::ranges::fill(node.last, std::uint16_t{0xffff});
  return node;
}

constexpr std::size_t kNodeIntervals = 10;
// A table of a whole chunk takes 256 KiB: worth it for so many runs.
constexpr std::size_t kWideSegments = 256;

// A run of chunks that lead to the same place.
struct Segment {
  std::uint32_t last;
  std::uint32_t ref;
};

// Builds the nodes below one another.
template <class T>
class Planter {
 public:
  Planter(std::span<const Interval<T>> intervals, Lines& lines)
      : intervals_(intervals), lines_(lines) {}

  // The node for the 2^bits values from `first` on, of which the next `chunk`
  // bits are looked at. `at`: the interval in which `first` is; left at the
  // interval in which the last of them is.
  std::uint32_t node(T first, unsigned bits, unsigned chunk, std::size_t& at) {
    const T span = ones(bits);
    if (last_of(at) >= first + span) return intervals_[at].ref;
    const std::size_t begin = at;
    const bool is_small = walk(first, bits, chunk, at, kNodeIntervals, nullptr);
    at = begin;
    std::vector<Segment> segments;
    const bool is_wide = chunk == 16 && !is_small &&
                         !walk(first, bits, chunk, at, kWideSegments, nullptr);
    at = begin;
    if (is_small || chunk == 8 || is_wide) {
      walk(first, bits, chunk, at, std::size_t{1} << chunk, &segments);
      return is_small ? small(segments) : direct(segments, chunk);
    }
    // By the high byte, then by what is left of the chunk.
    std::vector<Segment> bytes;
    const unsigned below = bits - 8;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const T start = first + (static_cast<T>(byte) << below);
      while (last_of(at) < start) ++at;
      bytes.push_back({byte, node(start, below, 8, at)});
    }
    return direct(bytes, 8);
  }

 private:
  // 2^bits - 1, also where that is all there is.
  static T ones(unsigned bits) {
    return static_cast<T>(
        static_cast<T>(static_cast<T>(T{1} << (bits - 1)) - 1) * 2 + 1);
  }
  [[nodiscard]] T last_of(std::size_t at) const {
    return at + 1 == intervals_.size()
               ? static_cast<T>(~T{0})
               : static_cast<T>(intervals_[at + 1].first - 1);
  }

  // The runs of chunks that lead to one place: collects them, planting what is
  // below, or only says if there are at most `most`.
  bool walk(T first, unsigned bits, unsigned chunk, std::size_t& at,
            std::size_t most, std::vector<Segment>* segments) {
    const unsigned below = bits - chunk;
    const T width_less_one = below == 0 ? T{0} : ones(below);
    const std::uint32_t count = 1u << chunk;
    std::size_t runs = 0;
    for (std::uint32_t value = 0; value < count; ++runs) {
      if (runs == most) return false;
      const T start = static_cast<T>(first + (static_cast<T>(value) << below));
      while (last_of(at) < start) ++at;
      std::uint32_t next = value + 1;
      std::uint32_t ref = 0;
      if (last_of(at) - start >= width_less_one) {
        // Whole chunks of one interval.
        const T room = static_cast<T>((last_of(at) - start) - width_less_one);
        const T more = static_cast<T>(room >> below);
        next += static_cast<std::uint32_t>(
            std::min(more, static_cast<T>(count - next)));
        ref = intervals_[at].ref;
      } else if (segments != nullptr) {
        ref = node(start, below, std::min(below, 16u), at);
      }
      if (segments != nullptr) segments->push_back({next - 1, ref});
      value = next;
    }
    return true;
  }

  std::uint32_t small(const std::vector<Segment>& segments) {
    if (segments.size() == 1) return segments[0].ref;
    sluice_node made = empty_node();
    for (std::size_t i = 0; i < kNodeIntervals; ++i) {
      const Segment& segment = segments[std::min(i, segments.size() - 1)];
      made.ref[i] = segment.ref;
      if (i + 1 < segments.size()) {
        made.last[i] = static_cast<std::uint16_t>(segment.last);
      }
    }
    const std::uint32_t line = lines_.add(1);
    lines_.put(line, made);
    return line;
  }

  std::uint32_t direct(const std::vector<Segment>& segments, unsigned chunk) {
    const std::uint32_t count = 1u << chunk;
    const std::uint32_t line = lines_.add(count / 16);
    std::size_t at = 0;
    for (std::uint32_t value = 0; value < count; ++value) {
      while (segments[at].last < value) ++at;
      lines_.put(line, value, segments[at].ref);
    }
    return line | (chunk == 8 ? SLUICE_DIRECT : SLUICE_WIDE);
  }

  std::span<const Interval<T>> intervals_;
  Lines& lines_;
};

}  // namespace

std::size_t Records::Hash::operator()(const Bits& bits) const {
  std::uint64_t hash = 0;
  for (const std::uint64_t word : bits) hash = mix(hash + word + 1);
  return hash;
}

std::uint32_t Records::add(const Bits& bits) {
  const auto [found, is_new] = known_.try_emplace(bits);
  if (!is_new) return found->second;
  std::uint32_t& line = found->second;
  // From the last bank to the first, as each names the next.
  for (std::size_t bank = banks_; bank-- > 0;) {
    line = add_bank(std::span(bits).subspan(bank * 64, 64), line);
  }
  return line;
}

std::uint32_t Records::add_bank(std::span<const std::uint64_t> bits,
                                std::uint32_t next) {
  sluice_record record{};
  record.next = next;
  std::vector<std::uint64_t> mixed;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (bits[i] == 0) continue;
    record.any |= 1ull << i;
    if (~bits[i] == 0) continue;
    record.mixed |= 1ull << i;
    mixed.push_back(bits[i]);
  }
  record.words[0] = bits[0];
  constexpr std::size_t kBefore =
      offsetof(sluice_record, words) / sizeof record.words[0];
  const std::uint32_t line = lines_.add((kBefore + mixed.size() + 7) / 8);
  lines_.put(line, record);
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    lines_.put(line, kBefore + i, mixed[i]);
  }
  return line;
}

Sweep::Sweep(Records& records, Bits begin)
    : records_(records), bits_(std::move(begin)) {}

void Sweep::toggle(std::size_t place) {
  bits_[place / 64] ^= 1ull << place % 64;
  hash_ ^= mix(place + 1);
  hash2_ ^= mix(~place);
}

std::uint32_t Sweep::leaf() {
  const auto [found, is_new] = leaves_.try_emplace(Key{hash_, hash2_});
  if (is_new) found->second = records_.add(bits_) | SLUICE_LEAF;
  return found->second;
}

template <class T>
std::vector<Interval<T>> intervals_of(std::span<const Allowed<T>> allowed,
                                      Records& records, const Bits& begin,
                                      T last) {
  struct Event {
    T at;
    std::size_t place;
  };
  std::vector<Event> events;
  for (const Allowed<T>& each : allowed) {
    for (const Range<T>& range : each.ranges) {
      events.push_back({range.first, each.place});
      if (range.last < last) {
        events.push_back({static_cast<T>(range.last + 1), each.place});
      }
    }
  }
  std::ranges::sort(events, {}, &Event::at);
  Sweep sweep(records, begin);
  std::vector<Interval<T>> intervals;
  std::size_t next = 0;
  T at = 0;
  for (;;) {
    for (; next < events.size() && events[next].at == at; ++next) {
      sweep.toggle(events[next].place);
    }
    const std::uint32_t leaf = sweep.leaf();
    if (intervals.empty() || intervals.back().ref != leaf) {
      intervals.push_back({at, leaf});
    }
    if (next == events.size()) return intervals;
    at = events[next].at;
  }
}

template <class T>
std::uint32_t plant(std::span<const Interval<T>> intervals, unsigned bits,
                    Lines& lines) {
  if (intervals.size() == 1) return intervals[0].ref;
  std::size_t at = 0;
  return Planter<T>(intervals, lines).node(T{0}, bits, 16, at);
}

template std::vector<Interval<std::uint32_t>> intervals_of(
    std::span<const Allowed<std::uint32_t>>, Records&, const Bits&,
    std::uint32_t);
template std::vector<Interval<Uint128>> intervals_of(
    std::span<const Allowed<Uint128>>, Records&, const Bits&, Uint128);
template std::uint32_t plant(std::span<const Interval<std::uint32_t>>, unsigned,
                             Lines&);
template std::uint32_t plant(std::span<const Interval<Uint128>>, unsigned,
                             Lines&);

}  // namespace sluice::steering
