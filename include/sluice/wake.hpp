// SPDX-License-Identifier: Apache-2.0
// Wake: how a sleeper and its wakers agree, so that no wake-up is lost.
//
// The sleeper says that it will sleep, *then* looks once more for work; a waker
// makes work visible, *then* looks whether anybody sleeps. Each side stores
// before it loads, and the full fence between the two keeps the store from
// being overtaken by the load. So at least one of them sees the other.
// Without the fence both may miss (Dekker's pattern; the store buffer does it).
#pragma once

#include <atomic>

namespace sluice {

class Wake {
 public:
  /// Sleeper, first step: look for work once more before you sleep after this.
  void prepare() noexcept {
    sleeping_.store(true, std::memory_order_relaxed);
    // Full fence: `sleeping_` is visible before the last look for work.
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }

  /// Sleeper: awake, or not asleep after all.
  void done() noexcept { sleeping_.store(false, std::memory_order_relaxed); }

  /// Waker, after making work visible: true when the caller must wake the
  /// sleeper. True once per sleep, whoever asks.
  [[nodiscard]] bool claim() noexcept {
    // Full fence: the work is visible before `sleeping_` is read.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return sleeping_.load(std::memory_order_relaxed) &&
           sleeping_.exchange(false, std::memory_order_relaxed);
  }

 private:
  std::atomic<bool> sleeping_ = false;
};

}  // namespace sluice
