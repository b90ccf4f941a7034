// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <sluice/frame_pool.hpp>
#include <string_view>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SLUICE_ASAN 1
#endif
#ifdef SLUICE_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace sluice {
namespace {

// What a frame looks like after it went home: easy to recognise in a dump.
constexpr int kDeadByte = 0xdb;
// Moves of a frame that are remembered.
constexpr std::size_t kMovesKept = 8;
// Leaked frames that are told one by one.
constexpr int kLeaksTold = 4;

void poison([[maybe_unused]] std::byte* frame,
            [[maybe_unused]] std::size_t size) noexcept {
#ifdef SLUICE_ASAN
  __asan_poison_memory_region(frame, size);
#endif
}

void unpoison([[maybe_unused]] std::byte* frame,
              [[maybe_unused]] std::size_t size) noexcept {
#ifdef SLUICE_ASAN
  __asan_unpoison_memory_region(frame, size);
#endif
}

const char* name_of(FrameOwner owner) noexcept {
  switch (owner) {
    case FrameOwner::pool:
      return "the pool";
    case FrameOwner::fill:
      return "the kernel, to receive into";
    case FrameOwner::chain:
      return "a chain not yet whole";
    case FrameOwner::handler:
      return "a handler";
    case FrameOwner::tx:
      return "the kernel, to transmit";
  }
  return "nobody";
}

// By the C++ library, which no sanitizer watches: poisoned bytes may be read.
std::size_t digest(const std::byte* bytes, std::size_t size) noexcept {
  return std::hash<std::string_view>{}(
      {reinterpret_cast<const char*>(bytes), size});
}

}  // namespace

struct FramePool::Watch {
  struct Move {
    std::uint64_t number = 0;
    FrameOwner from = FrameOwner::pool;
    FrameOwner to = FrameOwner::pool;
  };
  struct Frame {
    FrameOwner owner = FrameOwner::pool;
    bool dead = false;            // In the pool, overwritten.
    std::uint32_t sent_size = 0;  // Of what TX has; 0: nothing.
    std::uint64_t sent_addr = 0;
    std::size_t sent_digest = 0;
    std::uint64_t moves = 0;
    std::array<Move, kMovesKept> last{};  // A ring, by `moves`.
  };

  explicit Watch(const FramePool& pool, std::uint32_t lent);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();

  std::vector<Frame> frames;
  std::uint64_t moves = 0;  // Of all frames.
  std::size_t dead_digest;  // Of a frame of dead bytes.

 private:
  struct Pools {
    std::mutex mutex;
    std::vector<const FramePool*> all;
  };
  static Pools& pools();
  static void explain_report(const char* report);

  const FramePool& pool_;
};

// Never destroyed: a report may come while statics are.
FramePool::Watch::Pools& FramePool::Watch::pools() {
  static Pools& pools = *new Pools;
  return pools;
}

FramePool::Watch::Watch(const FramePool& pool, std::uint32_t lent)
    : frames(pool.frames()), pool_(pool) {
  for (std::uint32_t i = 0; i < lent; ++i) frames[i].owner = FrameOwner::fill;
  const std::vector dead(pool.frame_size(), std::byte{kDeadByte});
  dead_digest = digest(dead.data(), dead.size());
  const std::lock_guard lock(pools().mutex);
  pools().all.push_back(&pool);
#ifdef SLUICE_ASAN
  __asan_set_error_report_callback(explain_report);
#endif
}

FramePool::Watch::~Watch() {
  const std::lock_guard lock(pools().mutex);
  std::erase(pools().all, &pool_);
}

// ASan found somebody touching a frame: it says where, this says whose it was.
void FramePool::Watch::explain_report(const char*) {
#ifdef SLUICE_ASAN
  const auto* bad = static_cast<const std::byte*>(__asan_get_report_address());
  const std::lock_guard lock(pools().mutex);
  for (const FramePool* pool : pools().all) {
    const std::byte* first = pool->at(0);
    if (std::less<>{}(bad, first)) continue;
    const auto addr = static_cast<std::uint64_t>(bad - first);
    if (addr >= pool->map_.umem_size()) continue;
    __sanitizer_report_error_summary(pool->history(addr).c_str());
  }
#endif
}

FramePool::FramePool(std::span<std::byte> umem, std::uint32_t frame_size,
                     std::uint32_t lent)
    : map_(umem, frame_size),
      frames_(static_cast<std::uint32_t>(umem.size() / frame_size)),
      frame_shift_(std::countr_zero(frame_size)),
      free_(std::make_unique<std::uint64_t[]>(frames_)),
      links_(std::make_unique<Link[]>(frames_)),
      lent_to_(std::make_unique<std::uint8_t[]>(frames_)) {
  assert(std::has_single_bit(frame_size));
  assert(umem.size() % frame_size == 0);
  assert(lent <= frames_);
  top_ = free_.get();
  // Highest first, so that the stack hands out the low addresses first.
  for (std::uint32_t frame = frames_; frame > lent; --frame) {
    *top_++ = static_cast<std::uint64_t>(frame - 1) * frame_size;
  }
  if constexpr (kCheckFrames) {
    watch_ = std::make_unique<Watch>(*this, lent);
    poison(at(0), map_.umem_size());
  }
}

FramePool::~FramePool() {
  if constexpr (kCheckFrames) {
    check_leaks();
    unpoison(at(0), map_.umem_size());
  }
}

std::uint32_t FramePool::recover(std::uint8_t port,
                                 std::uint32_t most) noexcept {
  std::uint64_t* const first_found = top_;
  for (const std::uint64_t* at = free_.get(); at != first_found; ++at) {
    lent_to_[*at >> frame_shift_] = kKept;
  }
  for (std::uint64_t i = 0; i < frames_; ++i) {
    if (lent_to_[i] != port || top_ == first_found + most) continue;
    FrameOwner owner = FrameOwner::fill;
    if constexpr (kCheckFrames) owner = watch_->frames[i].owner;
    put(i << frame_shift_, owner);
  }
  // As it was: without notes, what leaves the pool is the only port's.
  for (const std::uint64_t* at = free_.get(); !tracks_ && at != top_; ++at) {
    lent_to_[*at >> frame_shift_] = 0;
  }
  return static_cast<std::uint32_t>(top_ - first_found);
}

std::string FramePool::history(std::uint64_t addr) const {
  if constexpr (!kCheckFrames) return "";
  const std::uint64_t number = addr >> frame_shift_;
  const Watch::Frame& frame = watch_->frames[number];
  std::string text = "sluice: the last owners of frame " +
                     std::to_string(number) + ", oldest first, " +
                     std::to_string(watch_->moves) + " moves into the run:\n";
  const std::uint64_t kept = std::min<std::uint64_t>(frame.moves, kMovesKept);
  for (std::uint64_t i = frame.moves - kept; i < frame.moves; ++i) {
    const Watch::Move& move = frame.last[i % kMovesKept];
    text += "  move " + std::to_string(move.number) + ": " +
            name_of(move.from) + " -> " + name_of(move.to) + "\n";
  }
  if (kept == 0) text += std::string("  always ") + name_of(frame.owner) + "\n";
  return text;
}

void FramePool::stop(std::uint64_t addr,
                     const std::string& what) const noexcept {
  const std::string text = "sluice: frame " +
                           std::to_string(addr >> frame_shift_) + " " + what +
                           "\n" + history(addr);
  std::fputs(text.c_str(), stderr);
  std::abort();
}

// A packet that a handler forgot, or that would come home to no pool.
void FramePool::check_leaks() const noexcept {
  std::string text;
  int leaks = 0;
  for (std::uint64_t i = 0; i < frames_; ++i) {
    if (watch_->frames[i].owner != FrameOwner::handler) continue;
    if (++leaks <= kLeaksTold) text += history(i << frame_shift_);
  }
  if (leaks == 0) return;
  text = "sluice: the pool ends, and handlers still own " +
         std::to_string(leaks) + " of its frames\n" + text;
  std::fputs(text.c_str(), stderr);
  std::abort();
}

// Only who owns a frame may write to it.
void FramePool::check_bytes(std::uint64_t addr) const noexcept {
  const Watch::Frame& frame = watch_->frames[addr >> frame_shift_];
  if (frame.dead &&
      digest(at(frame_of(addr)), frame_size()) != watch_->dead_digest) {
    stop(addr, "was written to while it was in the pool");
  }
  if (frame.sent_size > 0 &&
      digest(at(frame.sent_addr), frame.sent_size) != frame.sent_digest) {
    stop(addr, "was written to after it was sent");
  }
}

void FramePool::check_move(std::uint64_t addr, FrameOwner from,
                           FrameOwner to) noexcept {
  assert(addr < map_.umem_size());
  Watch::Frame& frame = watch_->frames[addr >> frame_shift_];
  if (frame.owner != from) {
    stop(addr, std::string("should be owned by ") + name_of(from) +
                   " when it goes to " + name_of(to) + ", but its owner is " +
                   name_of(frame.owner));
  }
  check_bytes(addr);
  frame.last[frame.moves++ % kMovesKept] = {++watch_->moves, from, to};
  frame.owner = to;
  frame.sent_size = 0;
  frame.dead = to == FrameOwner::pool;
  std::byte* bytes = at(frame_of(addr));
  // What goes to the kernel is still to be transmitted: left as it is.
  if (frame.dead || to == FrameOwner::handler) unpoison(bytes, frame_size());
  if (frame.dead) std::memset(bytes, kDeadByte, frame_size());
  if (to != FrameOwner::handler) poison(bytes, frame_size());
}

void FramePool::note_sent(std::uint64_t addr, std::uint32_t size) noexcept {
  Watch::Frame& frame = watch_->frames[addr >> frame_shift_];
  frame.sent_addr = addr;
  frame.sent_size = size;
  frame.sent_digest = digest(at(addr), size);
}

}  // namespace sluice
