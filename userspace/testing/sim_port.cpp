// SPDX-License-Identifier: Apache-2.0
// What both directions share: rings, link, time.
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <sluice/testing/sim_port.hpp>

namespace sluice::testing {
namespace {

// A device that is at work looks at TX so often.
constexpr Duration kDriverPeriod = std::chrono::microseconds(10);

}  // namespace

SimPort::SimPort(SimWorld& world, std::uint8_t index,
                 const SimPortOptions& options)
    : world_(world),
      options_(options),
      index_(index),
      fill_(2 * options.ring_size, options.start),
      rx_(options.ring_size, options.start),
      tx_(options.ring_size, options.start),
      completion_(options.ring_size, options.start),
      fill_seen_(options.start),
      tx_seen_(options.start) {
  tx_.ask_for_wakeup(true);
}

PortRings SimPort::rings() noexcept {
  return {fill_.memory(), rx_.memory(), tx_.memory(), completion_.memory()};
}

void SimPort::feed(SimSource source) {
  source_ = std::move(source);
  pull_arrival();
}

std::uint32_t SimPort::receiving() noexcept {
  if (stage_ == Stage::recovering) {
    return rebind_.step == Rebind::Step::parted ? closed_receiving_ : 0;
  }
  if (stage_ == Stage::lending) {
    return rebind_.step == Rebind::Step::lent
               ? static_cast<std::uint32_t>(rebind_.frames.size())
               : 0;
  }
  return fill_.used() + rx_.used() +
         static_cast<std::uint32_t>(spare_.size() + pending_.size());
}

std::uint32_t SimPort::transmitting() noexcept {
  if (stage_ == Stage::recovering) {
    return rebind_.step == Rebind::Step::parted ? closed_transmitting_ : 0;
  }
  if (stage_ == Stage::lending) return 0;
  return tx_.used() + completion_.used() +
         static_cast<std::uint32_t>(flights_.size() + outgoing_.size());
}

void SimPort::set_link(bool up) {
  if (up == link_up_) return;
  link_up_ = up;
  link_due_ = Time::never();
  if (carrier_) tell_of_link(up);
}

void SimPort::set_carrier(bool there) {
  if (there == carrier_) return;
  carrier_ = there;
  link_due_ = Time::never();
  if (link_up_) tell_of_link(there);
}

// As `running` goes: up, and with a carrier.
void SimPort::tell_of_link(bool up) {
  world_.showed(up ? SimTrait::link_up : SimTrait::link_down);
  world_.note('l', index_, up ? 1 : 0);
  world_.events.push_back(
      {up ? Event::Kind::link_up : Event::Kind::link_down, index_});
}

// At a packet or a kick the link may go down for a while, by either end, or the
// interface be deleted.
void SimPort::flap() {
  if (lost()) return;
  if (world_.random.chance(world_.faults.port_lost)) {
    return lose(world_.random.up_to(world_.faults.away_max));
  }
  if (!link_up_ || !carrier_) return;
  if (!world_.random.chance(world_.faults.link_flap)) return;
  if (world_.random.below(2) == 0) {
    set_link(false);
  } else {
    set_carrier(false);
  }
  link_due_ = world_.clock + world_.random.up_to(world_.faults.down_max);
}

void SimPort::settle_link() {
  if (link_due_ > world_.clock) return;
  set_link(true);
  set_carrier(true);
}

void SimPort::stick(Time until) { stuck_until_ = until; }

// What user space has put into the rings since: frames change hands when the
// index says so, not when the kernel gets to them.
void SimPort::scan() {
  for (const std::uint32_t end = fill_.produced(); fill_seen_ != end;
       ++fill_seen_) {
    world_.frames.entered(fill_.peek(fill_seen_ - fill_.consumed()),
                          SimFrames::Place::fill, index_, world_.clock);
    if (fill_seen_ == ~0U) world_.showed(SimTrait::index_wrapped);
  }
  for (const std::uint32_t end = tx_.produced(); tx_seen_ != end; ++tx_seen_) {
    world_.frames.entered(tx_.peek(tx_seen_ - tx_.consumed()).addr,
                          SimFrames::Place::tx, index_, world_.clock);
    if (tx_seen_ == ~0U) world_.showed(SimTrait::index_wrapped);
  }
}

int SimPort::wake() {
  world_.note('w', index_);
  if (lost()) return ENXIO;
  if (!link_up_) return ENETDOWN;
  if (options_.busy_polled) {
    poll();
  } else if (options_.zero_copy) {
    fill_asleep_ = false;
    prefetch();
  }
  return 0;
}

int SimPort::kick() {
  flap();
  const SimFaults& faults = world_.faults;
  if (lost()) {
    world_.showed(SimTrait::kick_enxio);
    return ENXIO;
  }
  if (!link_up_) {
    world_.showed(SimTrait::kick_enetdown);
    return ENETDOWN;
  }
  if (world_.strikes(faults.kick_enxio, SimTrait::kick_enxio, index_)) {
    return ENXIO;
  }
  if (world_.strikes(faults.kick_enobufs, SimTrait::kick_enobufs, index_)) {
    return ENOBUFS;
  }
  if (world_.strikes(faults.kick_eintr, SimTrait::kick_eintr, index_)) {
    return EINTR;
  }
  if (world_.strikes(faults.tx_stuck, SimTrait::tx_stuck, index_)) {
    stick(world_.clock + faults.stuck_for);
  }
  if (options_.busy_polled) poll();
  if (options_.zero_copy && options_.busy_polled) return 0;
  if (options_.zero_copy) {
    tx_active_ = true;
    tx_.ask_for_wakeup(false);
    return 0;
  }
  if (tx_.readable() > 0 &&
      world_.strikes(faults.kick_eagain, SimTrait::kick_eagain, index_)) {
    return EAGAIN;
  }
  return take_batch();
}

void SimPort::tick() {
  if (lost()) rebind();
  scan();
  settle_link();
  if (!pending_.empty() && pending_due_ <= world_.clock) push_pending();
  while (source_ && arrival_.at <= world_.clock) {
    take_in(arrival_.bytes);
    pull_arrival();
  }
  if (lost()) return;
  if (options_.busy_polled) {
    if (polled_ + options_.deferral <= world_.clock) poll();
    if (!options_.tx_apart) return;
  } else if (options_.zero_copy) {
    prefetch();
  }
  transmit();
}

Time SimPort::next_due() noexcept {
  Time due = std::min(link_due_, poll_due());
  if (source_) due = std::min(due, arrival_.at);
  if (!pending_.empty()) due = std::min(due, pending_due_);
  if (tx_active_) due = std::min(due, world_.clock + kDriverPeriod);
  if (lost()) due = std::min(source_ ? arrival_.at : due, rebind_due());
  return due;
}

}  // namespace sluice::testing
