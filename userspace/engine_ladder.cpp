// SPDX-License-Identifier: Apache-2.0
// The ladders: how a program is attached and how a socket is bound, from the
// best rung down. Each rung that is refused leaves its reason.
#include <time.h>

#include <cerrno>

#include "engine_state.hpp"

namespace sluice {
namespace {

constexpr std::uint32_t kEthernetAndVlan = 18;  // In front of the MTU's bytes.

void pause_ms(long ms) {
  const timespec pause{ms / 1000, ms % 1000 * 1'000'000};
  ::nanosleep(&pause, nullptr);
}

// A link that goes down when a program is attached comes up again in a while.
void wait_for_carrier(Netdev& device, std::vector<std::string>& news) {
  for (int attempt = 0; attempt < 250; ++attempt) {
    if (auto now = Netdev::read(device.name)) device = std::move(*now);
    if (device.running) break;
    pause_ms(20);
  }
  news.push_back(device.name + ": the link went down at attach and " +
                 (device.running ? "is up again" : "has stayed down for 5 s"));
}

// The link of a process that was just killed is let go of in the background, so
// a refusal is believed only of a program that somebody alive has there.
Result<void> attach_patiently(Program& program, const Netdev& device,
                              AttachMode mode) {
  constexpr int kTries = 25;
  for (int attempt = 1;; ++attempt) {
    auto attached = program.attach(device.index, mode);
    if (attached || attached.error().code != EBUSY || attempt == kTries) {
      return attached;
    }
    const auto there = attached_program(device.index);
    if (there && *there && (!(*there)->identity || (*there)->owner_alive)) {
      return attached;
    }
    pause_ms(20);
  }
}

constexpr std::uint32_t mtu_of(std::uint32_t frame_size) {
  return frame_size - Packet::kHeadroom - kEthernetAndVlan;
}

Error mtu_error(const Netdev& device, std::uint32_t frame_size) {
  const std::string fits = std::to_string(mtu_of(frame_size));
  return {
      EMSGSIZE, "MTU", std::to_string(device.mtu) + " of " + device.name,
      "A frame of " + std::to_string(frame_size) + " bytes takes an MTU of " +
          fits + ": lower it (ip link set " + device.name + " mtu " + fits +
          ")" +
          (device.mtu <= mtu_of(4096) ? ", or use --frame-size 4096." : ".")};
}

}  // namespace

Result<void> Engine::attach(PortState& port) {
  port.multi_buffer = port.device.mtu > mtu_of(options_.frame_size);
  if (port.multi_buffer && options_.masked.multi_buffer) {
    return mtu_error(port.device, options_.frame_size);
  }
  auto program = Program::load(
      {.rules = options_.rules, .frags = port.multi_buffer, .owner_pid = 0});
  if (!program) return program.error();
  port.program = std::move(*program);

  std::vector<AttachMode> rungs;
  if (options_.masked.native) {
    port.refused.push_back({"native", "It was masked."});
  } else if (options_.mode != Mode::generic) {
    rungs.push_back(AttachMode::native);
  }
  if (options_.mode == Mode::automatic || options_.mode == Mode::generic) {
    rungs.push_back(AttachMode::generic);
  }
  Result<void> attached = Error{EOPNOTSUPP, "attach", port.device.name,
                                "The mode asked for is masked."};
  for (const AttachMode mode : rungs) {
    attached = attach_patiently(*port.program, port.device, mode);
    if (attached) {
      port.attached = mode;
      return see_what_attaching_changed(port);
    }
    const int error = attached.error().code;
    if (error == EBUSY || error == EPERM) break;  // No rung would help.
    port.refused.push_back({to_string(mode), attached.error().message()});
  }
  return attached;
}

// Drivers may add queues for XDP, and may take the link down for a while.
Result<void> Engine::see_what_attaching_changed(PortState& port) {
  const bool was_running = port.device.running;
  auto device = Netdev::read(port.device.name);
  if (!device) return device.error();
  port.device = std::move(*device);
  if (was_running && !port.device.running) wait_for_carrier(port.device, news_);
  return {};
}

Result<Socket> Engine::open_socket(PortState& port, CoreState& core,
                                   QueueGrant& grant) {
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
  options.tx_budget = options_.masked.tx_budget ? 0 : budget;

  grant.port = port.options.name;
  grant.interface = port.device.name;
  grant.queue = core.queue;
  grant.multi_buffer = port.multi_buffer;
  grant.refused = port.refused;
  auto socket = climb(port, *core.umem, options, grant);
  if (socket) grant.tx_budget = socket->tx_budget();
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
    auto socket = Socket::open(options, umem);
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
