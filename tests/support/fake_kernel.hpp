// SPDX-License-Identifier: Apache-2.0
// FakeKernel: the kernel's side of a port's rings, played by hand.
//
// A test delivers packets, transmits, completes, and moves the clock, one step
// at a time; index wrap-around, starvation and errors are reached without a
// NIC. It obeys: what it does is what the test says, at once.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <sluice/core.hpp>
#include <sluice/kernel.hpp>
#include <sluice/poller.hpp>
#include <sluice/port.hpp>
#include <span>
#include <string>
#include <vector>

namespace sluice::test {

/// Memory of one ring, as the kernel would map it; both sides' indices start at
/// `start`.
template <class T>
struct HandRing {
  std::vector<T> slots;
  std::uint32_t producer;
  std::uint32_t consumer;
  std::uint32_t flags = 0;

  HandRing(std::uint32_t size, std::uint32_t start)
      : slots(size), producer(start), consumer(start) {}
  HandRing(const HandRing&) = delete;
  [[nodiscard]] RingMemory<T> memory() {
    return {&producer, &consumer, &flags, slots};
  }
  [[nodiscard]] std::uint32_t used() const { return producer - consumer; }
  [[nodiscard]] bool full() const { return used() == slots.size(); }
  void push(const T& value) {
    assert(!full());
    slots[producer % slots.size()] = value;
    ++producer;
  }
  [[nodiscard]] T pop() {
    assert(used() > 0);
    return slots[consumer++ % slots.size()];
  }
};

/// The kernel's side of one port. Copy mode: TX always asks to be kicked.
struct HandPort {
  HandRing<std::uint64_t> fill;
  HandRing<xdp_desc> rx;
  HandRing<xdp_desc> tx;
  HandRing<std::uint64_t> completion;
  std::vector<std::vector<std::byte>> wire;  // What was transmitted.
  std::vector<xdp_desc> sent;                // All descriptors taken from TX.
  std::deque<int> kick_results;              // Errno of the next kicks.
  std::uint32_t budget = 32;                 // Descriptors taken by a kick.
  std::uint32_t kicks = 0;
  std::uint32_t wakes = 0;
  std::uint32_t tx_wakes = 0;
  bool completes = true;                 // TX frames come back at once.
  std::vector<std::uint64_t> in_flight;  // Taken, not completed.

  HandPort(std::uint32_t ring_size, std::uint32_t start)
      : fill(2 * ring_size, start),
        rx(ring_size, start),
        tx(ring_size, start),
        completion(ring_size, start) {
    tx.flags = 1;
  }
  [[nodiscard]] PortRings rings() {
    return {fill.memory(), rx.memory(), tx.memory(), completion.memory()};
  }
};

class FakeKernel : public Kernel {
 public:
  FakeKernel(std::span<std::byte> umem, std::uint32_t frame_size)
      : umem_(umem), frame_size_(frame_size) {}

  HandPort& add_port(std::uint32_t ring_size, std::uint32_t start = 0) {
    return *ports_.emplace_back(std::make_unique<HandPort>(ring_size, start));
  }
  [[nodiscard]] HandPort& port(std::size_t i) { return *ports_[i]; }

  /// A packet arrives. False: FILL or RX had no room, and it is lost.
  bool deliver(std::size_t port, std::span<const std::byte> bytes,
               std::uint32_t options = 0) {
    HandPort& p = *ports_[port];
    if (p.fill.used() == 0 || p.rx.full()) return false;
    const std::uint64_t frame =
        p.fill.pop() & ~static_cast<std::uint64_t>(frame_size_ - 1);
    const std::uint64_t addr = frame + Packet::kHeadroom;
    assert(bytes.size() <= frame_size_ - Packet::kHeadroom);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      write_raw(&umem_[addr + i], bytes[i]);
    }
    p.rx.push({addr, static_cast<std::uint32_t>(bytes.size()), options});
    return true;
  }

  /// What a device reads and writes in front of a packet.
  [[nodiscard]] TxMetadata metadata(const xdp_desc& desc) const {
    std::array<std::byte, sizeof(TxMetadata)> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = raw(&umem_[desc.addr - bytes.size() + i]);
    }
    return std::bit_cast<TxMetadata>(bytes);
  }
  void write_time(const xdp_desc& desc, std::uint64_t ns) {
    const auto bytes = std::bit_cast<std::array<std::byte, sizeof ns>>(ns);
    const std::uint64_t at =
        desc.addr - sizeof(TxMetadata) + offsetof(TxMetadata, checksum_start);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      write_raw(&umem_[at + i], bytes[i]);
    }
  }

  /// Returns frames taken earlier, when `completes` is off.
  void complete(std::size_t port, std::size_t count) {
    HandPort& p = *ports_[port];
    while (count-- > 0 && !p.in_flight.empty() && !p.completion.full()) {
      p.completion.push(p.in_flight.front());
      p.in_flight.erase(p.in_flight.begin());
    }
  }

  int kick_tx(std::uint8_t port) noexcept override {
    HandPort& p = *ports_[port];
    ++p.kicks;
    if (!p.kick_results.empty()) {
      const int result = p.kick_results.front();
      p.kick_results.pop_front();
      if (result == EBUSY && p.tx.used() > 0) refuse(p);
      if (result != 0) return result;
    }
    for (std::uint32_t n = 0; n < p.budget && p.tx.used() > 0; ++n) {
      if (p.completes && p.completion.full()) break;
      if (!take(p)) return 0;  // As Linux: stops behind it, and says nothing.
    }
    return p.tx.used() > 0 ? EAGAIN : 0;
  }
  int wake_rx(std::uint8_t port) noexcept override {
    ++ports_[port]->wakes;
    return 0;
  }
  void wake_tx(std::uint8_t port) noexcept override {
    ++ports_[port]->tx_wakes;
  }
  void wait(Time deadline, std::uint32_t watched) noexcept override {
    ++waits;
    last_deadline = deadline;
    last_watched = watched;
    if (deadline > clock) clock = deadline;
    if (on_wait) on_wait();
  }
  [[nodiscard]] Time now() noexcept override {
    clock = clock + step;
    return clock;
  }
  [[nodiscard]] bool next_event(Event& event) noexcept override {
    if (events.empty()) return false;
    event = events.front();
    events.pop_front();
    return true;
  }

  Time clock{1'000'000'000};
  Time last_deadline{};
  std::uint32_t last_watched = 0;
  std::uint32_t waits = 0;
  std::deque<Event> events;
  Duration step{0};               // How far the clock goes by being read.
  std::function<void()> on_wait;  // While the loop sleeps.

 private:
  // Completed, never sent: what EBUSY means.
  void refuse(HandPort& p) { p.completion.push(p.tx.pop().addr); }

  bool take(HandPort& p) {
    const xdp_desc desc = p.tx.pop();
    p.sent.push_back(desc);
    const bool valid = desc.len > 0 && desc.addr < umem_.size() &&
                       (desc.addr % frame_size_) + desc.len <= frame_size_;
    if (valid) {
      const std::byte* first = &umem_[desc.addr];
      std::vector<std::byte> bytes(desc.len);
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = raw(first + i);
      p.wire.push_back(std::move(bytes));
    }
    if (p.completes) {
      p.completion.push(desc.addr);
    } else {
      p.in_flight.push_back(desc.addr);
    }
    return valid;
  }

  // The kernel may read what checked builds have poisoned for us.
#if defined(__clang__) || defined(__GNUC__)
  __attribute__((no_sanitize("address"), noinline))
#endif
  static std::byte
  raw(const std::byte* at) {
    return *at;
  }
#if defined(__clang__) || defined(__GNUC__)
  __attribute__((no_sanitize("address"), noinline))
#endif
  static void
  write_raw(std::byte* at, std::byte value) {
    *at = value;
  }

  std::span<std::byte> umem_;
  std::uint32_t frame_size_;
  std::vector<std::unique_ptr<HandPort>> ports_;
};

/// A whole core over a FakeKernel: memory, pool, ports. Turn by turn.
struct HandCoreOptions {
  std::size_t ports = 1;
  std::uint32_t frames = 256;
  std::uint32_t frame_size = 2048;
  std::uint32_t ring_size = 64;
  std::uint32_t start = 0;  // Where the ring indices begin.
  std::optional<TxOffload> tx_offload = {};
};

class HandCore {
 public:
  explicit HandCore(const HandCoreOptions& options = {})
      : memory(static_cast<std::size_t>(options.frames) * options.frame_size),
        kernel(memory, options.frame_size),
        pool(memory, options.frame_size) {
    std::vector<PortFacts> facts;
    for (std::size_t i = 0; i < options.ports; ++i) {
      HandPort& hand = kernel.add_port(options.ring_size, options.start);
      ports.emplace_back(static_cast<std::uint8_t>(i), std::uint16_t{0},
                         hand.rings(), pool, options.ring_size);
      if (options.tx_offload) {
        pool.reserve_front(sizeof(TxMetadata));
        ports.back().offer(*options.tx_offload);
      }
      const std::string name = "p" + std::to_string(i);
      facts.push_back({name, name, MacAddress{{2, 0, 0, 0, 0, 1}}, 1500});
    }
    for (Port& port : ports) port.refill();
    core = std::make_unique<Core>(0, 0, ports, std::move(facts), pool,
                                  kernel.now());
  }

  std::vector<std::byte> memory;
  FakeKernel kernel;
  FramePool pool;
  std::vector<Port> ports;
  std::unique_ptr<Core> core;
};

}  // namespace sluice::test
