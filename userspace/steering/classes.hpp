// SPDX-License-Identifier: Apache-2.0
// Classes: from the values of a field to the clauses that allow them.
#pragma once

#include <sluice/abi.h>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <unordered_map>
#include <vector>

#include "range_set.hpp"

namespace sluice::steering {

// A bit for each place of a clause, in words of 64.
using Bits = std::vector<std::uint64_t>;

// The lines of an image, as they come.
class Lines {
 public:
  Lines() : lines_(1) {}  // Line 0 is zero.

  std::uint32_t add(std::size_t count) {
    const std::size_t first = lines_.size();
    lines_.resize(first + count);
    return static_cast<std::uint32_t>(first);
  }
  // The line as what it is: T has its size.
  template <class T>
  void put(std::uint32_t line, const T& value) {
    static_assert(sizeof(T) == sizeof(sluice_line));
    std::memcpy(&lines_[line], &value, sizeof value);
  }
  // Element `index` of an array that begins at `line`.
  template <class T>
  void put(std::uint32_t line, std::size_t index, const T& value) {
    auto* bytes = reinterpret_cast<std::byte*>(&lines_[line]);
    std::memcpy(bytes + index * sizeof value, &value, sizeof value);
  }
  [[nodiscard]] std::vector<sluice_line> take() { return std::move(lines_); }
  [[nodiscard]] std::size_t size() const { return lines_.size(); }

 private:
  std::vector<sluice_line> lines_;
};

// Class records, each vector once.
class Records {
 public:
  Records(Lines& lines, std::size_t banks) : lines_(lines), banks_(banks) {}

  // Line of the first record. REQUIRES: banks * 64 words.
  std::uint32_t add(const Bits& bits);

 private:
  struct Hash {
    std::size_t operator()(const Bits& bits) const;
  };
  // Of 64 words; `next` is the line of the next bank's record.
  std::uint32_t add_bank(std::span<const std::uint64_t> bits,
                         std::uint32_t next);

  Lines& lines_;
  std::size_t banks_;
  std::unordered_map<Bits, std::uint32_t, Hash> known_;
};

// A set that changes one clause at a time, and its record.
class Sweep {
 public:
  Sweep(Records& records, Bits begin);

  void toggle(std::size_t place);
  // A leaf that refers to the record of the present set.
  std::uint32_t leaf();

 private:
  Records& records_;
  Bits bits_;
  std::uint64_t hash_ = 0;  // Of what was toggled.
  std::uint64_t hash2_ = 0;
  struct Key {
    std::uint64_t a, b;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const { return key.a; }
  };
  std::unordered_map<Key, std::uint32_t, Hash> leaves_;
};

// From `first` to where the next one begins.
template <class T>
struct Interval {
  T first;
  std::uint32_t ref;
};

// Which values clause `place` allows.
template <class T>
struct Allowed {
  std::size_t place;
  std::span<const Range<T>> ranges;
};

// Every value's leaf. The clauses of `begin` allow every value; `allowed` the
// others'. `last` is the largest value.
template <class T>
std::vector<Interval<T>> intervals_of(std::span<const Allowed<T>> allowed,
                                      Records& records, const Bits& begin,
                                      T last);

// A reference to the tree over `intervals`, whose values have `bits` bits: a
// multiple of 16.
template <class T>
std::uint32_t plant(std::span<const Interval<T>> intervals, unsigned bits,
                    Lines& lines);

}  // namespace sluice::steering
