// SPDX-License-Identifier: Apache-2.0
// Counter, Gauge, Histogram: written by one thread, read by any.
//
// A relaxed load and a relaxed store are plain moves: nothing is locked, and a
// reader on another core sees each value whole, if perhaps a little late.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sluice {

/// Counts up. One writer.
class Counter {
 public:
  void add(std::uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n,
                 std::memory_order_relaxed);
  }
  Counter& operator++() noexcept {
    add(1);
    return *this;
  }
  Counter& operator+=(std::uint64_t n) noexcept {
    add(n);
    return *this;
  }
  [[nodiscard]] std::uint64_t value() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

/// A value that goes up and down. One writer.
class Gauge {
 public:
  void set(std::int64_t value) noexcept {
    value_.store(value, std::memory_order_relaxed);
  }
  void add(std::int64_t n) noexcept { set(value() + n); }
  [[nodiscard]] std::int64_t value() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int64_t> value_ = 0;
};

/// Values by size, eight buckets to each power of two: a quantile is right to
/// within 12.5 %. One writer.
class Histogram {
 public:
  void record(std::uint64_t value) noexcept { ++buckets_[index_of(value)]; }

  [[nodiscard]] std::uint64_t count() const noexcept {
    std::uint64_t sum = 0;
    for (const Counter& bucket : buckets_) sum += bucket.value();
    return sum;
  }

  /// The smallest value a bucket may hold such that a `share` (0 to 1) of all
  /// values lie in it or below. 0 when nothing was recorded.
  [[nodiscard]] std::uint64_t quantile(double share) const noexcept {
    const auto total = static_cast<double>(count());
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i].value();
      if (seen > 0 && static_cast<double>(seen) >= share * total) {
        return lowest_of(i);
      }
    }
    return 0;
  }

 private:
  static constexpr std::size_t kSteps = 8;  // Buckets to a power of two.

  // Values below 8 have a bucket each; above, the top three bits after the
  // leading one choose among the eight of their power of two.
  static constexpr std::size_t index_of(std::uint64_t value) noexcept {
    if (value < kSteps) return static_cast<std::size_t>(value);
    const auto power = static_cast<std::size_t>(std::bit_width(value)) - 4;
    return power * kSteps + static_cast<std::size_t>(value >> power);
  }
  static constexpr std::uint64_t lowest_of(std::size_t index) noexcept {
    if (index < 2 * kSteps) return index;
    const std::size_t power = index / kSteps - 1;
    return (kSteps + index % kSteps) << power;
  }

  std::array<Counter, 62 * kSteps> buckets_;
};

}  // namespace sluice
