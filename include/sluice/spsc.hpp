// SPDX-License-Identifier: Apache-2.0
// Spsc: a bounded queue from one thread to one other.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace sluice {

/// Single producer, single consumer; Size is a power of two. Never blocks.
template <class T, std::uint32_t Size>
class Spsc {
  static_assert(std::has_single_bit(Size));

 public:
  /// Producer. False when full: nothing was stored.
  [[nodiscard]] bool push(const T& value) noexcept {
    const auto head = head_.load(std::memory_order_relaxed);
    // Acquire: the consumer is done with the slot before we write it again.
    if (head - tail_.load(std::memory_order_acquire) == Size) return false;
    slots_[head % Size] = value;
    // Release: the slot is written before the index that covers it.
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  /// Consumer. False when empty.
  [[nodiscard]] bool pop(T& value) noexcept {
    const auto tail = tail_.load(std::memory_order_relaxed);
    // Acquire: the index is seen before the slot it covers is read.
    if (head_.load(std::memory_order_acquire) == tail) return false;
    value = slots_[tail % Size];
    // Release: our read is done before the producer may write the slot again.
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  /// Consumer: there is something to pop.
  [[nodiscard]] bool ready() const noexcept {
    return head_.load(std::memory_order_acquire) !=
           tail_.load(std::memory_order_relaxed);
  }

 private:
  alignas(64) std::atomic<std::uint32_t> head_ = 0;
  alignas(64) std::atomic<std::uint32_t> tail_ = 0;
  alignas(64) std::array<T, Size> slots_{};
};

}  // namespace sluice
