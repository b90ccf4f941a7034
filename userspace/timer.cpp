// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cassert>
#include <sluice/timer.hpp>

namespace sluice {

void Timers::every(Duration period, Time now, std::function<void()> function) {
  assert(period > Duration::zero());
  timers_.push_back({now + period, period, std::move(function)});
  next_ = std::min(next_, timers_.back().due);
}

std::uint32_t Timers::run_due(Time now) noexcept {
  std::uint32_t ran = 0;
  next_ = Time::never();
  // By index: a function may add a timer.
  for (std::size_t i = 0; i < timers_.size(); ++i) {
    Timer& timer = timers_[i];
    if (timer.due <= now) {
      timer.due = timer.due + timer.period;
      if (timer.due <= now) timer.due = now + timer.period;
      timer.function();
      ++ran;
    }
    next_ = std::min(next_, timer.due);
  }
  return ran;
}

}  // namespace sluice
