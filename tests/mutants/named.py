# SPDX-License-Identifier: Apache-2.0
"""Bugs with a name: what other AF_XDP libraries got wrong, and what is easily
got wrong here. Each is one replacement in one file; `old` occurs there once."""
import collections

Mutant = collections.namedtuple("Mutant", "name file old new")

RING = "include/sluice/ring.hpp"
POOL = "include/sluice/frame_pool.hpp"
PACKET = "include/sluice/packet.hpp"
PORT = "include/sluice/port.hpp"
WAKE = "include/sluice/wake.hpp"
SPSC = "include/sluice/spsc.hpp"
POLLER = "include/sluice/poller.hpp"

NAMED = [
    # Rings.
    Mutant("wrong-mask", RING,
           "const std::uint32_t at = head_ & mask_;",
           "const std::uint32_t at = head_ & (mask_ >> 1);"),
    Mutant("burst-does-not-wrap", RING,
           "{slots_, count - straight}", "{slots_, 0}"),
    Mutant("room-off-by-one", RING,
           "if (room < limit) room = size() - unconsumed();",
           "if (room < limit) room = size() + 1 - unconsumed();"),
    Mutant("stale-room", RING,
           "if (room < limit) room = size() - unconsumed();", ""),
    Mutant("compare-instead-of-subtract", RING,
           "      ready = peer_ - head_;",
           "      ready = peer_ > head_ ? peer_ - head_ : 0;"),
    Mutant("refill-does-not-wrap", RING,
           "std::copy(entries.data() + straight, entries.data() + "
           "entries.size(),\n              slots_);", ";"),
    Mutant("rx-acquire-lost", RING,
           "peer_ = std::atomic_ref(*producer_)"
           ".load(std::memory_order_acquire);",
           "peer_ = std::atomic_ref(*producer_)"
           ".load(std::memory_order_relaxed);"),
    Mutant("rx-release-lost", RING,
           "store(head_, std::memory_order_release);\n  }\n\n"
           "  [[nodiscard]] std::uint32_t size() const noexcept "
           "{ return mask_ + 1; }\n\n private:\n  T* slots_;\n"
           "  std::uint32_t mask_;\n"
           "  std::uint32_t head_ = 0;  // Ours: next entry to read.",
           "store(head_, std::memory_order_relaxed);\n  }\n\n"
           "  [[nodiscard]] std::uint32_t size() const noexcept "
           "{ return mask_ + 1; }\n\n private:\n  T* slots_;\n"
           "  std::uint32_t mask_;\n"
           "  std::uint32_t head_ = 0;  // Ours: next entry to read."),
    Mutant("tx-release-lost", RING,
           "std::atomic_ref(*producer_).store(head_, "
           "std::memory_order_release);",
           "std::atomic_ref(*producer_).store(head_, "
           "std::memory_order_relaxed);"),
    # Frames.
    Mutant("early-free", PORT, "    packet.pool_ = nullptr;\n    return true;",
           "    return true;"),
    Mutant("early-free-of-replies", PORT,
           "    }\n    packet.pool_ = nullptr;\n  }", "    }\n  }"),
    Mutant("lost-completion-release", PORT,
           "completion_.release(count);", "completion_.release(count - 1);"),
    Mutant("completion-not-bounds-checked", POOL,
           "      if (!known.contains(addr)) [[unlikely]]\n        break;\n",
           ""),
    Mutant("completion-put-home-twice", POOL,
           "      *top++ = addr;", "      *top++ = addrs.front();"),
    Mutant("receives-what-cannot-be-replaced", PORT,
           "if (ready == 0 || pool_->available() >= owed + ready) "
           "return ready;", "if (true) return ready;"),
    Mutant("refill-off-by-one", PORT,
           "if (missing >= refill_batch_) refill_now(missing);",
           "if (missing >= refill_batch_) refill_now(missing - 1);"),
    Mutant("stale-options-in-tx", PORT, "    desc.options = options;", "    ;"),
    Mutant("sent-not-unheld", PORT, "    pool_->unhold(queued_);\n", ""),
    Mutant("rx-release-forgets-the-count", PORT,
           "    counters_->rx_received += count;\n", ""),
    Mutant("request-not-marked", "userspace/port.cpp",
           "  tx_[first].options |= XDP_TX_METADATA;\n", ""),
    Mutant("tx-full-ignored", "userspace/port.cpp",
           "return room_ - queued_ >= wanted;", "return true;"),
    Mutant("copy-not-held", "userspace/packet.cpp",
           "  pool_->hold(", "  pool_->hold(0 * "),
    Mutant("copy-loses-a-segment", "userspace/packet.cpp",
           "std::memcpy(pool_->at(addr), segment.data(), segment.size());",
           "if (made == 0) std::memcpy(pool_->at(addr), segment.data(), "
           "segment.size());"),
    Mutant("append-into-the-next-frame", PACKET,
           "if (!pool_->contains(addr_, std::uint64_t{size_} + count)) "
           "return false;", ""),
    Mutant("prepend-into-the-frame-before", PACKET,
           "if (addr_ - pool_->frame_of(addr_) < wanted) return false;", ""),
    # Chains.
    Mutant("chain-forgotten-between-bursts", POLLER,
           "std::uint32_t plain = port.plain_options();",
           "std::uint32_t plain = 0;"),
    Mutant("broken-chain-not-dropped", "userspace/port.cpp",
           "  if (chain_.broken) drop_chain();\n", ""),
    Mutant("half-a-chain-sent", "userspace/port.cpp",
           "if (room_ - queued_ < segments && !find_room(segments)) "
           "return false;", "if (room_ == queued_ && !find_room(1)) "
           "return false;"),
    Mutant("chain-end-not-marked", "userspace/port.cpp",
           "left > 1 ? XDP_PKT_CONTD : 0U", "XDP_PKT_CONTD"),
    # The loop.
    Mutant("burst-left-alive", POLLER,
           "      if (keeps()) std::destroy(first, next);", "      ;"),
    Mutant("kick-once-until-zero", "userspace/poller.cpp",
           "kicks < kKicksMax && left > 0", "kicks < 1 && left > 0"),
    Mutant("ebusy-tried-again-later", "userspace/poller.cpp",
           "if (error == EBUSY) {", "if (error == -1) {"),
    Mutant("kick-without-reclaim", "userspace/poller.cpp",
           "    port.reclaim();  // The kernel takes no more than COMPLETION "
           "has room for.\n", ""),
    Mutant("missed-look-before-sleep", "userspace/poller.cpp",
           "    if (port.receivable(1) > 0 || port.untold() > 0) return;\n",
           "    if (port.untold() > 0) return;\n"),
    Mutant("sleeps-with-untaken-tx", "userspace/poller.cpp",
           "    if (port.transmitting() == 0 || port.untaken() == 0) continue;\n",
           "    continue;\n"),
    Mutant("kept-frames-taken-for-the-kernels", POLLER,
           "      port.keep(count);\n", "      ;\n"),
    Mutant("rx-never-woken", "userspace/poller.cpp",
           "  if (!port.fill_needs_wakeup()) return;\n", "  return;\n"),
    Mutant("busy-polls-keep-tx-from-its-kick", "userspace/poller.cpp",
           "core_.now() - pending.kicked < options_",
           "core_.now() - pending.polled < options_"),
    Mutant("busy-polled-tx-waits-for-its-flag", POLLER,
           "return port.tx_needs_wakeup() || busy_polls();",
           "return port.tx_needs_wakeup();"),
    Mutant("busy-polled-tx-never-woken", "userspace/poller.cpp",
           "        kernel_.wake_tx(port.index());\n", ""),
    Mutant("stall-never-told", "userspace/poller.cpp",
           "    ++port.counters().tx_stalls;\n", ""),
    # Threads.
    Mutant("sleepers-fence-lost", WAKE,
           "std::atomic_thread_fence(std::memory_order_seq_cst);\n  }\n\n"
           "  /// Sleeper: awake", "}\n\n  /// Sleeper: awake"),
    Mutant("wakers-fence-lost", WAKE,
           "    std::atomic_thread_fence(std::memory_order_seq_cst);\n"
           "    return sleeping_", "    return sleeping_"),
    Mutant("spsc-full-off-by-one", SPSC, "== Size) return false;",
           "== Size + 1) return false;"),
]

# Those of --slice: of rings, chains and sleep; the property test alone finds
# each.
SLICE = ("compare-instead-of-subtract", "chain-forgotten-between-bursts",
         "rx-never-woken")
