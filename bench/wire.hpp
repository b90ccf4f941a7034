// SPDX-License-Identifier: Apache-2.0
// Wire: a NIC that receives at line rate and transmits at once, on one thread.
//
// It is the kernel's side of the four rings for both loops of bench/ring: what
// is in FILL comes back in RX, what is in TX comes back in COMPLETION. Frames
// are never copied; what is in them was written once.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <sluice/frame_pool.hpp>
#include <sluice/packet.hpp>
#include <sluice/port.hpp>
#include <span>
#include <vector>

namespace sluice::bench {

inline constexpr std::uint32_t kFrames = 4096;
inline constexpr std::uint32_t kFrameSize = 2048;
inline constexpr std::uint32_t kRingSize = 2048;
inline constexpr std::uint32_t kBatch = 64;
inline constexpr std::uint32_t kPacketSize = 64;

/// A ring's memory, laid out as the kernel does: indices on lines of their own.
template <class T>
struct WireRing {
  alignas(64) std::uint32_t producer = 0;
  alignas(64) std::uint32_t consumer = 0;
  alignas(64) std::uint32_t flags = 0;
  alignas(64) std::vector<T> slots = std::vector<T>(kRingSize);

  [[nodiscard]] RingMemory<T> memory() noexcept {
    return {&producer, &consumer, &flags, slots};
  }
  [[nodiscard]] T& at(std::uint32_t index) noexcept {
    return slots[index % kRingSize];
  }
};

class Wire {
 public:
  /// `packet`: what all frames hold, as if it had been received into them.
  explicit Wire(std::span<const std::byte> packet)
      : umem_(static_cast<std::byte*>(std::aligned_alloc(4096, kBytes))) {
    std::memset(umem_.get(), 0, kBytes);
    for (std::uint32_t i = 0; i < kFrames; ++i) {
      std::memcpy(&umem_[i * kFrameSize + Packet::kHeadroom], packet.data(),
                  packet.size());
    }
  }

  [[nodiscard]] std::span<std::byte> umem() noexcept {
    return {umem_.get(), kBytes};
  }
  [[nodiscard]] PortRings rings() noexcept {
    return {fill_.memory(), rx_.memory(), tx_.memory(), completion_.memory()};
  }

  /// A batch of packets arrives and all that is in TX leaves.
  [[gnu::noinline]] void step() noexcept {
    for (std::uint32_t i = 0; i < kBatch; ++i) {
      if (fill_.consumer == load(fill_.producer)) break;
      const std::uint64_t frame = fill_.at(fill_.consumer++) / kFrameSize;
      rx_.at(rx_.producer++) = {frame * kFrameSize + Packet::kHeadroom,
                                kPacketSize, 0};
    }
    while (tx_.consumer != load(tx_.producer)) {
      completion_.at(completion_.producer++) = tx_.at(tx_.consumer++).addr;
    }
    std::atomic_thread_fence(std::memory_order_release);
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{kFrames} * kFrameSize;

  static std::uint32_t load(std::uint32_t& index) noexcept {
    return std::atomic_ref(index).load(std::memory_order_acquire);
  }

  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<std::byte[], Free> umem_;
  WireRing<std::uint64_t> fill_;
  WireRing<xdp_desc> rx_;
  WireRing<xdp_desc> tx_;
  WireRing<std::uint64_t> completion_;
};

}  // namespace sluice::bench
