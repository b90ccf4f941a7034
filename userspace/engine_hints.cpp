// SPDX-License-Identifier: Apache-2.0
// What the NIC tells of packets as they come in. The first rung of attaching,
// where that is asked for: a program that is bound to the device, and asks it.
#include "engine_state.hpp"

namespace sluice {

RxHints Engine::wanted_hints() const noexcept {
  return {options_.timestamps, options_.rx_hints, options_.rx_hints};
}

// The rungs below tell why no program can be attached at all.
bool Engine::attach_bound(PortState& port) {
  const auto refuse = [&port](std::string reason) {
    port.unbound = std::move(reason);
    return false;
  };
  RxHints wanted = wanted_hints();
  if (options_.masked.hardware_time) wanted.time = false;
  if (options_.masked.native || options_.mode == Mode::generic) {
    return refuse("It takes the native mode.");
  }
  if (options_.dispatcher) {
    return refuse("A program that a dispatcher calls is bound to no device.");
  }
  if (wanted == RxHints{}) return false;
  ProgramOptions options = program_options(port);
  options.rx_hints = wanted & driver_rx_hints(port.device.index);
  options.bound_to = port.device.index;
  if (options.rx_hints == RxHints{}) return false;
  auto program = Program::load(options);
  if (!program) return refuse(program.error().message());
  auto attached = program->attach(port.device.index, AttachMode::native);
  if (!attached) return refuse(attached.error().message());
  port.program = std::move(*program);
  port.attached = AttachMode::native;
  port.attached_to = port.device.index;
  return true;
}

// What the program there asks for, and why not more.
void Engine::grant_hints(PortState& port) const {
  const RxHints wanted = wanted_hints();
  port.hints = {};
  if (wanted == RxHints{}) return;
  const RxHints offered = driver_rx_hints(port.device.index);
  const RxHints asked = RxHints::of(port.program->identity().hints);
  port.hints = wanted & offered & asked;
  const auto judge = [&](bool RxHints::* hint, const char* rung,
                         const char* flag) {
    if (!(wanted.*hint) || port.hints.*hint) return;
    std::string reason =
        std::string(
            "The attached program does not ask for it: attach it "
            "with ") +
        flag + ".";
    if (!(offered.*hint)) reason = "The driver offers none to XDP programs.";
    if (!port.unbound.empty()) reason = port.unbound;
    if (hint == &RxHints::time && options_.masked.hardware_time) {
      reason = "It was masked.";
    }
    port.refused.push_back({rung, std::move(reason)});
  };
  judge(&RxHints::time, "hardware timestamps", "--timestamps");
  judge(&RxHints::hash, "RX hash", "--rx-hints");
  judge(&RxHints::vlan_tag, "RX VLAN tag", "--rx-hints");
}

}  // namespace sluice
