// SPDX-License-Identifier: Apache-2.0
// Multi-buffer packets and copies: rare, so kept out of the loop's code.
#include <sluice/packet.hpp>

namespace sluice {

#ifdef SLUICE_CHECK_FRAMES
void Packet::used_after_move() const noexcept {
  home_.pool->stop(addr_, "is of a packet that was used after it moved away");
}
#endif

Packet::Segments Packet::segments() const noexcept {
  check_owned();
  assert(pool_ != nullptr);
  Segments segments;
  segments.count_ = origin_.segments;
  FramePool::Link at{addr_, size_};
  for (std::uint8_t i = 0; i < origin_.segments; ++i) {
    segments.spans_[i] = {pool_->at(at.addr), at.size};
    if (i + 1 < origin_.segments) at = pool_->link(at.addr);
  }
  return segments;
}

void Packet::drop(FramePool& pool, std::uint64_t addr,
                  std::uint8_t segments) noexcept {
  for (std::uint8_t i = 0; i < segments; ++i) {
    const std::uint64_t next = i + 1 < segments ? pool.link(addr).addr : 0;
    pool.put(addr, FrameOwner::handler);
    addr = next;
  }
  pool.unhold(segments);
}

std::uint32_t Packet::chain_size(FramePool& pool, FramePool::Link first,
                                 std::uint8_t segments) noexcept {
  std::uint32_t size = first.size;
  for (std::uint8_t i = 1; i < segments; ++i) {
    first = pool.link(first.addr);
    size += first.size;
  }
  return size;
}

// The link that holds address and size of the last segment.
FramePool::Link& Packet::last_link(FramePool& pool, std::uint64_t addr,
                                   std::uint8_t segments) noexcept {
  assert(segments > 1);
  for (std::uint8_t i = 2; i < segments; ++i) addr = pool.link(addr).addr;
  return pool.link(addr);
}

bool Packet::append_to_chain(FramePool& pool, std::uint64_t addr,
                             std::uint8_t segments,
                             std::uint32_t count) noexcept {
  FramePool::Link& last = last_link(pool, addr, segments);
  if (!pool.contains(last.addr, std::uint64_t{last.size} + count)) return false;
  last.size += count;
  return true;
}

// Whole segments at the end go home; the first one always stays.
bool Packet::trim_chain(std::uint32_t count) noexcept {
  if (count > size()) return false;
  while (origin_.segments > 1) {
    FramePool::Link& last = last_link(*pool_, addr_, origin_.segments);
    if (count < last.size) {
      last.size -= count;
      return true;
    }
    count -= last.size;
    pool_->put(last.addr, FrameOwner::handler);
    pool_->unhold(1);
    --origin_.segments;
  }
  size_ -= count;
  return true;
}

std::optional<Packet> Packet::copy() const noexcept {
  check_owned();
  assert(pool_ != nullptr);
  if (pool_->available() < origin_.segments) return std::nullopt;
  std::uint64_t first = 0;
  std::uint64_t previous = 0;
  std::uint8_t made = 0;
  for (const auto segment : segments()) {
    // The same offset inside the frame: the copy has the same head room.
    const auto offset = static_cast<std::uint64_t>(
        (segment.data() - pool_->at(0)) & (pool_->frame_size() - 1));
    const std::uint64_t frame = pool_->frame_of(pool_->take());
    pool_->moved(frame, FrameOwner::pool, FrameOwner::handler);
    const std::uint64_t addr = frame + offset;
    std::memcpy(pool_->at(addr), segment.data(), segment.size());
    if (made == 0 && pool_->has_metadata() && !before_start(addr_)) {
      constexpr std::size_t kHints = sizeof(sluice_hints);
      std::memcpy(metadata_of(*pool_, addr) - kHints,
                  metadata_of(*pool_, addr_) - kHints,
                  kHints + sizeof(sluice_metadata));
    }
    const auto size = static_cast<std::uint32_t>(segment.size());
    if (made == 0) {
      first = addr;
    } else {
      pool_->link(previous) = {addr, size};
    }
    previous = addr;
    ++made;
  }
  pool_->hold(origin_.segments);
  return Packet(*pool_, first, size_, origin_);
}

}  // namespace sluice
