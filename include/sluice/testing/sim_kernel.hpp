// SPDX-License-Identifier: Apache-2.0
// SimKernel: an AF_XDP kernel in memory, with a clock and a bad temper of its
// own, for the very same loop that runs over Linux.
//
//   SimKernel kernel(umem, 2048, seed);
//   SimPort& nic = kernel.add_port({.ring_size = 64});
//   Port port(0, 0, nic.rings(), pool, 64);
//
// Most tests want SimCore (sim_core.hpp), which sets all of it up.
//
// One seed, one run: everything is drawn from it, time is virtual, and the
// digest of all that happened is history(). Nothing is allocated by address or
// asked of the machine. An hour of an idle loop takes milliseconds.
//
// It also keeps the truth: who has each frame, as the kernel sees it
// (violations()), and what the wire saw (SimPort::wire()).
//
// One thread. Source: net/xdp/xsk.c, Documentation/networking/af_xdp.rst.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <sluice/kernel.hpp>
#include <sluice/testing/sim_faults.hpp>
#include <sluice/testing/sim_port.hpp>
#include <sluice/testing/sim_world.hpp>
#include <span>
#include <string>
#include <vector>

namespace sluice::testing {

class SimKernel : public Kernel {
 public:
  /// `umem` outlives it and is what the pool has; `frame_size` a power of two.
  SimKernel(std::span<std::byte> umem, std::uint32_t frame_size,
            std::uint64_t seed);

  /// The next port: 0, 1, ... at most 32. Valid as long as the kernel.
  SimPort& add_port(const SimPortOptions& options = {});
  [[nodiscard]] SimPort& port(std::size_t index) { return ports_[index]; }
  [[nodiscard]] std::size_t port_count() const noexcept {
    return ports_.size();
  }

  /// From now on. None: SimFaults().
  void set_faults(const SimFaults& faults) noexcept { world_.faults = faults; }
  /// Whatever is wrong at the moment ends: links come up, TX moves again.
  void heal();

  /// The loop is given the event.
  void post(const Event& event) { world_.events.push_back(event); }
  /// Event::stop at that time.
  void stop_at(Time time) noexcept { stop_at_ = time; }
  /// Time passes, and the world goes on.
  void pass(Duration duration) { go_to(world_.clock + duration); }
  [[nodiscard]] Time clock() const noexcept { return world_.clock; }

  // --- The seam --------------------------------------------------------------

  [[nodiscard]] int kick_tx(std::uint8_t port) noexcept override;
  [[nodiscard]] int wake_rx(std::uint8_t port) noexcept override;
  void wake_tx(std::uint8_t port) noexcept override;
  /// Ends for packets that arrive meanwhile, not for those that were there.
  void wait(Time deadline, std::uint32_t watched) noexcept override;
  /// Reading it takes a microsecond or two of virtual time.
  [[nodiscard]] Time now() noexcept override;
  [[nodiscard]] bool next_event(Event& event) noexcept override;

  // --- The truth -------------------------------------------------------------

  [[nodiscard]] const SimCounts& counts() const noexcept {
    return world_.counts;
  }
  /// Frames that user space gave away twice, a sentence each; none is good.
  [[nodiscard]] const std::vector<std::string>& violations() const noexcept {
    return world_.frames.violations();
  }
  /// A digest of everything that happened, packets' bytes included.
  [[nodiscard]] std::uint64_t history() const noexcept {
    return world_.history;
  }
  /// The rates, and when the latest faults struck: for a failed test to print.
  [[nodiscard]] std::string schedule() const;

 private:
  void go_to(Time time) noexcept;
  void tick() noexcept;
  [[nodiscard]] Time next_due() noexcept;

  SimWorld world_;
  std::deque<SimPort> ports_;  // A deque: its elements stay put.
  Time stop_at_ = Time::never();
};

}  // namespace sluice::testing
