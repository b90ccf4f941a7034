// SPDX-License-Identifier: Apache-2.0
// RawLoop: the same loop as Poller::turn, written by hand on raw rings.
//
// The yardstick of bench/ring: what somebody who knows AF_XDP writes for one
// queue and one purpose. It does what a loop may not leave out: cached indices,
// one release of each ring a batch, a bounds check of every address that the
// kernel hands over, a LIFO stack of free frames, counts of packets and bytes,
// and the wake-up flags. It goes over its rings entry by entry, as xdpsock and
// ixy do (Sluice goes over runs), knows no packets of several frames, reads no
// clock, and has no packets that anybody could keep.
#pragma once

#include <atomic>
#include <cstdint>
#include <sluice/port.hpp>
#include <span>
#include <vector>

namespace sluice::bench {

template <class T>
struct RawRing {
  explicit RawRing(const RingMemory<T>& memory)
      : slots(memory.slots.data()),
        mask(static_cast<std::uint32_t>(memory.slots.size() - 1)),
        producer(memory.producer),
        consumer(memory.consumer),
        flags(memory.flags) {}

  static std::uint32_t load(std::uint32_t* index) {
    return std::atomic_ref(*index).load(std::memory_order_acquire);
  }
  static void store(std::uint32_t* index, std::uint32_t value) {
    std::atomic_ref(*index).store(value, std::memory_order_release);
  }
  // Reading end.
  std::uint32_t readable(std::uint32_t limit) {
    if (cached - own < limit) cached = load(producer);
    const std::uint32_t ready = cached - own;
    return ready < limit ? ready : limit;
  }
  // Writing end.
  std::uint32_t writable(std::uint32_t limit) {
    if (mask + 1 - (own - cached) < limit) cached = load(consumer);
    const std::uint32_t room = mask + 1 - (own - cached);
    return room < limit ? room : limit;
  }

  T* slots;
  std::uint32_t mask;
  std::uint32_t own = 0;     // Our index.
  std::uint32_t cached = 0;  // Theirs, when last read.
  std::uint32_t* producer;
  std::uint32_t* consumer;
  std::uint32_t* flags;
};

/// `Work`: bool(std::byte* data, uint32_t size); true sends the packet back.
template <class Work>
class RawLoop {
 public:
  RawLoop(Work& work, const PortRings& rings, std::span<std::byte> umem,
          std::uint32_t frame_size)
      : work_(work),
        umem_(umem.data()),
        bounds_{umem.size(), frame_size},
        free_(umem.size() / frame_size),
        fill_(rings.fill),
        rx_(rings.rx),
        tx_(rings.tx),
        completion_(rings.completion) {
    for (std::uint64_t& frame : free_) frame = free_count_++ * frame_size;
    fill(fill_.mask + 1);
  }

  /// One turn: COMPLETION, RX, TX, FILL.
  std::uint32_t turn() {
    complete();
    const std::uint32_t received = receive();
    if (received > 0) fill(received);
    return received;
  }

  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t sent_packets = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t invalid = 0;
  std::uint64_t wakes = 0;

 private:
  // As a local, it stays in registers.
  struct Bounds {
    std::uint64_t umem_size;
    std::uint64_t frame_size;
    bool hold(std::uint64_t addr, std::uint64_t size) const {
      return (addr & (frame_size - 1)) + size <= frame_size && addr < umem_size;
    }
  };

  void complete() {
    if (outstanding_ == 0) return;
    const std::uint32_t count = completion_.readable(kBatchMax);
    if (count == 0) return;
    const Bounds bounds = bounds_;
    std::uint64_t* const free = free_.data();
    std::uint64_t left = free_count_;
    const std::uint64_t* const slots = completion_.slots;
    const std::uint32_t mask = completion_.mask;
    const std::uint32_t own = completion_.own;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t addr = slots[(own + i) & mask];
      if (!bounds.hold(addr, 0)) [[unlikely]] {
        ++invalid;
        continue;
      }
      free[left++] = addr;
    }
    free_count_ = left;
    outstanding_ -= count;
    completion_.own += count;
    completion_.store(completion_.consumer, completion_.own);
  }

  std::uint32_t receive() {
    const std::uint32_t count = rx_.readable(kBatch);
    if (count == 0) return 0;
    const std::uint32_t room = tx_.writable(count);
    const Bounds bounds = bounds_;
    std::uint64_t* const free = free_.data();
    std::uint64_t left = free_count_;
    std::uint32_t queued = 0;
    std::uint64_t got_bytes = 0;
    std::uint64_t queued_bytes = 0;
    std::byte* const umem = umem_;
    const xdp_desc* const slots = rx_.slots;
    const std::uint32_t mask = rx_.mask;
    const std::uint32_t own = rx_.own;
    xdp_desc* const tx_slots = tx_.slots;
    const std::uint32_t tx_mask = tx_.mask;
    const std::uint32_t tx_own = tx_.own;
    for (std::uint32_t i = 0; i < count; ++i) {
      const xdp_desc desc = slots[(own + i) & mask];
      if (!bounds.hold(desc.addr, desc.len)) [[unlikely]] {
        ++invalid;
        continue;
      }
      got_bytes += desc.len;
      if (work_(umem + desc.addr, desc.len) && queued < room) {
        tx_slots[(tx_own + queued) & tx_mask] = {desc.addr, desc.len, 0};
        ++queued;
        queued_bytes += desc.len;
      } else {
        free[left++] = desc.addr;
      }
    }
    free_count_ = left;
    packets += count;
    bytes += got_bytes;
    rx_.own += count;
    rx_.store(rx_.consumer, rx_.own);
    if (queued > 0) {
      sent_packets += queued;
      sent_bytes += queued_bytes;
      outstanding_ += queued;
      tx_.own += queued;
      tx_.store(tx_.producer, tx_.own);
      if ((*tx_.flags & 1) != 0) ++wakes;  // A driver would be kicked here.
    }
    return count;
  }

  void fill(std::uint32_t wanted) {
    std::uint32_t count = fill_.writable(wanted);
    if (count > free_count_) count = static_cast<std::uint32_t>(free_count_);
    const std::uint64_t* const free = free_.data();
    std::uint64_t left = free_count_;
    for (std::uint32_t i = 0; i < count; ++i) {
      fill_.slots[(fill_.own + i) & fill_.mask] = free[--left];
    }
    free_count_ = left;
    fill_.own += count;
    fill_.store(fill_.producer, fill_.own);
    if ((*fill_.flags & 1) != 0) ++wakes;  // A driver would be woken here.
  }

  static constexpr std::uint32_t kBatchMax = 256;
  static constexpr std::uint32_t kBatch = 64;

  Work& work_;
  std::byte* umem_;
  const Bounds bounds_;
  std::vector<std::uint64_t> free_;
  std::uint64_t free_count_ = 0;
  std::uint32_t outstanding_ = 0;
  RawRing<std::uint64_t> fill_;
  RawRing<xdp_desc> rx_;
  RawRing<xdp_desc> tx_;
  RawRing<std::uint64_t> completion_;
};

}  // namespace sluice::bench
