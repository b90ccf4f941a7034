// SPDX-License-Identifier: Apache-2.0
// The two ends of an AF_XDP ring, over memory shared with the kernel.
//
// Each ring has one producer and one consumer. Indices are free-running
// uint32_t that wrap at 2^32; a slot is `index & mask`, a distance is a
// subtraction. Our own index lives in `head_`; the other side's is cached in
// `peer_` and read again only when the cache says that there is too little.
//
//              FILL           RX            TX         COMPLETION
//   we         produce        consume       produce    consume
//   kernel     consumes       produces      consumes   produces
//
// Looking never consumes: `readable`, `operator[]`, then `release`; `writable`,
// `operator[]`, then `submit`. There is nothing to cancel or to roll back.
//
// One thread per ring. Source: Documentation/networking/af_xdp.rst,
// net/xdp/xsk_queue.h (which explains the barriers on the kernel's side).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstdint>
#include <span>

namespace sluice {

/// On in builds with SLUICE_CHECK_FRAMES (debug and sanitizers): every index
/// and every change of a frame's owner is checked. In release builds the checks
/// that cost an instruction per packet are left out; bench/ring says what for.
#ifdef SLUICE_CHECK_FRAMES
inline constexpr bool kCheckFrames = true;
#else
inline constexpr bool kCheckFrames = false;
#endif

/// Where one ring lies: pointers into a mapping that outlives both ends.
template <class T>
struct RingMemory {
  std::uint32_t* producer = nullptr;
  std::uint32_t* consumer = nullptr;
  std::uint32_t* flags = nullptr;  ///< Bit 0: XDP_RING_NEED_WAKEUP.
  std::span<T> slots;              ///< Size is a power of two.
};

/// Reading end: RX (T = xdp_desc) and COMPLETION (T = uint64_t).
template <class T>
class ConsumerRing {
 public:
  /// Goes on where the indices in `memory` stand: a ring can be adopted.
  explicit ConsumerRing(const RingMemory<T>& memory) noexcept
      : slots_(memory.slots.data()),
        mask_(static_cast<std::uint32_t>(memory.slots.size() - 1)),
        producer_(memory.producer),
        consumer_(memory.consumer) {
    assert(std::has_single_bit(memory.slots.size()));
    head_ = peer_ = std::atomic_ref(*consumer_).load(std::memory_order_relaxed);
  }

  /// Entries ready to read, at most `limit`. Does not consume them.
  [[nodiscard]] std::uint32_t readable(std::uint32_t limit) noexcept {
    std::uint32_t ready = peer_ - head_;
    if (ready < limit) {
      // Acquire pairs with the producer's release: the index is seen before the
      // slots it covers are read.
      peer_ = std::atomic_ref(*producer_).load(std::memory_order_acquire);
      ready = peer_ - head_;
      assert(ready <= size());
    }
    return ready < limit ? ready : limit;
  }

  /// The i-th unread entry. REQUIRES: i < the last readable().
  [[nodiscard]] const T& operator[](std::uint32_t i) const noexcept {
    if constexpr (kCheckFrames) assert(i < peer_ - head_);
    return slots_[(head_ + i) & mask_];
  }

  /// The first `count` unread entries, for a loop over many: as they lie, up to
  /// the ring's end and from its start on. By value, so that no store to other
  /// memory makes the compiler look at the ring again. Valid until release().
  [[nodiscard]] std::array<std::span<const T>, 2> unread(
      std::uint32_t count) const noexcept {
    if constexpr (kCheckFrames) assert(count <= peer_ - head_);
    const std::uint32_t at = head_ & mask_;
    const std::uint32_t straight = std::min(count, size() - at);
    return {{{slots_ + at, straight}, {slots_, count - straight}}};
  }

  /// Hands the first `count` entries back to the producer.
  void release(std::uint32_t count) noexcept {
    assert(count <= peer_ - head_);
    head_ += count;
    // Release: our reads of the slots are done before the producer may see
    // them as free and write them again.
    std::atomic_ref(*consumer_).store(head_, std::memory_order_release);
  }

  [[nodiscard]] std::uint32_t size() const noexcept { return mask_ + 1; }

 private:
  T* slots_;
  std::uint32_t mask_;
  std::uint32_t head_ = 0;  // Ours: next entry to read.
  std::uint32_t peer_ = 0;  // Theirs, cached: one past the last entry ready.
  std::uint32_t* producer_;
  std::uint32_t* consumer_;
};

/// Writing end: FILL (T = uint64_t) and TX (T = xdp_desc).
template <class T>
class ProducerRing {
 public:
  /// Goes on where the indices in `memory` stand: a ring can be adopted.
  explicit ProducerRing(const RingMemory<T>& memory) noexcept
      : slots_(memory.slots.data()),
        mask_(static_cast<std::uint32_t>(memory.slots.size() - 1)),
        producer_(memory.producer),
        consumer_(memory.consumer),
        flags_(memory.flags) {
    assert(std::has_single_bit(memory.slots.size()));
    head_ = std::atomic_ref(*producer_).load(std::memory_order_relaxed);
    peer_ = std::atomic_ref(*consumer_).load(std::memory_order_acquire);
  }

  /// Slots free to write, at most `limit`. Does not reserve them.
  [[nodiscard]] std::uint32_t writable(std::uint32_t limit) noexcept {
    std::uint32_t room = size() - (head_ - peer_);
    if (room < limit) room = size() - unconsumed();
    return room < limit ? room : limit;
  }

  /// The i-th free slot. REQUIRES: i < the last writable().
  [[nodiscard]] T& operator[](std::uint32_t i) noexcept {
    if constexpr (kCheckFrames) assert(i < size() - (head_ - peer_));
    return slots_[(head_ + i) & mask_];
  }

  /// Gives the first `count` slots, all written, to the consumer.
  void submit(std::uint32_t count) noexcept {
    assert(count <= size() - (head_ - peer_));
    head_ += count;
    // Release: the slots are written before the index that covers them.
    std::atomic_ref(*producer_).store(head_, std::memory_order_release);
  }

  /// Writes and submits all of `entries`.
  /// REQUIRES: entries.size() <= the last writable().
  void submit(std::span<const T> entries) noexcept {
    T* const next = slots_ + (head_ & mask_);
    const std::size_t straight = std::min<std::size_t>(
        entries.size(), static_cast<std::size_t>(slots_ + size() - next));
    std::copy_n(entries.data(), straight, next);
    std::copy(entries.data() + straight, entries.data() + entries.size(),
              slots_);  // Around the end.
    submit(static_cast<std::uint32_t>(entries.size()));
  }

  /// Entries submitted that the consumer has not taken yet, read afresh.
  [[nodiscard]] std::uint32_t unconsumed() noexcept {
    // Acquire pairs with the consumer's release: its reads of a slot are done
    // before we write that slot again.
    peer_ = std::atomic_ref(*consumer_).load(std::memory_order_acquire);
    assert(head_ - peer_ <= size());
    return head_ - peer_;
  }

  /// The kernel asks for a system call before it looks at this ring again.
  [[nodiscard]] bool needs_wakeup() const noexcept {
    constexpr std::uint32_t kNeedWakeup = 1;  // XDP_RING_NEED_WAKEUP.
    return (std::atomic_ref(*flags_).load(std::memory_order_relaxed) &
            kNeedWakeup) != 0;
  }

  [[nodiscard]] std::uint32_t size() const noexcept { return mask_ + 1; }

 private:
  T* slots_;
  std::uint32_t mask_;
  std::uint32_t head_ = 0;  // Ours: next slot to write.
  std::uint32_t peer_ = 0;  // Theirs, cached: next entry they will take.
  std::uint32_t* producer_;
  std::uint32_t* consumer_;
  std::uint32_t* flags_;
};

}  // namespace sluice
