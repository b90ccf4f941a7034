// SPDX-License-Identifier: Apache-2.0
// SimRing: the memory of one ring, and the kernel's end of it.
//
// What ring.hpp is to user space, with the roles exchanged: the kernel takes
// from FILL and TX, and puts into RX and COMPLETION. The memory orders are the
// kernel's own, so that the two ends may be on different threads.
// Source: net/xdp/xsk_queue.h.
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>
#include <sluice/ring.hpp>
#include <vector>

namespace sluice::testing {

template <class T>
class SimRing {
 public:
  /// `size`: a power of two. `start`: where both indices begin.
  SimRing(std::uint32_t size, std::uint32_t start)
      : slots_(size), producer_{start}, consumer_{start} {}
  SimRing(const SimRing&) = delete;
  SimRing& operator=(const SimRing&) = delete;

  /// For the end in user space. Valid as long as the ring.
  [[nodiscard]] RingMemory<T> memory() noexcept {
    return {&producer_.value, &consumer_.value, &flags_.value, slots_};
  }
  [[nodiscard]] std::uint32_t size() const noexcept {
    return static_cast<std::uint32_t>(slots_.size());
  }

  /// Empty again, as a new socket has it.
  void reset() noexcept {
    producer_.value = consumer_.value = 0;
    flags_.value = 0;
  }

  // --- FILL and TX ---------------------------------------------------------

  /// Entries to take.
  [[nodiscard]] std::uint32_t readable() noexcept {
    // Acquire: the index is seen before the slots it covers are read.
    return std::atomic_ref(producer_.value).load(std::memory_order_acquire) -
           consumer_.value;
  }
  /// The i-th of them. REQUIRES: i < readable().
  [[nodiscard]] const T& peek(std::uint32_t i = 0) const noexcept {
    return slots_[(consumer_.value + i) & (size() - 1)];
  }
  /// Gives the first `count` slots back to user space.
  void pop(std::uint32_t count = 1) noexcept {
    // Release: the slots are read before they may be written again.
    std::atomic_ref(consumer_.value)
        .store(consumer_.value + count, std::memory_order_release);
  }
  /// Asks user space for a system call, or no longer.
  void ask_for_wakeup(bool asked) noexcept {
    std::atomic_ref(flags_.value)
        .store(asked ? 1U : 0U, std::memory_order_relaxed);
  }

  // --- RX and COMPLETION ---------------------------------------------------

  /// Entries that may be put.
  [[nodiscard]] std::uint32_t room() noexcept {
    // Acquire: user space has read the slot before it is written again.
    return size() -
           (producer_.value -
            std::atomic_ref(consumer_.value).load(std::memory_order_acquire));
  }
  /// REQUIRES: room() > 0.
  void push(const T& entry) noexcept {
    assert(room() > 0);
    slots_[producer_.value & (size() - 1)] = entry;
    // Release: the slot is written before the index that covers it.
    std::atomic_ref(producer_.value)
        .store(producer_.value + 1, std::memory_order_release);
  }

  // --- From either side ----------------------------------------------------

  /// Entries put and not taken.
  [[nodiscard]] std::uint32_t used() noexcept {
    return std::atomic_ref(producer_.value).load(std::memory_order_acquire) -
           std::atomic_ref(consumer_.value).load(std::memory_order_acquire);
  }
  /// One past the last entry put, of all that ever were, modulo 2^32.
  [[nodiscard]] std::uint32_t produced() noexcept {
    return std::atomic_ref(producer_.value).load(std::memory_order_acquire);
  }
  /// The next entry to be taken, of all that ever were, modulo 2^32.
  [[nodiscard]] std::uint32_t consumed() noexcept {
    return std::atomic_ref(consumer_.value).load(std::memory_order_acquire);
  }

 private:
  // As the kernel lays them out: each on a cache line of its own.
  struct alignas(64) Line {
    std::uint32_t value = 0;
  };
  std::vector<T> slots_;
  Line producer_;
  Line consumer_;
  Line flags_;
};

}  // namespace sluice::testing
