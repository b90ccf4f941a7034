// SPDX-License-Identifier: Apache-2.0
// The ladders: how a program is attached and how a socket is bound, from the
// best rung down. Each rung that is refused leaves its reason.
#include <cerrno>
#include <sluice/rules_edit.hpp>
#include <thread>

#include "engine_state.hpp"

namespace sluice {
namespace {

constexpr auto kCarrierPatience = std::chrono::seconds(5);

// Why what is sent on a queue never leaves.
std::string no_tx(const Netdev& device) {
  return device.name + " has " + std::to_string(device.tx_queues) +
         " TX queues beside " + std::to_string(device.rx_queues) +
         " of RX while a program is attached: what is sent here never leaves. "
         "Before it is attached, `ethtool -L " +
         device.name + " combined " + std::to_string(device.queues_max) +
         "` gives each queue both.";
}

constexpr const char* kNoNapi =
    "The queue has no NAPI id, so its interrupts go on as before: veth has "
    "none, and before Linux 6.13 a NIC's queue has none until its first "
    "packet.";

Error frame_error(const Netdev& device, std::uint32_t frame_size) {
  return {
      EMSGSIZE, "zero-copy", "of " + device.name,
      "The driver " + device.driver +
          " fills frames in whole KiB, and an MTU of " +
          std::to_string(device.mtu) + " does not fit into one of " +
          std::to_string(frame_size) + " bytes: " +
          (too_small_for_zero_copy(device, 4096) ? "lower the MTU."
                                                 : "use --frame-size 4096.")};
}

// What must not be tried, though the driver would take it.
Result<void> may_zero_copy(const Netdev& device, std::uint32_t queue,
                           std::uint32_t frame_size) {
  if (too_small_for_zero_copy(device, frame_size)) {
    return frame_error(device, frame_size);
  }
  if (queue < device.tx_queues) return {};
  // virtio-net (seen with Linux 6.18) forgets to give up the memory of such a
  // queue when the program goes first, and crashes at the next attach.
  return Error{EOPNOTSUPP, "zero-copy",
               device.name + " queue " + std::to_string(queue),
               "The queue is there only while a program is attached."};
}

Error mtu_error(const Netdev& device, std::uint32_t frame_size) {
  const std::string fits = std::to_string(Packet::mtu_of(frame_size));
  return {
      EMSGSIZE, "MTU", std::to_string(device.mtu) + " of " + device.name,
      "A frame of " + std::to_string(frame_size) + " bytes takes an MTU of " +
          fits + ": lower it (ip link set " + device.name + " mtu " + fits +
          ")" +
          (device.mtu <= Packet::mtu_of(4096) ? ", or use --frame-size 4096."
                                              : ".")};
}

}  // namespace

void Engine::tell_of_metadata(PortState& port) {
  if (port.program->gives_metadata()) return;
  port.refused.push_back(
      {"metadata",
       "From Linux 6.13 on this libxdp's dispatcher lets no program put "
       "anything in front of a packet: handlers are told neither rule nor "
       "time."});
}

Result<void> Engine::adopt(PortState& port, Program program) {
  const auto refusal = [&](std::string why) {
    return Error{EBUSY, "the program attached to", port.device.name,
                 std::move(why) + ": take it off first (sluice detach -i " +
                     port.device.name + "), or attach it anew."};
  };
  port.attached = program.attached().value_or(AttachMode::native);
  const bool native = port.attached == AttachMode::native;
  const Mode mode = options_.mode;
  if (mode != Mode::automatic && native == (mode == Mode::generic)) {
    return refusal(std::string("It is attached in ") +
                   to_string(port.attached) + " mode, which is not --mode " +
                   to_string(mode));
  }
  port.multi_buffer = port.device.mtu > Packet::mtu_of(options_.frame_size);
  if (port.multi_buffer && native && program.identity().frags == 0) {
    return refusal("It takes packets of one frame only, and the MTU is larger");
  }
  if (options_.dispatcher && !program.dispatched()) {
    return refusal("It is the only one there, and no dispatcher calls it");
  }
  if (options_.bypass_flows > 0 && program.bypass() == nullptr) {
    return refusal("It has no table for flows to be bypassed");
  }
  std::string list = "its list stays in force";
  if (!options_.keep_attached) {
    for (const auto& line : differences(program.rules(), options_.rules)) {
      news_.push_back(port.device.name + ": replaces in its list " + line);
    }
    auto set = program.set_rules(options_.rules);
    if (!set) return set;
    list = "the rules are now those of this run";
  }
  news_.push_back(port.device.name +
                  ": adopted the attached program, which stays when this run "
                  "ends; " +
                  list);
  port.program = std::move(program);
  tell_of_metadata(port);
  grant_hints(port);
  port.attached_to = port.device.index;
  return {};
}

ProgramOptions Engine::program_options(const PortState& port) const {
  return {.rules = options_.rules,
          .frags = port.multi_buffer,
          .bypass_flows = options_.bypass_flows,
          .owner_pid = 0,
          .rx_hints = {},
          .bound_to = 0,
          .dispatcher = options_.dispatcher,
          .priority = options_.priority};
}

Result<void> Engine::attach(PortState& port) {
  port.multi_buffer = port.device.mtu > Packet::mtu_of(options_.frame_size);
  if (port.multi_buffer && options_.masked.multi_buffer) {
    return mtu_error(port.device, options_.frame_size);
  }
  if (attach_bound(port)) return see_what_attaching_changed(port);
  auto program = Program::load(program_options(port));
  if (!program) return program.error();
  port.program = std::move(*program);
  return climb_attach(port);
}

Result<void> Engine::climb_attach(PortState& port) {
  std::vector<AttachMode> rungs;
  if (options_.masked.native) {
    port.refused.push_back({"native", "It was masked."});
  } else if (options_.mode != Mode::generic) {
    rungs.push_back(AttachMode::native);
  }
  const bool bound = port.program->identity().hints != 0;
  if (!bound &&
      (options_.mode == Mode::automatic || options_.mode == Mode::generic)) {
    rungs.push_back(AttachMode::generic);
  }
  Result<void> attached = Error{EOPNOTSUPP, "attach", port.device.name,
                                "The mode asked for is masked."};
  for (const AttachMode mode : rungs) {
    attached = port.program->attach(port.device.index, mode);
    if (attached) {
      port.attached = mode;
      port.attached_to = port.device.index;
      return see_what_attaching_changed(port);
    }
    if (!other_mode_may_work(attached.error().code)) break;
    port.refused.push_back({to_string(mode), attached.error().message()});
  }
  return attached;
}

// Drivers may add queues for XDP.
Result<void> Engine::see_what_attaching_changed(PortState& port) {
  tell_of_metadata(port);
  grant_hints(port);
  auto device = Netdev::read(port.device.name);
  if (!device) return device.error();
  port.device = std::move(*device);
  return {};
}

// Drivers may take the link down for a while, when a program is attached or
// when a queue gets memory for zero-copy. Waited for once, behind all of that.
Result<void> Engine::wait_for_links() {
  const Time deadline = monotonic_now() + kCarrierPatience;
  for (bool waiting = true; waiting;) {
    // First what was told, then what is: so a change is seen or told later, and
    // handlers hear nothing of what went before them.
    (void)links_.changes();
    waiting = false;
    for (const auto& port : ports_) {
      auto device = Netdev::read(port->device.name);
      if (!device) return device.error();
      port->device = std::move(*device);
      if (port->device.running || !port->was_running) continue;
      port->link_dropped = waiting = true;
    }
    if (!waiting || monotonic_now() > deadline) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  for (const auto& port : ports_) {
    if (!port->link_dropped) continue;
    news_.push_back(
        port->device.name + ": the link went down as it was set up, and " +
        (port->device.running ? "is up again" : "has stayed down for 5 s"));
  }
  return {};
}

Result<Socket> Engine::open_socket(
    const PortState& port, const CoreState& core, QueueGrant& grant,
    std::optional<std::span<const std::uint64_t>> frames) {
  // A veth's peer takes 256 packets at a time; half of that leaves room for
  // others. A NIC's ring takes more.
  const std::uint32_t budget = port.device.driver == "veth" ? 128 : 256;
  SocketOptions options;
  options.interface = port.device.name;
  options.queue = core.queue;
  options.ring_size = options_.ring_size;
  options.multi_buffer = port.multi_buffer;
  options.first_frame = static_cast<std::uint64_t>(core.sockets.size()) *
                        options_.ring_size * options_.frame_size;
  options.frames = frames;
  options.tx_budget = options_.masked.tx_budget ? 0 : budget;
  options.busy_poll = options_.busy_poll;
  options.tx_metadata = options_.tx_offload && !options_.masked.tx_metadata;

  grant.port = port.options.name;
  grant.interface = port.device.name;
  grant.queue = core.queue;
  grant.multi_buffer = port.multi_buffer;
  grant.rx_hints = port.hints;
  if (options_.timestamps && port.program->gives_metadata()) {
    grant.clock = port.hints.time ? Timestamp::Clock::hardware
                                  : Timestamp::Clock::monotonic;
  }
  grant.refused = port.refused;
  const Error& small_pages = core.umem->refusal();
  if (small_pages.code != 0 && &port == ports_.front().get()) {
    grant.refused.push_back({"huge pages", small_pages.message()});
  }
  if (core.queue >= port.device.tx_queues) {
    grant.refused.push_back({"TX", no_tx(port.device)});
  }
  auto socket = climb(port, *core.umem, options, grant);
  if (!socket) return socket;
  grant.tx_budget = socket->tx_budget();
  grant_offload(port, *socket, grant);
  if (options_.busy_poll == 0) return socket;
  grant.busy_poll = options_.busy_poll;
  grant.napi_id = socket->napi_id();
  if (grant.napi_id == 0) grant.refused.push_back({"busy polling", kNoNapi});
  return socket;
}

Result<Socket> Engine::climb(const PortState& port, const Umem& umem,
                             SocketOptions options, QueueGrant& grant) const {
  const bool native = port.attached == AttachMode::native;
  const bool required = options_.mode == Mode::zero_copy;
  const auto refuse = [&grant](std::string reason) {
    grant.refused.push_back({"zero-copy", std::move(reason)});
  };
  if (!native && options_.mode == Mode::automatic) {
    refuse("It needs the native mode.");
  } else if (required && options_.masked.zero_copy) {
    return Error{EOPNOTSUPP, "mode", "zero-copy",
                 "It was asked for and masked at once."};
  } else if (native && options_.mode != Mode::copy &&
             options_.masked.zero_copy) {
    refuse("It was masked.");
  } else if (native && options_.mode != Mode::copy) {
    options.zero_copy = true;
    const auto may =
        may_zero_copy(port.device, options.queue, umem.frame_size());
    Result<Socket> socket =
        may ? Socket::open(options, umem) : Result<Socket>(may.error());
    grant.mode = Mode::zero_copy;
    if (socket || required) return socket;
    refuse(socket.error().message());
    // Copying does not help where the queue is busy or the memory too large.
    const int error = socket.error().code;
    if (error == EBUSY || error == EPERM || error == ENOBUFS) return socket;
  }
  options.zero_copy = false;
  grant.mode = native ? Mode::copy : Mode::generic;
  auto socket = Socket::open(options, umem);
  if (socket || !port.multi_buffer || socket.error().code != EINVAL) {
    return socket;
  }
  Error error = socket.error();
  error.advice =
      "This kernel may not know packets of several frames (Linux 6.6): lower "
      "the MTU of " +
      port.device.name + ", or use --frame-size 4096.";
  return error;
}

}  // namespace sluice
