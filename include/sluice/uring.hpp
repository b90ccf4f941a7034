// SPDX-License-Identifier: Apache-2.0
// Uring: one core's io_uring. Here it is where the core sleeps.
//
// A multishot poll stays armed on each descriptor that is watched. It fires on
// an edge: what was there before is not told of again, so who sleeps must have
// seen its rings empty after the poll was armed.
// Source: io_uring_enter(2), io_uring_prep_poll_multishot(3).
#pragma once

#include <memory>
#include <sluice/clock.hpp>
#include <sluice/result.hpp>

struct io_uring;

namespace sluice {

/// Made and used on one thread.
class Uring {
 public:
  /// Fails with EPERM or ENOSYS where a container or `kernel.io_uring_disabled`
  /// refuses it. System call: io_uring_setup(2).
  [[nodiscard]] static Result<std::unique_ptr<Uring>> open();
  /// Cancels the polls and waits for their last completions: a poll that is
  /// still armed would keep its socket alive for ever.
  ~Uring();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;

  /// Watches `fd`, one of up to 64, for input. System call: io_uring_enter(2).
  Result<void> watch(int fd);

  /// Stops watching `fd`; on return nothing here keeps its file open. Bounded:
  /// a second, where the kernel does not answer.
  void unwatch(int fd) noexcept;

  /// Sleeps until `deadline`, or until one of the watched descriptors has had
  /// an edge since the last call. Returns at once where a poll had to be armed
  /// anew: look again before you sleep. System call: io_uring_enter(2), one.
  void wait(Time deadline) noexcept;

 private:
  Uring();
  void arm(std::size_t index) noexcept;
  bool drain() noexcept;
  bool cancel(std::size_t index) noexcept;
  bool cancel_all() noexcept;
  void await_cancelled() noexcept;

  static constexpr std::size_t kWatchedMax = 64;
  struct Watch {
    int fd = -1;  // None: the place is free.
    bool armed = false;
    bool dead = false;  // Its device is gone: polling it would never block.
  };
  std::unique_ptr<io_uring> ring_;
  std::unique_ptr<Watch[]> watches_;
  std::size_t count_ = 0;
};

}  // namespace sluice
