// SPDX-License-Identifier: Apache-2.0
// Who has the driver work: by itself, or in calls of a loop that prefers busy
// polling. Source: net/core/dev.c, napi_busy_loop; net/xdp/xsk.c,
// xsk_no_wakeup.
#include <algorithm>
#include <sluice/testing/sim_port.hpp>

namespace sluice::testing {
namespace {

// Packets that a call moves at most.
constexpr int kBudget = 64;

}  // namespace

// A packet came in from the wire.
void SimPort::take_in(std::span<const std::byte> bytes) {
  if (!options_.busy_polled || lost()) {
    arrive(bytes);
  } else {
    nic_.emplace_back(bytes.begin(), bytes.end());
  }
}

// One round of the driver. FILL is looked at anew in each, and no flag asks for
// one: that is what the loop may not wait for.
void SimPort::poll() {
  polled_ = world_.clock;
  if (options_.zero_copy) {
    fill_asleep_ = false;
    prefetch();
    fill_.ask_for_wakeup(false);
  }
  for (int i = 0; i < kBudget && !nic_.empty() && !lost(); ++i) {
    const std::vector<std::byte> bytes = std::move(nic_.front());
    nic_.pop_front();
    arrive(bytes);
  }
  if (lost() || options_.tx_apart) return;
  if (options_.zero_copy) {
    drive_tx();
    tx_.ask_for_wakeup(false);
  }
  complete();
}

// TX, and what it took: without anybody's call.
void SimPort::transmit() {
  if (tx_active_) drive_tx();
  complete();
}

void SimPort::wake_tx() {
  if (lost() || !options_.zero_copy) return;
  tx_active_ = true;
  tx_.ask_for_wakeup(false);
}

// When frames come back, or packets, if nobody calls before.
Time SimPort::poll_due() noexcept {
  const Time flights =
      flights_.empty() ? Time::never() : std::max(flights_due_, stuck_until_);
  if (!options_.busy_polled) return flights;
  const Time unasked = polled_ + options_.deferral;
  Time due = options_.tx_apart ? flights : std::max(flights, unasked);
  const bool more = !nic_.empty() || (options_.zero_copy && tx_.used() > 0);
  if (more) due = std::min(due, unasked);
  return due;
}

}  // namespace sluice::testing
