// SPDX-License-Identifier: Apache-2.0
// SimCore: a whole core over a simulated kernel, for a handler to run on.
//
//   SimCore sim({.seed = 7});
//   sim.port(0).feed(packets);
//   sim.port(0).watch(look);
//   MyHandler handler;
//   sim.run(handler, 10s);               // Of virtual time.
//   EXPECT_EQ(sim.trouble(), "");
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/core.hpp>
#include <sluice/frame_pool.hpp>
#include <sluice/poller.hpp>
#include <sluice/port.hpp>
#include <sluice/testing/sim_kernel.hpp>
#include <string>
#include <vector>

namespace sluice::testing {

struct SimCoreOptions {
  std::uint64_t seed = 1;
  /// One port each, named p0, p1 and so on. With room for TX metadata: all or
  /// none, since they share their frames.
  std::vector<SimPortOptions> ports = {SimPortOptions{}};
  std::uint32_t frames = 1024;      ///< All ports' RX rings, and some more.
  std::uint32_t frame_size = 2048;  ///< 2048 or 4096.
  SimFaults faults = {};
};

class SimCore {
 public:
  explicit SimCore(const SimCoreOptions& options = {});
  SimCore(const SimCore&) = delete;
  SimCore& operator=(const SimCore&) = delete;

  /// Runs the handler's loop for so long, then until what it sent has left.
  /// May be called again, and with another handler.
  template <class H>
  void run(H& handler, Duration duration, const PollerOptions& options = {}) {
    kernel_.stop_at(kernel_.clock() + duration);
    Poller<H> poller(handler, core_, kernel_, options);
    poller.run();
  }

  [[nodiscard]] SimKernel& kernel() noexcept { return kernel_; }
  [[nodiscard]] SimPort& port(std::size_t index) { return kernel_.port(index); }
  /// What a handler's constructor is given.
  [[nodiscard]] Core& core() noexcept { return core_; }

  /// Every frame has one owner, the ledger adds up, and says of the kernel what
  /// the kernel says. For after every turn.
  [[nodiscard]] bool books_agree() noexcept;
  /// What does not agree, in sentences; "" is good.
  [[nodiscard]] std::string trouble();

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };

  std::unique_ptr<std::byte[], Free> memory_;
  SimKernel kernel_;
  FramePool pool_;
  std::vector<Port> ports_;
  Core core_;
};

}  // namespace sluice::testing
