// SPDX-License-Identifier: Apache-2.0
// The traits of the kernel, shown by the simulated one. The same scenarios run
// over Linux in tests/veth/trait_test.cpp.
#include <sluice/testing/sim_kernel.hpp>

#include "kernel_traits.hpp"
#include "kernel_traits_offload.hpp"
#include "kernel_traits_rx.hpp"
#include "kernel_traits_tx.hpp"

namespace sluice::testing {
namespace {

class SimSide : public KernelSide {
 public:
  explicit SimSide(const SideOptions& options)
      : port_(kernel_.add_port({.ring_size = options.ring_size,
                                .multi_buffer = options.multi_buffer,
                                .tx_budget = options.tx_budget,
                                .tx_offload = offload_of(options)})) {
    port_.watch([this](const SimDeparture& departure) {
      if (departure.fate != SimFate::sent) return;
      departed_.emplace_back(departure.bytes.begin(), departure.bytes.end());
    });
  }
  static Result<std::unique_ptr<KernelSide>> make(const SideOptions& options) {
    return std::unique_ptr<KernelSide>(std::make_unique<SimSide>(options));
  }

  Kernel& kernel() override { return kernel_; }
  PortRings rings() override { return port_.rings(); }
  std::span<std::byte> memory() override { return memory_; }
  std::uint32_t tx_budget() override { return port_.options().tx_budget; }
  bool tx_metadata() override { return port_.options().tx_offload.has_value(); }
  // As XDP_STATISTICS has it: a chain that lacks a frame is a drop, no more.
  SocketStatistics statistics() override {
    const SimWire& wire = port_.wire();
    SocketStatistics statistics;
    statistics.rx_dropped = wire.dropped_too_large + wire.dropped_fill_empty;
    statistics.fill_empty = wire.dropped_fill_empty;
    statistics.rx_ring_full = wire.dropped_rx_full;
    statistics.tx_invalid = wire.tx_invalid;
    return statistics;
  }

  bool arrive(std::span<const std::byte> packet) override {
    return port_.deliver(packet);
  }
  void arrive_later(std::span<const std::byte> packet) override {
    port_.feed([this, bytes = Bytes(packet.begin(), packet.end()),
                came = false](SimArrival& arrival) mutable {
      if (std::exchange(came, true)) return false;
      arrival.at = kernel_.clock() + 5ms;
      arrival.bytes = bytes;
      return true;
    });
  }
  std::vector<Bytes> departed() override {
    return std::exchange(departed_, {});
  }
  void pass() override { kernel_.pass(1ms); }

  void set_link(bool up) override { port_.set_link(up); }
  bool told_of_link(bool up) override {
    Event event;
    return kernel_.next_event(event) &&
           event.kind == (up ? Event::Kind::link_up : Event::Kind::link_down);
  }
  void set_carrier(bool there) override { port_.set_carrier(there); }
  void unbind() override { set_fault(&SimFaults::kick_enxio, true); }
  bool hold(bool all) override {
    set_fault(&SimFaults::completion_late, all);
    return true;
  }
  void let_go() override {}  // By itself, in time.
  bool crowd(bool on) override {
    set_fault(&SimFaults::kick_eagain, on);
    return true;
  }
  bool showed(SimTrait trait) override { return kernel_.counts()[trait] > 0; }

 private:
  static std::optional<TxOffload> offload_of(const SideOptions& options) {
    if (!options.tx_metadata) return std::nullopt;
    return TxOffload{};
  }
  void set_fault(double SimFaults::* rate, bool on) {
    SimFaults faults;
    faults.late_max = 4s;
    faults.*rate = on ? 1 : 0;
    kernel_.set_faults(faults);
  }

  Bytes memory_ = Bytes(std::size_t{kSideFrame} * kSideFrames);
  SimKernel kernel_{memory_, kSideFrame, 1};
  SimPort& port_;
  std::vector<Bytes> departed_;
};

}  // namespace

SLUICE_INSTANTIATE_KERNEL_TRAITS(Sim, SimSide::make);

}  // namespace sluice::testing
