// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cassert>
#include <sluice/testing/sim_kernel.hpp>

namespace sluice::testing {
namespace {

using std::chrono::microseconds;

// A turn of the loop, from one look at the clock to the next.
constexpr Duration kTurnTime = microseconds(2);
constexpr Duration kCallTime = microseconds(1);
// From the packet to the first instruction of who slept.
constexpr Duration kWakeTime = microseconds(20);

}  // namespace

SimKernel::SimKernel(std::span<std::byte> umem, std::uint32_t frame_size,
                     std::uint64_t seed)
    : world_(umem, frame_size, seed) {}

SimPort& SimKernel::add_port(const SimPortOptions& options) {
  assert(ports_.size() < 32);
  return ports_.emplace_back(world_, static_cast<std::uint8_t>(ports_.size()),
                             options);
}

void SimKernel::heal() {
  for (SimPort& port : ports_) {
    port.set_link(true);
    port.set_carrier(true);
    port.return_now();
    port.stick(Time{});
  }
}

void SimKernel::tick() noexcept {
  for (SimPort& port : ports_) port.tick();
  if (stop_at_ <= world_.clock) {
    stop_at_ = Time::never();
    post({Event::Kind::stop, 0});
  }
}

Time SimKernel::next_due() noexcept {
  Time due = stop_at_;
  for (SimPort& port : ports_) due = std::min(due, port.next_due());
  return due;
}

// Not in one leap: what happens on the way happens at its own time.
void SimKernel::go_to(Time time) noexcept {
  while (world_.clock < time) {
    world_.clock =
        std::min(time, std::max(next_due(), world_.clock + Duration(1)));
    tick();
  }
}

int SimKernel::kick_tx(std::uint8_t port) noexcept {
  go_to(world_.clock + world_.random.up_to(kCallTime));
  tick();
  const int error = ports_[port].kick();
  world_.note('k', port, static_cast<std::uint64_t>(error));
  return error;
}

int SimKernel::wake_rx(std::uint8_t port) noexcept {
  go_to(world_.clock + world_.random.up_to(kCallTime));
  tick();
  return ports_[port].wake();
}

void SimKernel::wake_tx(std::uint8_t port) noexcept {
  go_to(world_.clock + world_.random.up_to(kCallTime));
  tick();
  ports_[port].wake_tx();
}

Time SimKernel::now() noexcept {
  go_to(world_.clock + world_.random.up_to(kTurnTime));
  tick();
  return world_.clock;
}

bool SimKernel::next_event(Event& event) noexcept {
  if (world_.events.empty()) return false;
  event = world_.events.front();
  world_.events.pop_front();
  world_.note('e', static_cast<std::uint64_t>(event.kind), event.port);
  return true;
}

void SimKernel::wait(Time deadline, std::uint32_t watched) noexcept {
  tick();
  world_.note('z', deadline.ns, watched);
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    if ((watched >> i & 1U) != 0 && !ports_[i].lost() &&
        ports_[i].rx_.used() > 0) {
      world_.showed(SimTrait::wake_missed);
    }
  }
  world_.arrived = 0;
  if (world_.clock < deadline &&
      world_.strikes(world_.faults.wake_spurious, SimTrait::wake_spurious, 0)) {
    deadline = std::min(deadline,
                        world_.clock + world_.random.up_to(microseconds(500)));
  }
  while (world_.clock < deadline && world_.events.empty()) {
    world_.clock =
        std::min(deadline, std::max(next_due(), world_.clock + Duration(1)));
    tick();
    if ((world_.arrived & watched) != 0) {
      go_to(world_.clock + world_.random.up_to(kWakeTime));
      return;
    }
  }
}

std::string SimKernel::schedule() const {
  const SimFaults& faults = world_.faults;
  std::string text = "rates: enxio " + std::to_string(faults.kick_enxio) +
                     ", enobufs " + std::to_string(faults.kick_enobufs) +
                     ", eintr " + std::to_string(faults.kick_eintr) +
                     ", eagain " + std::to_string(faults.kick_eagain) +
                     ", refused " + std::to_string(faults.tx_refused) +
                     ", stuck " + std::to_string(faults.tx_stuck) + ", late " +
                     std::to_string(faults.completion_late) + ", flap " +
                     std::to_string(faults.link_flap) + ", split " +
                     std::to_string(faults.chain_split) + ", cut " +
                     std::to_string(faults.chain_cut) + ", lost " +
                     std::to_string(faults.port_lost) + ", spurious " +
                     std::to_string(faults.wake_spurious) +
                     "\nlatest faults:\n";
  for (const SimWorld::Strike& strike : world_.strikes_log) {
    text += "  " + std::to_string(strike.at.ns) + " ns port " +
            std::to_string(strike.port) + ": " + name_of(strike.trait) + "\n";
  }
  return text;
}

}  // namespace sluice::testing
