// SPDX-License-Identifier: Apache-2.0
// RangeSet: a set of whole numbers as sorted ranges, none touching the next.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::steering {

__extension__ using Uint128 = unsigned __int128;

template <class T>
struct Range {
  T first;
  T last;  // Included.
  friend bool operator==(const Range&, const Range&) = default;
};

template <class T>
class RangeSet {
 public:
  RangeSet() = default;
  RangeSet(T first, T last) : ranges_{{first, last}} {}
  // In any order, overlapping or not.
  explicit RangeSet(std::vector<Range<T>> ranges) : ranges_(std::move(ranges)) {
    std::ranges::sort(ranges_, {}, &Range<T>::first);
    join();
  }

  [[nodiscard]] bool empty() const { return ranges_.empty(); }
  [[nodiscard]] std::span<const Range<T>> ranges() const { return ranges_; }
  [[nodiscard]] bool is_all(T last) const {
    return ranges_.size() == 1 && ranges_[0].first == 0 &&
           ranges_[0].last == last;
  }

  [[nodiscard]] RangeSet operator&(const RangeSet& other) const {
    RangeSet both;
    std::size_t i = 0;
    std::size_t k = 0;
    while (i < ranges_.size() && k < other.ranges_.size()) {
      const Range<T>& a = ranges_[i];
      const Range<T>& b = other.ranges_[k];
      const T first = std::max(a.first, b.first);
      const T last = std::min(a.last, b.last);
      if (first <= last) both.ranges_.push_back({first, last});
      (a.last < b.last ? i : k) += 1;
    }
    return both;
  }
  [[nodiscard]] RangeSet operator|(const RangeSet& other) const {
    RangeSet either;
    either.ranges_.resize(ranges_.size() + other.ranges_.size());
    std::ranges::merge(ranges_, other.ranges_, either.ranges_.begin(), {},
                       &Range<T>::first, &Range<T>::first);
    either.join();
    return either;
  }
  // What is not in it, from 0 to `last`.
  [[nodiscard]] RangeSet complement(T last) const {
    RangeSet rest;
    T next = 0;
    for (const Range<T>& range : ranges_) {
      if (range.first > next) {
        rest.ranges_.push_back({next, static_cast<T>(range.first - 1)});
      }
      if (range.last == last) return rest;
      next = static_cast<T>(range.last + 1);
    }
    rest.ranges_.push_back({next, last});
    return rest;
  }

  friend bool operator==(const RangeSet&, const RangeSet&) = default;

 private:
  void join() {
    std::size_t kept = 0;
    for (std::size_t i = 1; i < ranges_.size(); ++i) {
      Range<T>& previous = ranges_[kept];
      const bool touches = ranges_[i].first <= previous.last ||
                           ranges_[i].first - previous.last == 1;
      if (touches) {
        previous.last = std::max(previous.last, ranges_[i].last);
      } else {
        ranges_[++kept] = ranges_[i];
      }
    }
    if (!ranges_.empty()) ranges_.resize(kept + 1);
  }

  std::vector<Range<T>> ranges_;
};

}  // namespace sluice::steering
