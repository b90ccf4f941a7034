// SPDX-License-Identifier: Apache-2.0
// Packet: exclusive ownership of the frame that holds one packet.
//
// Ownership is the verdict. A Packet that dies is dropped: its frame goes home.
// Moved into `reply` or `send` it is sent; kept, it is held for as long as its
// owner wants. It can't be copied by accident, and a second use after a move is
// an error of clang-tidy (bugprone-use-after-move) and stops checked builds.
//
// A packet larger than a frame (multi-buffer) is a chain of segments behind
// this first one; all others have one segment.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <sluice/frame_pool.hpp>
#include <sluice/metadata.hpp>
#include <span>
#include <type_traits>
#include <utility>

namespace sluice {

class Port;

class Packet {
 public:
  /// Most segments of one packet: the kernel's MAX_SKB_FRAGS + 1.
  static constexpr std::size_t kSegmentsMax = 18;
  /// Room in front of a received or a new packet: XDP_PACKET_HEADROOM.
  static constexpr std::uint32_t kHeadroom = 256;
  /// Bytes of a packet that its MTU does not count.
  static constexpr std::uint32_t kEthernetAndVlan = 18;
  /// The largest MTU of which a packet fits into a frame of that size.
  [[nodiscard]] static constexpr std::uint32_t mtu_of(
      std::uint32_t frame_size) noexcept {
    return frame_size - kHeadroom - kEthernetAndVlan;
  }

  /// Where a packet came in. One word, so that a burst is made quickly.
  struct Origin {
    std::uint16_t queue = 0;
    std::uint8_t port = 0;
    std::uint8_t segments = 1;
  };

  /// `addr`: address of the first byte in the pool's UMEM. `size`: bytes from
  /// the Ethernet header on, without FCS. The pool counts the frame as held.
  Packet(FramePool& pool, std::uint64_t addr, std::uint32_t size,
         Origin origin) noexcept
      : pool_(&pool), addr_(addr), size_(size), origin_(origin), home_(pool) {}

  Packet(Packet&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        addr_(other.addr_),
        size_(other.size_),
        origin_(other.origin_),
        home_(other.home_) {}

  /// By value: the frame held until now is at home on return.
  Packet& operator=(Packet other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(addr_, other.addr_);
    std::swap(size_, other.size_);
    std::swap(origin_, other.origin_);
    std::swap(home_, other.home_);
    return *this;
  }

  ~Packet() {
    if (pool_ == nullptr) return;  // Moved from.
    if (origin_.segments == 1) [[likely]] {
      pool_->put(addr_, FrameOwner::handler);
      pool_->unhold(1);
    } else {
      drop(*pool_, addr_, origin_.segments);
    }
  }

  /// The packet, or its first segment: Ethernet header to last byte. Valid as
  /// long as *this owns the frame; prepend and its like invalidate it.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    check_owned();
    assert(pool_ != nullptr);  // A packet was used after it was moved away.
    return {pool_->at(addr_), size_};
  }

  /// A header `offset` bytes into the first segment, or nullptr if it would
  /// not fit. T is one of headers.hpp or a struct of yours without padding.
  template <class T>
  [[nodiscard]] T* header(std::size_t offset = 0) const noexcept {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) == 1,
                  "a header is a packed, trivially copyable struct");
    const auto frame = bytes();
    if (offset > frame.size() || frame.size() - offset < sizeof(T)) {
      return nullptr;
    }
    return reinterpret_cast<T*>(frame.data() + offset);
  }

  /// Bytes of all segments.
  [[nodiscard]] std::uint32_t size() const noexcept {
    check_owned();
    return origin_.segments == 1
               ? size_
               : chain_size(*pool_, {addr_, size_}, origin_.segments);
  }

  /// Grow or shrink, in place, without moving what is there. New bytes hold
  /// anything. False, and nothing changed, where there is no room (a received
  /// packet has at least kHeadroom bytes in front, less what the pool has
  /// reserved) or too little to cut: a packet keeps its last byte, or it would
  /// end in the next frame.
  [[nodiscard]] bool prepend(std::uint32_t count) noexcept {
    check_owned();
    const std::uint64_t wanted = std::uint64_t{count} + pool_->reserved();
    if (addr_ - pool_->frame_of(addr_) < wanted) return false;
    addr_ -= count;
    size_ += count;
    return true;
  }
  [[nodiscard]] bool trim_front(std::uint32_t count) noexcept {
    check_owned();
    if (count >= size_) return false;
    if (before_start(addr_) && !before_start(addr_ + count)) [[unlikely]]
      forget_metadata(*pool_, addr_);  // What was prepended lay over it.
    addr_ += count;
    size_ -= count;
    return true;
  }
  [[nodiscard]] bool append(std::uint32_t count) noexcept {
    check_owned();
    if (origin_.segments != 1) [[unlikely]]
      return append_to_chain(*pool_, addr_, origin_.segments, count);
    if (!pool_->contains(addr_, std::uint64_t{size_} + count)) return false;
    size_ += count;
    return true;
  }
  [[nodiscard]] bool trim_back(std::uint32_t count) noexcept {
    check_owned();
    if (origin_.segments != 1) [[unlikely]]
      return trim_chain(count);
    if (count > size_) return false;
    size_ -= count;
    return true;
  }

  /// A second packet with the same bytes in frames of its own; nothing when the
  /// pool has none left. The only way to copy, and it says so.
  [[nodiscard]] std::optional<Packet> copy() const noexcept;

  /// Index of the port it came in on, in the order the core's ports were named.
  [[nodiscard]] std::uint8_t port() const noexcept { return origin_.port; }
  /// Queue of that port's interface.
  [[nodiscard]] std::uint16_t queue() const noexcept { return origin_.queue; }

  /// The rule that steered it, by its label; none for a rule without one, for a
  /// packet of the handler's own, where the driver takes no metadata, and once
  /// something was prepended. The others are none in these cases, too.
  [[nodiscard]] RuleId rule() const noexcept {
    const auto metadata = this->metadata();
    return {metadata ? metadata->label : 0};
  }
  /// When it arrived, and by which clock; none unless the engine was asked for
  /// timestamps.
  [[nodiscard]] std::optional<Timestamp> timestamp() const noexcept {
    const auto metadata = this->metadata();
    if (!metadata || metadata->clock == SLUICE_CLOCK_NONE) return {};
    return Timestamp{metadata->time, Timestamp::Clock{metadata->clock}};
  }
  /// What the NIC hashed of it; none unless the engine was asked for RX hints
  /// and granted this one, and where the NIC hashed nothing.
  [[nodiscard]] std::optional<RxHash> rx_hash() const noexcept {
    const auto metadata = this->metadata();
    if (!metadata || (metadata->hints & SLUICE_HINT_HASH) == 0) return {};
    return RxHash{hints().hash, metadata->hash_type};
  }
  /// The VLAN tag that the NIC took out of it; none as above, and where the NIC
  /// took none out: one that is there is in bytes().
  [[nodiscard]] std::optional<VlanTag> vlan_tag() const noexcept {
    const auto metadata = this->metadata();
    if (!metadata || (metadata->hints & SLUICE_HINT_VLAN) == 0) return {};
    const sluice_hints hints = this->hints();
    return VlanTag{hints.vlan_protocol, hints.vlan_control};
  }
  /// Version of the list that the rule is of; 0: none.
  [[nodiscard]] std::uint64_t list_version() const noexcept {
    const auto metadata = this->metadata();
    return metadata ? metadata->version : 0;
  }
  /// All that the XDP program wrote, or none.
  [[nodiscard]] std::optional<sluice_metadata> metadata() const noexcept {
    check_owned();
    if (!pool_->has_metadata() || before_start(addr_)) return {};
    sluice_metadata metadata;
    std::memcpy(&metadata, metadata_of(*pool_, addr_), sizeof metadata);
    if (metadata.magic != SLUICE_METADATA_MAGIC) return {};
    return metadata;
  }

  /// The segments in order; one for most packets. Valid like bytes().
  class Segments {
   public:
    [[nodiscard]] auto begin() const noexcept { return spans_.begin(); }
    [[nodiscard]] auto end() const noexcept { return spans_.begin() + count_; }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] std::span<std::byte> operator[](std::size_t i) const {
      return spans_[i];
    }

   private:
    friend class Packet;
    std::array<std::span<std::byte>, kSegmentsMax> spans_;
    std::uint8_t count_ = 0;
  };
  [[nodiscard]] Segments segments() const noexcept;

 private:
  friend class Port;  // Builds packets from descriptors and back.
  friend class Core;  // Makes packets.

  // Checked builds remember whose frame a packet was that moved away.
  struct Home {
#ifdef SLUICE_CHECK_FRAMES
    explicit Home(FramePool& home) noexcept : pool(&home) {}
    FramePool* pool;
#else
    explicit Home(FramePool&) noexcept {}
#endif
  };
  void check_owned() const noexcept {
#ifdef SLUICE_CHECK_FRAMES
    if (pool_ == nullptr) used_after_move();
#endif
  }
  [[noreturn]] void used_after_move() const noexcept;

  // Metadata ends where packets start: kHeadroom bytes into the frame.
  [[nodiscard]] bool before_start(std::uint64_t addr) const noexcept {
    return addr - pool_->frame_of(addr) < kHeadroom;
  }
  [[nodiscard]] static std::byte* metadata_of(const FramePool& pool,
                                              std::uint64_t addr) noexcept {
    return pool.at(pool.frame_of(addr) + kHeadroom - sizeof(sluice_metadata));
  }
  // REQUIRES: metadata() names some.
  [[nodiscard]] sluice_hints hints() const noexcept {
    sluice_hints hints;
    std::memcpy(&hints, metadata_of(*pool_, addr_) - sizeof hints,
                sizeof hints);
    return hints;
  }
  // What is in the frame is an earlier packet's.
  static void forget_metadata(const FramePool& pool,
                              std::uint64_t addr) noexcept {
    static_assert(offsetof(sluice_metadata, magic) == 0);
    std::memset(metadata_of(pool, addr), 0, sizeof(std::uint32_t));
  }

  // By value: a packet whose address nobody asks for lives in registers.
  static void drop(FramePool& pool, std::uint64_t addr,
                   std::uint8_t segments) noexcept;
  static std::uint32_t chain_size(FramePool& pool, FramePool::Link first,
                                  std::uint8_t segments) noexcept;
  static FramePool::Link& last_link(FramePool& pool, std::uint64_t addr,
                                    std::uint8_t segments) noexcept;
  static bool append_to_chain(FramePool& pool, std::uint64_t addr,
                              std::uint8_t segments,
                              std::uint32_t count) noexcept;
  bool trim_chain(std::uint32_t count) noexcept;

  FramePool* pool_;     // nullptr: moved from.
  std::uint64_t addr_;  // First byte.
  std::uint32_t size_;  // Of the first segment.
  Origin origin_;       // link(frame) leads from a segment to the next.
  [[no_unique_address]] Home home_;
};

static_assert(kCheckFrames || sizeof(Packet) == 24,
              "a packet travels in registers");

}  // namespace sluice
