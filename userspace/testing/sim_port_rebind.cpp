// SPDX-License-Identifier: Apache-2.0
// A port whose interface goes and comes: what the kernel forgets, and the part
// of whoever opens sockets.
#include <sluice/testing/sim_port.hpp>
#include <sluice/uapi.hpp>
#include <utility>

namespace sluice::testing {
namespace {

constexpr Duration kLook = std::chrono::microseconds(10);

}  // namespace

void SimPort::lose(Duration away) {
  if (lost()) return;
  scan();
  push_pending();
  stage_ = Stage::parting;
  back_at_ = world_.clock + away;
  link_due_ = Time::never();
  tx_active_ = false;
  for (; !nic_.empty(); nic_.pop_front()) arrive(nic_.front());
  world_.showed(SimTrait::port_lost);
  world_.events.push_back({Event::Kind::gone, index_, &rebind_});
}

// When the next step may be made, as far as it is ours.
Time SimPort::rebind_due() const noexcept {
  const bool waits =
      stage_ == Stage::recovering && rebind_.step == Rebind::Step::recovered;
  return waits ? back_at_ : world_.clock + kLook;
}

// One step at most, when the loop has made its own.
void SimPort::rebind() {
  const Rebind::Step step = rebind_.step;
  const auto post = [this](Event::Kind kind, Stage next) {
    stage_ = next;
    world_.events.push_back({kind, index_, &rebind_});
  };
  if (stage_ == Stage::parting && step == Rebind::Step::parted) {
    close_socket();
    post(Event::Kind::recover, Stage::recovering);
  } else if (stage_ == Stage::recovering && step == Rebind::Step::recovered &&
             world_.clock >= back_at_) {
    rebind_.frames.clear();
    rebind_.frames.reserve(options_.ring_size);
    post(Event::Kind::lend, Stage::lending);
  } else if (stage_ == Stage::lending && step == Rebind::Step::lent) {
    open_socket();
    post(Event::Kind::rebound, Stage::joining);
  } else if (stage_ == Stage::joining && step == Rebind::Step::joined) {
    stage_ = Stage::bound;
    back_at_ = Time::never();
    world_.showed(SimTrait::port_rebound);
  }
}

// All that the kernel had of this socket is user space's, and counts as the
// kernel's until user space has found it.
void SimPort::close_socket() {
  scan();
  closed_receiving_ = receiving();
  closed_transmitting_ = transmitting();
  wire_.unread += rx_.used();
  for (; fill_.readable() > 0; fill_.pop()) world_.frames.left(fill_.peek());
  for (; tx_.readable() > 0; tx_.pop()) cut_off(tx_.peek());
  for (const std::uint64_t addr : spare_) world_.frames.left(addr);
  for (const std::uint64_t addr : outgoing_) world_.frames.left(addr);
  for (const Flight& flight : flights_) world_.frames.left(flight.addr);
}

// Never sent. Of a packet that was given up its sink knows.
void SimPort::cut_off(const xdp_desc& desc) {
  const bool more = (desc.options & XDP_PKT_CONTD) != 0;
  outgoing_.push_back(desc.addr);
  if (more) return;
  if (std::exchange(draining_, false)) {
    for (const std::uint64_t addr : outgoing_) fly(addr);
    outgoing_.clear();
    return;
  }
  world_.showed(SimTrait::tx_cut_off);
  finish(SimFate::cut_off);
}

void SimPort::open_socket() {
  fill_.reset();
  rx_.reset();
  tx_.reset();
  completion_.reset();
  tx_.ask_for_wakeup(true);
  fill_seen_ = 0;
  tx_seen_ = 0;
  spare_.clear();
  pending_.clear();
  flights_.clear();
  flights_due_ = Time::never();
  outgoing_.clear();
  bytes_.clear();
  draining_ = false;
  fill_asleep_ = false;
  link_up_ = carrier_ = true;
  stuck_until_ = Time{};
  for (const std::uint64_t addr : rebind_.frames) fill_.push(addr);
  rebind_.rings = rings();
  rebind_.tx_offload = options_.tx_offload.value_or(TxOffload{});
  rebind_.fd = 0;
}

}  // namespace sluice::testing
