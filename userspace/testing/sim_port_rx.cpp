// SPDX-License-Identifier: Apache-2.0
// From the wire into RX.
#include <algorithm>
#include <sluice/testing/sim_port.hpp>

namespace sluice::testing {
namespace {

constexpr std::uint32_t kHeadroom = Packet::kHeadroom;

}  // namespace

void SimPort::pull_arrival() {
  if (source_ && !source_(arrival_)) source_ = nullptr;
}

bool SimPort::deliver(std::span<const std::byte> bytes) {
  scan();
  if (!options_.busy_polled) return arrive(bytes);
  take_in(bytes);
  return true;
}

// Frames of FILL for a packet of `count` segments. What is there and does not
// suffice stays with the kernel.
bool SimPort::gather_frames(std::uint32_t count) {
  while (spare_.size() < count && !fill_asleep_ && fill_.readable() > 0) {
    const std::uint64_t addr = fill_.peek();
    fill_.pop();
    if (addr < world_.umem.size()) {
      // Aligned mode: any address inside of a frame stands for it.
      spare_.push_back(addr & ~std::uint64_t{world_.frame_size - 1});
    } else {
      world_.showed(SimTrait::fill_invalid);
    }
  }
  return spare_.size() >= count;
}

// Zero-copy: a driver has frames in advance, and goes to sleep without.
void SimPort::prefetch() {
  if (fill_asleep_) return;
  const std::uint32_t wanted = std::max(1U, options_.ring_size / 4);
  fill_asleep_ = !gather_frames(wanted);
  if (fill_asleep_) world_.showed(SimTrait::rx_driver_dry);
  fill_.ask_for_wakeup(fill_asleep_);
}

bool SimPort::arrive(std::span<const std::byte> bytes) {
  ++wire_.offered;
  flap();
  push_pending();
  const std::size_t room = world_.frame_size - kHeadroom;
  const auto segments = static_cast<std::uint32_t>(
      std::max<std::size_t>(1, (bytes.size() + room - 1) / room));
  const auto drop = [this](SimTrait why, std::uint64_t& counter) {
    ++counter;
    world_.showed(why);
    world_.note('-', index_, static_cast<std::uint64_t>(why));
    return false;
  };
  if (!link_up_ || !carrier_ || lost()) {
    return drop(SimTrait::rx_link_down, wire_.dropped_link_down);
  }
  if (segments > 1 && !options_.multi_buffer) {
    return drop(SimTrait::rx_too_large, wire_.dropped_too_large);
  }
  if (!gather_frames(segments)) {
    return drop(SimTrait::rx_fill_empty, wire_.dropped_fill_empty);
  }
  if (rx_.room() < segments) {
    return drop(SimTrait::rx_ring_full, wire_.dropped_rx_full);
  }
  post(bytes, segments);
  return true;
}

void SimPort::post(std::span<const std::byte> bytes, std::uint32_t segments) {
  const SimFaults& faults = world_.faults;
  const std::size_t room = world_.frame_size - kHeadroom;
  const bool chain = segments > 1;
  bool broken = segments > Packet::kSegmentsMax;
  std::uint32_t cut = segments;  // This one is bad: none.
  if (chain) {
    world_.showed(SimTrait::rx_chain);
    if (broken) world_.showed(SimTrait::rx_chain_overlong);
    if (world_.strikes(faults.chain_cut, SimTrait::rx_chain_cut, index_)) {
      cut = world_.random.below(segments);
      broken = true;
      ++wire_.bad_descriptors;
    }
  }
  const bool split = chain && world_.strikes(faults.chain_split,
                                             SimTrait::rx_chain_split, index_);
  const std::uint32_t now =
      split ? 1 + world_.random.below(segments - 1) : segments;
  world_.note('+', index_, sim_digest(bytes));

  std::uint64_t described = 0;
  for (std::uint32_t i = 0; i < segments; ++i) {
    const std::size_t from = i * room;
    const auto size =
        static_cast<std::uint32_t>(std::min(room, bytes.size() - from));
    xdp_desc desc{spare_[i] + kHeadroom, size,
                  i + 1 < segments ? std::uint32_t{XDP_PKT_CONTD} : 0U};
    sim_copy(&world_.umem[desc.addr], bytes.data() + from, size);
    if (i == cut) desc.len = world_.frame_size;  // Into the next frame.
    described += desc.len;
    if (i < now) {
      push_rx(desc);
    } else {
      pending_.push_back(desc);
    }
  }
  spare_.erase(spare_.begin(), spare_.begin() + segments);
  if (split)
    pending_due_ = world_.clock + world_.random.up_to(faults.split_max);
  ++(broken ? wire_.received_broken : wire_.received);
  (broken ? wire_.broken_bytes : wire_.received_bytes) += described;
}

void SimPort::push_rx(const xdp_desc& desc) {
  if (rx_.produced() == ~0U) world_.showed(SimTrait::index_wrapped);
  world_.frames.left(desc.addr);
  world_.note('r', desc.addr, desc.len);
  rx_.push(desc);
  world_.arrived |= 1U << index_;
}

// What follows in RX comes behind the whole packet, always.
void SimPort::push_pending() {
  for (; !pending_.empty(); pending_.pop_front()) push_rx(pending_.front());
}

}  // namespace sluice::testing
