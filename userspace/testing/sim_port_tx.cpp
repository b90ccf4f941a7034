// SPDX-License-Identifier: Apache-2.0
// From TX onto the wire, and the frames back by COMPLETION.
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sluice/checksum.hpp>
#include <sluice/testing/sim_port.hpp>
#include <sluice/uapi.hpp>
#include <utility>

namespace sluice::testing {
namespace {

using std::chrono::microseconds;

// A healthy device has sent a packet so long after it was taken.
constexpr Duration kFlightTime = microseconds(3);
// Descriptors that a zero-copy driver takes each time it looks.
constexpr std::uint32_t kDriverBatch = 64;
constexpr std::uint32_t kOptions = XDP_PKT_CONTD | XDP_TX_METADATA;
constexpr std::uint64_t kTxFlags = kTxTimestamp | kTxChecksum | kTxLaunchTime;

}  // namespace

// Room for metadata each descriptor must have, with metadata or without.
bool SimPort::valid(const xdp_desc& desc) const noexcept {
  const std::size_t room = options_.tx_offload ? sizeof(TxMetadata) : 0;
  return desc.len > 0 && desc.addr < world_.umem.size() &&
         (desc.addr & (world_.frame_size - 1)) >= room &&
         (desc.addr & (world_.frame_size - 1)) + desc.len <=
             world_.frame_size &&
         (desc.options & ~kOptions) == 0;
}

// The kernel takes nothing that it could not complete.
std::uint32_t SimPort::reserved() noexcept {
  return completion_.size() - completion_.room() +
         static_cast<std::uint32_t>(flights_.size() + outgoing_.size());
}

// Copy mode: what one sendto(2) does.
int SimPort::take_batch() {
  for (std::uint32_t taken = 0; tx_.readable() > 0; ++taken) {
    if (taken == options_.tx_budget) {
      world_.showed(SimTrait::kick_budget);
      return EAGAIN;
    }
    if (reserved() >= completion_.size()) {
      world_.showed(SimTrait::completion_blocked);
      return EAGAIN;
    }
    switch (take()) {
      case Taken::invalid:
        if (tx_.readable() > 0) world_.showed(SimTrait::tx_behind_invalid);
        return 0;
      case Taken::refused:
        return EBUSY;
      case Taken::untaken:
        return EINVAL;
      case Taken::sent:
      case Taken::more:
        break;
    }
  }
  return 0;
}

// Zero-copy: what the driver does by itself, until TX is empty.
void SimPort::drive_tx() {
  if (!link_up_ || !carrier_) return;
  for (std::uint32_t taken = 0; taken < kDriverBatch; ++taken) {
    if (tx_.readable() == 0) {
      tx_active_ = false;
      tx_.ask_for_wakeup(true);
      world_.showed(SimTrait::tx_driver_dry);
      return;
    }
    if (reserved() >= completion_.size()) {
      world_.showed(SimTrait::completion_blocked);
      return;
    }
    if (held_back()) return;
    (void)take();
  }
}

// The device has that packet's launch time, and those behind it wait, too.
bool SimPort::held_back() noexcept {
  const xdp_desc& desc = tx_.peek();
  if (draining_ || !outgoing_.empty() || !valid(desc)) return false;
  return read_metadata(desc) && (asked_.flags & kTxLaunchTime) != 0 &&
         asked_.launch_time > world_.clock.ns;
}

// Copy mode hands a launch time on to a driver that has no use for it.
bool SimPort::offers(std::uint64_t flag) const noexcept {
  if (!options_.tx_offload) return false;
  if (!options_.zero_copy) return flag != kTxLaunchTime;
  return (flag == kTxChecksum && options_.tx_offload->checksum) ||
         (flag == kTxTimestamp && options_.tx_offload->timestamp) ||
         (flag == kTxLaunchTime && options_.tx_offload->launch_time);
}

// What is asked for the packet that begins there. False: it can't be.
bool SimPort::read_metadata(const xdp_desc& desc) noexcept {
  asked_ = {};
  if ((desc.options & XDP_TX_METADATA) == 0) return true;
  if (!options_.tx_offload) return false;
  TxMetadata asked{};
  sim_copy(reinterpret_cast<std::byte*>(&asked),
           &world_.umem[desc.addr - sizeof asked], sizeof asked);
  const std::size_t end = std::size_t{asked.checksum_start} +
                          asked.checksum_offset + sizeof(std::uint16_t);
  if ((asked.flags & ~kTxFlags) != 0 ||
      ((asked.flags & kTxChecksum) != 0 && end > desc.len)) {
    return false;
  }
  for (const auto flag : {kTxTimestamp, kTxChecksum, kTxLaunchTime}) {
    if (!offers(flag)) asked.flags &= ~flag;
  }
  asked_ = asked;
  return true;
}

void SimPort::complete_checksum() noexcept {
  if ((asked_.flags & kTxChecksum) == 0) return;
  const be16 sum =
      sum_of(std::span(bytes_).subspan(asked_.checksum_start)).udp_checksum();
  std::memcpy(
      &bytes_[std::size_t{asked_.checksum_start} + asked_.checksum_offset],
      &sum, sizeof sum);
}

// A bad descriptor is consumed, counted, and comes back with the address that
// it had; what was taken of its packet before is lost with it.
void SimPort::give_up(const xdp_desc& desc) {
  outgoing_.push_back(desc.addr);
  bytes_.clear();
  world_.showed(SimTrait::tx_invalid);
  wire_.tx_invalid += outgoing_.size();
  draining_ = (desc.options & XDP_PKT_CONTD) != 0;
  finish(SimFate::invalid);
}

// So is what follows of it, to its end.
SimPort::Taken SimPort::drain(const xdp_desc& desc) {
  draining_ = (desc.options & XDP_PKT_CONTD) != 0;
  ++wire_.tx_invalid;
  fly(desc.addr);
  return valid(desc) ? Taken::more : Taken::invalid;
}

SimPort::Taken SimPort::take() {
  const xdp_desc desc = tx_.peek();
  const bool first = !draining_ && outgoing_.empty();
  if (first && valid(desc) && !read_metadata(desc) && !options_.zero_copy) {
    // Of no length that was agreed on, or nonsense. The kernel lets go of what
    // it had made of the descriptor, which completes it, and leaves it in TX.
    fly(desc.addr);
    return Taken::untaken;
  }
  tx_.pop();
  world_.note('t', desc.addr, desc.len);
  if (draining_) return drain(desc);
  if (!valid(desc)) {
    give_up(desc);
    return Taken::invalid;
  }
  const bool more = (desc.options & XDP_PKT_CONTD) != 0;
  const std::size_t before = bytes_.size();
  bytes_.resize(before + desc.len);
  sim_copy(bytes_.data() + before, &world_.umem[desc.addr], desc.len);
  outgoing_.push_back(desc.addr);
  if (more && outgoing_.size() == Packet::kSegmentsMax) {
    // EOVERFLOW: all of the packet is dropped, whatever is to come of it.
    world_.showed(SimTrait::tx_oversized);
    wire_.tx_invalid += outgoing_.size();
    draining_ = true;
    finish(SimFate::oversized);
    return Taken::more;
  }
  if (more) return Taken::more;
  if (outgoing_.size() > 1) world_.showed(SimTrait::tx_chain);
  complete_checksum();
  // A zero-copy driver has no way to say so.
  if (!options_.zero_copy && refused()) {
    finish(SimFate::refused);
    return Taken::refused;
  }
  finish(SimFate::sent);
  return Taken::sent;
}

bool SimPort::refused() {
  if (carrier_) {
    return world_.strikes(world_.faults.tx_refused, SimTrait::tx_refused,
                          index_);
  }
  world_.showed(SimTrait::tx_refused);
  return true;
}

void SimPort::finish(SimFate fate) {
  switch (fate) {
    case SimFate::sent:
      ++wire_.sent;
      wire_.sent_bytes += bytes_.size();
      break;
    case SimFate::refused:
      ++wire_.refused;
      break;
    case SimFate::invalid:
      ++wire_.invalid;
      break;
    case SimFate::oversized:
      ++wire_.oversized;
      break;
    case SimFate::cut_off:
      ++wire_.cut_off;
      break;
  }
  world_.note('s', static_cast<std::uint64_t>(fate), sim_digest(bytes_));
  if (sink_) sink_({world_.clock, fate, index_, bytes_});
  bool timed = (asked_.flags & kTxTimestamp) != 0 &&
               (fate == SimFate::sent || fate == SimFate::refused);
  for (const std::uint64_t addr : outgoing_) {
    fly(addr, std::exchange(timed, false));
  }
  outgoing_.clear();
  bytes_.clear();
}

void SimPort::fly(std::uint64_t addr, bool timed) {
  Time due = world_.clock + kFlightTime;
  if (world_.strikes(world_.faults.completion_late, SimTrait::completion_late,
                     index_)) {
    due = due + world_.random.up_to(world_.faults.late_max);
  }
  // In zero-copy mode those before it come first.
  if (flights_.empty() || !options_.zero_copy) {
    flights_due_ = std::min(flights_due_, due);
  }
  flights_.push_back({addr, due, timed});
}

// Copy mode completes as each packet's memory is let go, in any order; a
// zero-copy driver in the order of TX.
void SimPort::complete() {
  if (flights_due_ > world_.clock || stuck_until_ > world_.clock) return;
  flights_due_ = Time::never();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < flights_.size(); ++i) {
    const Flight flight = flights_[i];
    const bool behind = options_.zero_copy && kept > 0;
    if (flight.due > world_.clock || behind) {
      flights_[kept++] = flight;
      if (!behind) flights_due_ = std::min(flights_due_, flight.due);
      continue;
    }
    if (kept > 0) world_.showed(SimTrait::completion_swapped);
    if (completion_.produced() == ~0U) {
      world_.showed(SimTrait::index_wrapped);
    }
    world_.frames.left(flight.addr);
    world_.note('c', flight.addr, index_);
    if (flight.timed) {
      constexpr std::size_t kBack =
          sizeof(TxMetadata) - offsetof(TxMetadata, checksum_start);
      const std::uint64_t ns = world_.clock.ns;
      sim_copy(&world_.umem[flight.addr - kBack],
               reinterpret_cast<const std::byte*>(&ns), sizeof ns);
    }
    completion_.push(flight.addr);
  }
  flights_.resize(kept);
}

}  // namespace sluice::testing
