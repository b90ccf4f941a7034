// SPDX-License-Identifier: Apache-2.0
// Timers: functions of a handler that the loop calls at their time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <sluice/clock.hpp>

namespace sluice {

/// A core's periodic timers. One thread.
class Timers {
 public:
  /// Calls `function` every `period` from `now` on. Allocates: for set-up.
  void every(Duration period, Time now, std::function<void()> function);

  /// Runs what is due, each timer at most once: a loop that was late does not
  /// make up for lost periods. Returns how many ran.
  std::uint32_t run(Time now) noexcept {
    return now < next_ ? 0 : run_due(now);
  }

  /// When the next one is due; Time::never() without timers.
  [[nodiscard]] Time next() const noexcept { return next_; }

 private:
  struct Timer {
    Time due;
    Duration period;
    std::function<void()> function;
  };
  std::uint32_t run_due(Time now) noexcept;

  // A handler has a few: a scan is cheapest. A deque, so that they stay put
  // when a timer's function adds another.
  std::deque<Timer> timers_;
  Time next_ = Time::never();
};

}  // namespace sluice
