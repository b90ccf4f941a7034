// SPDX-License-Identifier: Apache-2.0
// FramePool: the free frames of one core's packet memory.
//
// A frame is one UMEM chunk, named by its address: a byte offset into the UMEM.
// Any address inside a frame stands for it, as in the kernel's FILL ring.
//
// The pool is a stack: the frame used last is the warmest in the cache. It
// counts what it holds, and what handlers hold, each on its own: the frame
// ledger compares these counts with the rings'.
//
// One thread. Never allocates after it was made.
#pragma once

#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/ring.hpp>
#include <span>
#include <string>
#include <utility>

namespace sluice {

/// Who has a frame. Tracked for each frame in builds with SLUICE_CHECK_FRAMES.
enum class FrameOwner : std::uint8_t { pool, fill, chain, handler, tx };

/// Where the frames lie. Small and constant: a loop keeps a copy in registers.
class FrameMap {
 public:
  FrameMap(std::span<std::byte> umem, std::uint32_t frame_size) noexcept
      : umem_(umem.data()),
        umem_size_(umem.size()),
        frame_size_(frame_size),
        offset_mask_(frame_size - 1) {}

  /// `addr` points `size` bytes into one frame of ours.
  [[nodiscard]] bool contains(std::uint64_t addr,
                              std::uint64_t size) const noexcept {
    return (addr & offset_mask_) + size <= frame_size_ && addr < umem_size_;
  }
  /// `addr` points into one frame of ours.
  [[nodiscard]] bool contains(std::uint64_t addr) const noexcept {
    return addr < umem_size_;
  }
  /// First address of the frame in which `addr` lies.
  [[nodiscard]] std::uint64_t frame_of(std::uint64_t addr) const noexcept {
    return addr & ~offset_mask_;
  }
  /// The byte at `addr`. REQUIRES: contains(addr).
  [[nodiscard]] std::byte* at(std::uint64_t addr) const noexcept {
    return umem_ + addr;
  }
  [[nodiscard]] std::uint64_t umem_size() const noexcept { return umem_size_; }
  [[nodiscard]] std::uint32_t frame_size() const noexcept {
    return static_cast<std::uint32_t>(frame_size_);
  }

 private:
  std::byte* umem_;
  std::uint64_t umem_size_;
  std::uint64_t frame_size_;
  std::uint64_t offset_mask_;
};

class FramePool {
 public:
  /// `umem`: frame_count × frame_size bytes, outlives the pool.
  /// `frame_size`: a power of two. The first `lent` frames are in FILL rings
  /// already; the others start out in the pool.
  FramePool(std::span<std::byte> umem, std::uint32_t frame_size,
            std::uint32_t lent = 0);
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;
  /// In checked builds a frame that a handler still owns stops the program: it
  /// was leaked, or its packet would outlive the pool.
  ~FramePool();

  /// Free frames.
  [[nodiscard]] std::uint32_t available() const noexcept {
    return static_cast<std::uint32_t>(top_ - free_.get());
  }
  /// Frames in packets that handlers own.
  [[nodiscard]] std::uint32_t held() const noexcept { return held_; }
  [[nodiscard]] std::uint32_t frames() const noexcept { return frames_; }
  [[nodiscard]] std::uint32_t frame_size() const noexcept {
    return map_.frame_size();
  }
  [[nodiscard]] const FrameMap& map() const noexcept { return map_; }

  /// A frame for a new packet. REQUIRES: available() > 0.
  [[nodiscard]] std::uint64_t take() noexcept {
    assert(available() > 0);
    keep(*--top_);
    return *top_;
  }
  /// Frames for the FILL ring; read them before the next one comes home.
  /// REQUIRES: count <= available().
  [[nodiscard]] std::span<const std::uint64_t> take(
      std::uint32_t count) noexcept {
    assert(count <= available());
    top_ -= count;
    return {top_, count};
  }

  /// A frame comes home. REQUIRES: it was taken, and not put back since; frames
  /// that the kernel names are counted first.
  void put(std::uint64_t addr, FrameOwner from) noexcept {
    moved(addr, from, FrameOwner::pool);
    if constexpr (kCheckFrames) assert(available() < frames_);
    *top_++ = addr;
  }
  /// The same for many, up to the first that is not in `known`. Returns how
  /// many came home.
  std::size_t put(std::span<const std::uint64_t> addrs, FrameMap known,
                  FrameOwner from) noexcept {
    std::uint64_t* top = top_;  // In a register.
    for (const std::uint64_t addr : addrs) {
      if (!known.contains(addr)) [[unlikely]]
        break;
      moved(addr, from, FrameOwner::pool);
      if constexpr (kCheckFrames) assert(top < free_.get() + frames_);
      *top++ = addr;
    }
    return static_cast<std::size_t>(top - std::exchange(top_, top));
  }

  // Which port's socket the kernel has a frame by is noted, so that what it had
  // is found when that socket is gone: no ring says what a driver has in
  // between. Of frames in the pool the note means nothing. It costs nothing
  // where a core has one port and a handler that keeps no packet: the kernel
  // then has what is not in the pool.

  /// From now on frames are to be noted: there is a second port.
  void track() noexcept { tracks_ = true; }
  [[nodiscard]] bool tracks() const noexcept { return tracks_; }
  /// The kernel has the frame by way of that port. REQUIRES: tracks().
  void lend(std::uint64_t addr, std::uint8_t port) noexcept {
    lent_to_[addr >> frame_shift_] = port;
  }
  /// A handler may keep the frame.
  void keep(std::uint64_t addr) noexcept {
    tracks_ = true;
    lent_to_[addr >> frame_shift_] = kKept;
  }
  /// What the kernel had by way of that port comes home: how many frames, at
  /// most `most`. For when it can't touch them any more. Looks at every frame.
  std::uint32_t recover(std::uint8_t port, std::uint32_t most) noexcept;

  /// Handlers own `count` more frames. Called once a burst.
  void hold(std::uint32_t count) noexcept { held_ += count; }
  /// Handlers own `count` frames fewer, which are elsewhere now.
  void unhold(std::uint32_t count) noexcept { held_ -= count; }

  /// Whether packets may come with metadata in front of them: then what an
  /// earlier one left in a frame is overwritten before the frame is used again.
  [[nodiscard]] bool has_metadata() const noexcept { return has_metadata_; }
  /// Before the first packet.
  void expect_metadata() noexcept { has_metadata_ = true; }

  /// Bytes at the front of each frame that no packet may grow into.
  [[nodiscard]] std::uint32_t reserved() const noexcept { return reserved_; }
  /// Before the first packet. REQUIRES: `bytes` <= Packet::kHeadroom.
  void reserve_front(std::uint32_t bytes) noexcept { reserved_ = bytes; }

  /// As FrameMap.
  [[nodiscard]] bool contains(std::uint64_t addr,
                              std::uint64_t size) const noexcept {
    return map_.contains(addr, size);
  }
  [[nodiscard]] bool contains(std::uint64_t addr) const noexcept {
    return map_.contains(addr);
  }
  [[nodiscard]] std::uint64_t frame_of(std::uint64_t addr) const noexcept {
    return map_.frame_of(addr);
  }
  [[nodiscard]] std::byte* at(std::uint64_t addr) const noexcept {
    return map_.at(addr);
  }
  /// Which of frames() it lies in, from 0.
  [[nodiscard]] std::size_t number_of(std::uint64_t addr) const noexcept {
    return addr >> frame_shift_;
  }

  /// Where a multi-buffer packet goes on: kept beside its frames, so that a
  /// packet is its first segment and a chain needs no memory of its own.
  struct Link {
    std::uint64_t addr;
    std::uint32_t size;
  };
  [[nodiscard]] Link& link(std::uint64_t addr) noexcept {
    return links_[addr >> frame_shift_];
  }

  /// Notes that the frame changed hands. In checked builds a frame that was not
  /// `from`'s stops the program, as does one whose bytes changed in the pool;
  /// what no handler owns is poisoned.
  void moved([[maybe_unused]] std::uint64_t addr,
             [[maybe_unused]] FrameOwner from,
             [[maybe_unused]] FrameOwner to) noexcept {
    if constexpr (kCheckFrames) check_move(addr, from, to);
  }
  /// Notes that `size` bytes at `addr` are TX's. In checked builds the program
  /// stops if they are others when the frame comes home.
  void sent([[maybe_unused]] std::uint64_t addr,
            [[maybe_unused]] std::uint32_t size) noexcept {
    if constexpr (kCheckFrames) note_sent(addr, size);
  }

  /// Checked builds: the last owners of the frame, oldest first, a line each;
  /// else "".
  [[nodiscard]] std::string history(std::uint64_t addr) const;
  /// The program ends: what is wrong with the frame, then its history.
  [[noreturn]] void stop(std::uint64_t addr,
                         const std::string& what) const noexcept;

 private:
  struct Watch;  // What checked builds know of every frame.

  void check_move(std::uint64_t addr, FrameOwner from, FrameOwner to) noexcept;
  void check_bytes(std::uint64_t addr) const noexcept;
  void check_leaks() const noexcept;
  void note_sent(std::uint64_t addr, std::uint32_t size) noexcept;

  static constexpr std::uint8_t kKept = 0xff;  // Lent to no port.

  FrameMap map_;
  std::uint64_t* top_;  // One past the free frame used last.
  std::uint32_t held_ = 0;
  std::uint32_t frames_;
  std::uint32_t reserved_ = 0;
  bool has_metadata_ = false;
  bool tracks_ = false;
  int frame_shift_;
  std::unique_ptr<std::uint64_t[]> free_;  // The stack, frames_ entries.
  std::unique_ptr<Link[]> links_;
  std::unique_ptr<std::uint8_t[]> lent_to_;  // By frame: a port, or kKept.
  std::unique_ptr<Watch> watch_;             // Checked builds only.
};

}  // namespace sluice
