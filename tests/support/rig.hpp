// SPDX-License-Identifier: Apache-2.0
// Rig: a poller over a HandCore, checked after every turn.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <sluice/poller.hpp>
#include <utility>
#include <vector>

#include "fake_kernel.hpp"

namespace sluice::test {

using namespace std::chrono_literals;

/// A packet that can be told from all others: its number, then a pattern.
inline std::vector<std::byte> numbered(std::uint32_t number,
                                       std::size_t size = 64) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>(number * 31 + i * 7);
  }
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

template <class Bytes>
std::uint32_t number_of(const Bytes& bytes) {
  std::uint32_t number = 0;
  std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

inline std::vector<std::byte> bytes_of(const Packet& packet) {
  std::vector<std::byte> all;
  for (const auto segment : packet.segments()) {
    all.insert(all.end(), segment.begin(), segment.end());
  }
  return all;
}

/// The books agree: the ledger adds up, and what it says of the kernel is what
/// the kernel's side of the rings holds.
inline void expect_books_agree(HandCore& hand) {
  const Ledger ledger = hand.core->ledger();
  EXPECT_TRUE(ledger.balanced())
      << "pool " << ledger.pool << ", handler " << ledger.handler << ", chain "
      << ledger.chain << ", receiving " << ledger.receiving << ", transmitting "
      << ledger.transmitting << ", astray " << ledger.astray << ", frames "
      << ledger.frames;
  for (Port& port : hand.ports) {
    const HandPort& side = hand.kernel.port(port.index());
    EXPECT_EQ(port.receiving(), side.fill.used() + side.rx.used());
    EXPECT_EQ(port.transmitting(),
              side.tx.used() + side.completion.used() + side.in_flight.size());
  }
}

/// A handler of packets whose work is the test's.
struct OnPacket {
  std::function<void(Packet, Core&)> work;
  std::vector<Event> events = {};
  void operator()(Packet packet, Core& core) noexcept {
    work(std::move(packet), core);
  }
  void event(const Event& event) { events.push_back(event); }
};

/// A handler of bursts whose work is the test's.
struct OnBurst {
  std::function<void(Burst&, Core&)> work;
  void operator()(Burst& burst, Core& core) noexcept { work(burst, core); }
};

inline void reply_to_all(Packet packet, Core& core) {
  core.reply(std::move(packet));
}
inline void drop_all(Packet, Core&) {}

/// Idling, too, is a test's business.
template <class H>
struct OpenPoller : Poller<H> {
  using Poller<H>::Poller;
  using Poller<H>::drained;
  using Poller<H>::idle;
};

template <class H>
struct Rig : HandCore {
  template <class Work>
  explicit Rig(Work work, const HandCoreOptions& options = {},
               const PollerOptions& loop = {})
      : HandCore(options),
        handler{std::move(work)},
        poller(handler, *core, kernel, loop) {}

  std::uint32_t turn() {
    const std::uint32_t work = poller.turn();
    expect_books_agree(*this);
    return work;
  }
  void turns(int count) {
    while (count-- > 0) turn();
  }
  /// What waits in TX for company leaves, and its frames come home.
  void settle() {
    for (int i = 0; i < 4; ++i) {
      later(1ms);
      turn();
    }
  }
  void later(Duration duration) { kernel.clock = kernel.clock + duration; }
  bool arrive(std::uint32_t number, std::size_t size = 64,
              std::size_t port = 0) {
    return kernel.deliver(port, numbered(number, size));
  }
  HandPort& side(std::size_t i = 0) { return kernel.port(i); }
  PortCounters& counters(std::size_t i = 0) { return ports[i].counters(); }

  /// Packets so close, a microsecond apart, that a kick may wait for company.
  /// TX is empty afterwards.
  void make_dense() {
    for (std::uint32_t i = 0; i < 200; ++i) {
      later(1us);
      arrive(i);
      if (i == 199) core->flush();
      turn();
    }
    side().wire.clear();
    side().kicks = 0;
  }

  H handler;
  OpenPoller<H> poller;
};

}  // namespace sluice::test
