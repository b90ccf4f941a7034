// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sluice/frame_pool.hpp>

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

}  // namespace

FramePool::FramePool(std::span<std::byte> umem, std::uint32_t frame_size,
                     std::uint32_t lent)
    : map_(umem, frame_size),
      frames_(static_cast<std::uint32_t>(umem.size() / frame_size)),
      frame_shift_(std::countr_zero(frame_size)),
      free_(std::make_unique<std::uint64_t[]>(frames_)),
      links_(std::make_unique<Link[]>(frames_)) {
  assert(std::has_single_bit(frame_size));
  assert(umem.size() % frame_size == 0);
  assert(lent <= frames_);
  top_ = free_.get();
  // Highest first, so that the stack hands out the low addresses first.
  for (std::uint32_t frame = frames_; frame > lent; --frame) {
    *top_++ = static_cast<std::uint64_t>(frame - 1) * frame_size;
  }
  if constexpr (kCheckFrames) {
    owners_ = std::make_unique<FrameOwner[]>(frames_);  // All the pool's.
    std::fill_n(owners_.get(), lent, FrameOwner::fill);
    poison(at(0), map_.umem_size());
  }
}

FramePool::~FramePool() {
  if constexpr (kCheckFrames) {
    unpoison(at(0), map_.umem_size());
  }
}

void FramePool::check_move(std::uint64_t addr, FrameOwner from,
                           FrameOwner to) noexcept {
  assert(addr < map_.umem_size());
  FrameOwner& owner = owners_[addr >> frame_shift_];
  if (owner != from) {
    std::fprintf(stderr,
                 "sluice: frame %llu should be owned by %s when it goes to %s, "
                 "but its owner is %s\n",
                 static_cast<unsigned long long>(addr >> frame_shift_),
                 name_of(from), name_of(to), name_of(owner));
    std::abort();
  }
  owner = to;
  std::byte* frame = at(frame_of(addr));
  if (to == FrameOwner::handler) {
    unpoison(frame, frame_size());
  } else if (from == FrameOwner::handler) {
    // What goes to the kernel is still to be transmitted: left as it is.
    if (to == FrameOwner::pool) std::memset(frame, kDeadByte, frame_size());
    poison(frame, frame_size());
  }
}

}  // namespace sluice
