// SPDX-License-Identifier: Apache-2.0
// Port: the four rings of one (interface, queue) and the frames they hold.
//
//   pool --refill--> FILL ==kernel==> RX --receive--> handler --send--> TX
//     ^                                                                  |
//     +------------reclaim------------ COMPLETION <=======kernel=========+
//
// A port moves descriptors and counts them; it makes no system call. When to
// ask the kernel for something is the poller's decision (poller.hpp).
//
// One thread. Source: Documentation/networking/af_xdp.rst.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/counter.hpp>
#include <sluice/frame_pool.hpp>
#include <sluice/packet.hpp>
#include <sluice/ring.hpp>
#include <sluice/tx_offload.hpp>
#include <sluice/uapi.hpp>
#include <span>
#include <vector>

namespace sluice {

/// Where the rings of one socket lie.
struct PortRings {
  RingMemory<std::uint64_t> fill;
  RingMemory<xdp_desc> rx;
  RingMemory<xdp_desc> tx;
  RingMemory<std::uint64_t> completion;
};

/// What one port did. Read from any thread.
struct PortCounters {
  Counter rx_packets;  ///< Given to the handler.
  Counter rx_bytes;    ///< Of all descriptors, those of broken chains too.
  Counter rx_invalid;  ///< Descriptors that point outside of the UMEM.
  Counter rx_broken;   ///< Chains too long or cut: dropped whole.
  Counter tx_packets;  ///< Submitted to TX.
  Counter tx_bytes;
  Counter tx_full;      ///< No room in TX: the packet died.
  Counter tx_refused;   ///< The device refused it (EBUSY): lost by the kernel.
  Counter tx_stalls;    ///< Times TX stood still for a second.
  Counter pool_dry;     ///< Turns in which packets had to wait for frames.
  Counter kicks;        ///< System calls that asked for transmission.
  Counter kick_errors;  ///< Of those, failed (ENETDOWN, ENXIO, ENOBUFS ...).
  Counter rx_wakes;     ///< System calls that asked for reception.
  Counter cut_off;      ///< Frames in RX and TX when their socket was lost.
  // The ledger's: frames, counted where they change hands.
  Counter fill_submitted;
  Counter rx_received;
  Counter tx_submitted;
  Counter completed;
  Counter astray;  ///< Completions that name no frame of ours.
};

/// What makes packets of RX's descriptors. By value: nothing that a handler
/// writes can change it, so that it stays in registers.
class Arrivals {
 public:
  Arrivals(FramePool& pool, Packet::Origin origin) noexcept
      : frames_(pool.map()), pool_(&pool), origin_(origin) {}

  /// `desc` is a whole packet in a frame of ours, as nearly all are. `plain`:
  /// the port's plain_options().
  [[nodiscard]] bool whole(const xdp_desc& desc,
                           std::uint32_t plain) const noexcept {
    return desc.options == plain && frames_.contains(desc.addr, desc.len);
  }
  /// The packet in `desc`, owned. REQUIRES: whole(desc, plain).
  [[nodiscard]] Packet packet(const xdp_desc& desc) const noexcept {
    pool_->moved(desc.addr, FrameOwner::fill, FrameOwner::handler);
    return Packet(*pool_, desc.addr, desc.len, origin_);
  }

 private:
  FrameMap frames_;
  FramePool* pool_;
  Packet::Origin origin_;
};

class Port {
 public:
  /// `fill_target`: frames the kernel is to have for receiving; at most the RX
  /// ring's size, so that RX can't overflow. `pool` and the rings' memory
  /// outlive the port. `index`: which of the core's ports this is. `lent`:
  /// frames that were given to FILL before, the ones from `first_lent` on.
  Port(std::uint8_t index, std::uint16_t queue, const PortRings& rings,
       FramePool& pool, std::uint32_t fill_target, std::uint32_t lent = 0,
       std::uint64_t first_lent = 0);

  // --- The loop's side ----------------------------------------------------

  /// COMPLETION -> pool. Returns how many frames came back.
  std::uint32_t reclaim() noexcept {
    const std::uint32_t given = transmitting();
    if (given == 0) return 0;
    const std::uint32_t count = completion_.readable(kReclaimMax);
    if (count == 0) return 0;
    assert(count <= given);  // More came home than ever left.
    for (const auto run : completion_.unread(count)) {
      const std::size_t done = pool_->put(run, silent_, FrameOwner::tx);
      if (done < run.size()) [[unlikely]]
        look_at(run.subspan(done));
    }
    completion_.release(count);
    counters_->completed += count;
    return count;
  }

  /// Packets that may be received now: at most `limit`, and never more than the
  /// pool can replace.
  [[nodiscard]] std::uint32_t receivable(std::uint32_t limit) noexcept {
    const std::uint32_t ready = rx_.readable(limit);
    const std::uint32_t owed = fill_target_ - receiving();
    if (ready == 0 || pool_->available() >= owed + ready) return ready;
    ++counters_->pool_dry;
    return pool_->available() > owed ? pool_->available() - owed : 0;
  }

  /// Packets in RX, whether or not there are frames to replace theirs; 0 or 1.
  [[nodiscard]] std::uint32_t unreceived() noexcept { return rx_.readable(1); }

  /// The first `count` descriptors in RX, as they lie: see ConsumerRing.
  /// REQUIRES: count <= the last receivable().
  [[nodiscard]] auto received(std::uint32_t count) const noexcept {
    return rx_.unread(count);
  }
  [[nodiscard]] Arrivals arrivals() noexcept {
    return {*pool_, {.queue = queue_, .port = index_}};
  }

  /// The options of a descriptor that is a packet of its own: none. While a
  /// chain goes on there is no such descriptor, and this is what none has.
  [[nodiscard]] std::uint32_t plain_options() const noexcept {
    return chain_.open ? ~0U : 0U;
  }

  /// What is not whole: a piece of a chain, perhaps its last, or a descriptor
  /// that is no good. Gives the packet once it is complete, counted as held.
  [[nodiscard]] std::optional<Packet> gather(const xdp_desc& desc) noexcept;

  /// The handler may keep what is in the first `count` RX slots.
  void keep(std::uint32_t count) noexcept;

  /// Gives the first `count` RX slots back, once all are read.
  void release(std::uint32_t count, std::uint64_t packets,
               std::uint64_t bytes) noexcept {
    rx_.release(count);
    counters_->rx_received += count;
    counters_->rx_packets += packets;
    counters_->rx_bytes += bytes;
  }

  /// pool -> FILL, up to the target, in batches.
  void refill() noexcept {
    const std::uint32_t missing = fill_target_ - receiving();
    if (missing >= refill_batch_) refill_now(missing);
  }

  /// Queued packets -> TX ring, where the kernel may see them.
  void submit() noexcept {
    if (queued_ == 0) return;
    if (pool_->tracks()) note_queued();
    pool_->unhold(queued_);
    tx_.submit(queued_);
    counters_->tx_submitted += queued_;
    counters_->tx_packets += queued_ - queued_more_;
    counters_->tx_bytes += queued_bytes_;
    room_ -= queued_;
    queued_ = 0;
    queued_more_ = 0;
    queued_bytes_ = 0;
  }

  /// Frames of packets that were taken for sending and not submitted: they
  /// count as held yet.
  [[nodiscard]] std::uint32_t queued() const noexcept { return queued_; }
  /// TX entries that the kernel has not taken yet, read afresh.
  [[nodiscard]] std::uint32_t untaken() noexcept { return tx_.unconsumed(); }
  [[nodiscard]] bool tx_needs_wakeup() const noexcept {
    return tx_.needs_wakeup();
  }
  [[nodiscard]] bool fill_needs_wakeup() const noexcept {
    return fill_.needs_wakeup();
  }

  // --- The handler's side, through Core and Outlet --------------------------

  /// Takes the packet for sending. False: no room in TX, nothing changed.
  /// REQUIRES: the packet is of this core.
  [[nodiscard]] bool send(Packet& packet) noexcept {
    if (!put_whole(packet) &&
        !send_segments({packet.addr_, packet.size_}, packet.origin_.segments)) {
      return false;
    }
    packet.pool_ = nullptr;
    return true;
  }
  /// The same, but where there is no room the packet dies, and tx_full counts
  /// it. It is gone either way.
  void send_or_drop(Packet& packet) noexcept {
    if (!put_whole(packet)) [[unlikely]] {
      send_or_drop_segments({packet.addr_, packet.size_},
                            packet.origin_.segments);
    }
    packet.pool_ = nullptr;
  }

  /// As send, and asks the device for something; what it was not granted is
  /// done here, or left out: see TxRequest.
  [[nodiscard]] bool send(Packet& packet, const TxRequest& request) noexcept;

  /// Packets of one segment that `send` is sure to take now.
  [[nodiscard]] std::uint32_t room() noexcept {
    find_room(tx_.size());
    return room_ - queued_;
  }

  // --- What the device does, see tx_offload.hpp -----------------------------

  /// From now on it does so much. The first call allocates. REQUIRES: sizeof
  /// TxMetadata bytes of each frame are reserved, in the pool and by the kernel
  /// (SocketOptions::tx_metadata).
  void offer(const TxOffload& offload);
  /// Nothing before offer().
  [[nodiscard]] TxOffload offload() const noexcept {
    return tx_state_ ? tx_state_->offload : TxOffload{};
  }
  /// Somebody wants to be told what TxRequest::timestamp asks for. For a
  /// poller, before the first packet.
  void listen() noexcept {
    if (tx_state_) tx_state_->listened = true;
  }
  /// Packets whose end is to be told, that have not come to it.
  [[nodiscard]] std::uint32_t awaited() const noexcept {
    return tx_state_ ? tx_state_->awaited : 0;
  }
  /// Those that have, and are not told yet.
  [[nodiscard]] std::size_t untold() const noexcept {
    return tx_state_ ? tx_state_->ended.size() : 0;
  }
  /// Calls `tell` with each Transmitted since the last call, and returns how
  /// many. REQUIRES: `tell` takes back no frames.
  template <class Tell>
  std::uint32_t tell_transmitted(Tell tell) noexcept {
    const auto count = static_cast<std::uint32_t>(untold());
    if (count == 0) return 0;
    for (const Transmitted& each : tx_state_->ended) tell(each);
    tx_state_->ended.clear();
    return count;
  }

  // --- One socket lost, another in its place --------------------------------

  /// Lets go of the rings: from now on nothing comes, and nothing is taken for
  /// sending. What RX and TX still have is counted as cut_off; the frames stay
  /// the kernel's.
  void part() noexcept;
  /// What the kernel had comes home. REQUIRES: the socket is closed.
  void recover() noexcept;
  /// Frames for FILL of the next socket, up to the target. They are the
  /// kernel's from here on. `frames` has the capacity.
  void lend(std::vector<std::uint64_t>& frames) noexcept;
  /// Goes on with the rings of another socket, which has what was lent.
  void join(const PortRings& rings) noexcept;
  [[nodiscard]] bool parted() const noexcept { return parted_; }

  // --- Facts ---------------------------------------------------------------

  /// Frames the kernel has for receiving: FILL, RX and in between.
  [[nodiscard]] std::uint32_t receiving() const noexcept {
    return static_cast<std::uint32_t>(counters_->fill_submitted.value() -
                                      counters_->rx_received.value());
  }
  /// Frames the kernel has for transmitting: TX, COMPLETION and in between.
  [[nodiscard]] std::uint32_t transmitting() const noexcept {
    return static_cast<std::uint32_t>(counters_->tx_submitted.value() -
                                      counters_->completed.value());
  }
  /// Frames of a chain whose last segment has not come.
  [[nodiscard]] std::uint32_t chained() const noexcept {
    return chain_.segments;
  }
  /// FILL is too short for comfort: frames must come back from elsewhere.
  [[nodiscard]] bool starving() const noexcept {
    return receiving() < fill_target_ / 2;
  }
  [[nodiscard]] std::uint8_t index() const noexcept { return index_; }
  [[nodiscard]] std::uint16_t queue() const noexcept { return queue_; }
  [[nodiscard]] PortCounters& counters() noexcept { return *counters_; }
  [[nodiscard]] const PortCounters& counters() const noexcept {
    return *counters_;
  }

 private:
  static constexpr std::uint32_t kReclaimMax = 256;  // A turn is bounded.

  // A multi-buffer packet in the making. The kernel may split it between two
  // bursts.
  struct Chain {
    std::uint64_t first_addr = 0;
    std::uint64_t last_addr = 0;
    std::uint32_t first_size = 0;
    std::uint32_t segments = 0;  // Gathered so far.
    bool open = false;           // The next descriptor belongs to it.
    bool broken = false;         // What came and what comes is dropped.
  };

  // What a packet waits for that is to be told of, by frame.
  struct Awaited {
    std::uint64_t number = 0;
    std::uint64_t before = 0;  // Where the device writes the time.
    bool set = false;
  };
  struct TxState {
    TxOffload offload;
    bool listened = false;
    std::uint32_t awaited = 0;  // Of frames, set.
    std::vector<Awaited> frames;
    std::vector<Transmitted> ended;  // Each frame at most once.
  };

  // The packet as nearly all are, where there is room as nearly always.
  bool put_whole(const Packet& packet) noexcept {
    if constexpr (kCheckFrames) {
      packet.check_owned();
      assert(packet.pool_ == pool_);
    }
    if (packet.origin_.segments != 1 || queued_ == room_) [[unlikely]]
      return false;
    put_descriptor(packet.addr_, packet.size_, 0);
    return true;
  }
  void put_descriptor(std::uint64_t addr, std::uint32_t size,
                      std::uint32_t options) noexcept {
    xdp_desc& desc = tx_[queued_++];
    desc.addr = addr;
    desc.len = size;
    desc.options = options;  // Always written: the slot has an old value.
    queued_bytes_ += size;
    pool_->moved(addr, FrameOwner::handler, FrameOwner::tx);
    pool_->sent(addr, size);
  }

  [[gnu::cold]] bool find_room(std::uint32_t wanted) noexcept;
  [[gnu::cold]] bool send_segments(FramePool::Link first,
                                   std::uint32_t segments) noexcept;
  [[gnu::cold]] void send_or_drop_segments(FramePool::Link first,
                                           std::uint32_t segments) noexcept;
  void note_queued() noexcept;
  void end_wait(std::size_t frame, std::optional<Timestamp> time) noexcept;
  [[gnu::cold]] void look_at(std::span<const std::uint64_t> completed) noexcept;
  void take_back(std::uint64_t addr) noexcept;
  void refill_now(std::uint32_t missing) noexcept;
  std::span<const std::uint64_t> take_to_fill(std::uint32_t count) noexcept;
  void drop_chain() noexcept;

  ConsumerRing<xdp_desc> rx_;
  ProducerRing<xdp_desc> tx_;
  ProducerRing<std::uint64_t> fill_;
  ConsumerRing<std::uint64_t> completion_;
  FramePool* pool_;
  std::unique_ptr<PortCounters> counters_;  // On cache lines of its own.
  // Frames that come back by COMPLETION and tell nothing: all of the pool's, or
  // none while a time is awaited, so that each is looked at.
  FrameMap silent_;
  std::unique_ptr<TxState> tx_state_;  // None before offer().

  std::uint32_t queued_ = 0;       // Written into TX, not yet submitted.
  std::uint32_t queued_more_ = 0;  // Of them, not the first of a packet.
  std::uint64_t queued_bytes_ = 0;
  std::uint32_t room_ = 0;  // Free TX slots when last looked, with queued_.
  std::uint32_t fill_target_;
  std::uint32_t refill_batch_;
  Chain chain_;
  std::uint16_t queue_;
  std::uint8_t index_;
  bool parted_ = false;
};

}  // namespace sluice
