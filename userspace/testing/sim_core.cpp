// SPDX-License-Identifier: Apache-2.0
#include <new>
#include <sluice/testing/sim_core.hpp>

namespace sluice::testing {
namespace {

constexpr std::align_val_t kPage{4096};

std::size_t umem_size(const SimCoreOptions& options) {
  return std::size_t{options.frames} * options.frame_size;
}

std::vector<Port> make_ports(const SimCoreOptions& options, SimKernel& kernel,
                             FramePool& pool) {
  std::vector<Port> ports;
  ports.reserve(options.ports.size());
  for (const SimPortOptions& each : options.ports) {
    SimPort& side = kernel.add_port(each);
    ports.emplace_back(static_cast<std::uint8_t>(ports.size()),
                       std::uint16_t{0}, side.rings(), pool, each.ring_size);
    if (each.tx_offload) {
      pool.reserve_front(sizeof(TxMetadata));
      ports.back().offer(*each.tx_offload);
    }
    ports.back().refill();
  }
  return ports;
}

std::vector<PortFacts> make_facts(std::size_t count) {
  std::vector<PortFacts> facts;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = "p" + std::to_string(i);
    const auto last = static_cast<std::uint8_t>(i + 1);
    facts.push_back({name, name, MacAddress{{2, 0, 0, 0, 0, last}}, 1500});
  }
  return facts;
}

}  // namespace

void SimCore::Free::operator()(std::byte* memory) const noexcept {
  ::operator delete[](memory, kPage);
}

SimCore::SimCore(const SimCoreOptions& options)
    : memory_(
          static_cast<std::byte*>(::operator new[](umem_size(options), kPage))),
      kernel_({memory_.get(), umem_size(options)}, options.frame_size,
              options.seed),
      pool_({memory_.get(), umem_size(options)}, options.frame_size),
      ports_(make_ports(options, kernel_, pool_)),
      core_(0, 0, ports_, make_facts(options.ports.size()), pool_,
            kernel_.now()) {
  kernel_.set_faults(options.faults);
}

bool SimCore::books_agree() noexcept {
  if (!core_.ledger().balanced() || !kernel_.violations().empty()) return false;
  for (Port& port : ports_) {
    SimPort& side = kernel_.port(port.index());
    if (port.receiving() != side.receiving() ||
        port.transmitting() != side.transmitting()) {
      return false;
    }
  }
  return true;
}

std::string SimCore::trouble() {
  std::string text;
  for (const std::string& violation : kernel_.violations()) {
    text += violation + "\n";
  }
  const Ledger ledger = core_.ledger();
  if (!ledger.balanced()) {
    text += "Of " + std::to_string(ledger.frames) + " frames " +
            std::to_string(ledger.accounted()) + " have an owner: pool " +
            std::to_string(ledger.pool) + ", handler " +
            std::to_string(ledger.handler) + ", chain " +
            std::to_string(ledger.chain) + ", receiving " +
            std::to_string(ledger.receiving) + ", transmitting " +
            std::to_string(ledger.transmitting) + ", astray " +
            std::to_string(ledger.astray) + ".\n";
  }
  for (Port& port : ports_) {
    SimPort& side = kernel_.port(port.index());
    const auto differ = [&](const char* what, std::uint32_t ours,
                            std::uint32_t theirs) {
      if (ours == theirs) return;
      text += "Port " + std::to_string(port.index()) + " is " + what + " " +
              std::to_string(ours) + " frames, the kernel says " +
              std::to_string(theirs) + ".\n";
    };
    differ("receiving", port.receiving(), side.receiving());
    differ("transmitting", port.transmitting(), side.transmitting());
  }
  return text;
}

}  // namespace sluice::testing
