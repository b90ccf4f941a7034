// SPDX-License-Identifier: Apache-2.0
// From options to bound sockets: the ladders, and every reason to refuse.
#include <time.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <set>
#include <sluice/cpu.hpp>

#include "engine_state.hpp"

namespace sluice {
namespace {

constexpr std::uint32_t kEthernetAndVlan = 18;  // In front of the MTU's bytes.

void pause_ms(long ms) {
  const timespec pause{ms / 1000, ms % 1000 * 1'000'000};
  ::nanosleep(&pause, nullptr);
}

Error usage(const char* what, std::string value, std::string advice) {
  return {EINVAL, what, std::move(value), std::move(advice)};
}

Result<void> check(const EngineOptions& options) {
  if (options.ports.empty()) {
    return usage("ports", "none", "Name an interface: -i eth0.");
  }
  if (options.ports.size() > 16) return usage("ports", "more than 16", "");
  std::set<std::string> names;
  std::set<std::string> interfaces;
  for (const PortOptions& port : options.ports) {
    if (!names.insert(port.name).second) {
      return usage("port", port.name, "Two ports have that name.");
    }
    if (!interfaces.insert(port.interface).second) {
      return usage("port", port.name,
                   port.interface + " is the interface of another port.");
    }
  }
  if (!std::has_single_bit(options.ring_size) || options.ring_size < 64 ||
      options.ring_size > 32768) {
    return usage("ring size", std::to_string(options.ring_size),
                 "It is a power of two from 64 to 32768.");
  }
  if (options.frame_size != 2048 && options.frame_size != 4096) {
    return usage("frame size", std::to_string(options.frame_size),
                 "It is 2048 or 4096.");
  }
  if (options.poller.batch < 1 || options.poller.batch > 256) {
    return usage("batch", std::to_string(options.poller.batch),
                 "It is 1 to 256.");
  }
  return {};
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

}  // namespace

const char* to_string(Mode mode) noexcept {
  switch (mode) {
    case Mode::automatic:
      return "auto";
    case Mode::zero_copy:
      return "zero-copy";
    case Mode::copy:
      return "copy";
    case Mode::generic:
      return "generic";
  }
  return "?";
}

Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options) {
  if (auto good = check(options); !good) return good.error();
  std::unique_ptr<Engine> engine(new Engine(std::move(options)));
  if (auto set = engine->set_up(); !set) return set.error();
  return engine;
}

Result<void> Engine::set_up() {
  auto links = LinkWatch::open();
  if (!links) return links.error();
  links_ = std::move(*links);
  // Attach, then count, then bind: attaching may change the queue count.
  for (const PortOptions& port : options_.ports) {
    if (auto set = set_up_port(port); !set) return set;
  }
  if (auto chosen = choose_queues(); !chosen) return chosen;
  if (auto chosen = choose_cpus(); !chosen) return chosen;
  if (auto chosen = choose_frames(); !chosen) return chosen;
  measure_coverage();
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    if (auto set = set_up_core(i); !set) return set;
  }
  return {};
}

Result<void> Engine::set_up_port(const PortOptions& options) {
  auto port = std::make_unique<PortState>();
  port->options = options;
  auto device = Netdev::read(options.interface);
  if (!device) return device.error();
  port->device = std::move(*device);

  auto claim = Control::claim(options.interface);
  if (!claim) return claim.error();
  port->claim = std::move(*claim);

  if (auto safe = check_cut_off(options.interface, options_.rules); !safe) {
    return safe;
  }
  if (auto attached = attach(*port); !attached) return attached;
  ports_.push_back(std::move(port));
  return {};
}

Result<void> Engine::check_cut_off(const std::string& interface,
                                   const Rules& rules) const {
  if (options_.force) return {};
  auto used = in_use(interface);
  if (!used) return used.error();
  std::string all;
  for (const std::string& each : cut_off(rules, *used)) all += each + " ";
  if (all.empty()) return {};
  return Error{EPERM, "rules", "for " + interface,
               all + "Narrow the rules with --steer, or say --force."};
}

Result<void> Engine::attach(PortState& port) {
  const std::uint32_t room = options_.frame_size - Packet::kHeadroom;
  const std::uint32_t largest = port.device.mtu + kEthernetAndVlan;
  port.multi_buffer = largest > room;
  if (port.multi_buffer && options_.masked.multi_buffer) {
    return Error{EMSGSIZE, "MTU",
                 std::to_string(port.device.mtu) + " of " + port.device.name,
                 "A frame of " + std::to_string(options_.frame_size) +
                     " bytes takes an MTU of " +
                     std::to_string(room - kEthernetAndVlan) +
                     ": lower the MTU (ip link set " + port.device.name +
                     " mtu " + std::to_string(room - kEthernetAndVlan) +
                     "), or use --frame-size 4096."};
  }
  auto program = Program::load(
      {.rules = options_.rules, .frags = port.multi_buffer, .owner_pid = 0});
  if (!program) return program.error();
  port.program = std::move(*program);

  struct Rung {
    AttachMode mode;
    bool wanted;
  };
  const bool native_wanted =
      options_.mode != Mode::generic && !options_.masked.native;
  const bool generic_wanted =
      options_.mode == Mode::automatic || options_.mode == Mode::generic;
  const Rung rungs[] = {{AttachMode::native, native_wanted},
                        {AttachMode::generic, generic_wanted}};
  if (!native_wanted && options_.masked.native) {
    port.refused.push_back({"native", "It was masked."});
  }
  Error last{EOPNOTSUPP, "attach", port.device.name,
             "The mode asked for is masked."};
  for (const Rung& rung : rungs) {
    if (!rung.wanted) continue;
    auto attached = port.program->attach(port.device.index, rung.mode);
    // The link of a process that was just killed is let go of in the
    // background; the claim says that nobody else is there.
    for (int retry = 0;
         retry < 25 && !attached && attached.error().code == EBUSY; ++retry) {
      auto there = attached_program(port.device.index);
      const bool foreign =
          there && *there && (!(*there)->identity || (*there)->owner_alive);
      if (foreign) break;
      pause_ms(20);
      attached = port.program->attach(port.device.index, rung.mode);
    }
    if (attached) {
      port.attached = rung.mode;
      const bool was_running = port.device.running;
      auto device = Netdev::read(port.device.name);
      if (!device) return device.error();
      port.device = std::move(*device);
      if (was_running && !port.device.running) {
        wait_for_carrier(port.device, news_);
      }
      return {};
    }
    last = attached.error();
    if (last.code == EBUSY || last.code == EPERM) break;
    port.refused.push_back({to_string(rung.mode), last.message()});
  }
  return last;
}

Result<void> Engine::choose_queues() {
  const PortState& first = *ports_.front();
  if (options_.queues.empty()) {
    for (const auto& port : ports_) {
      if (port->device.rx_queues == first.device.rx_queues) continue;
      return usage("queues",
                   first.device.name + " has " +
                       std::to_string(first.device.rx_queues) + ", " +
                       port->device.name + " has " +
                       std::to_string(port->device.rx_queues),
                   "A core owns one queue of every port: make the counts equal "
                   "(ethtool -L), or choose with --queues.");
    }
    for (std::uint32_t q = 0; q < first.device.rx_queues; ++q) {
      options_.queues.push_back(static_cast<int>(q));
    }
  }
  for (const int queue : options_.queues) {
    for (const auto& port : ports_) {
      const auto has = port->device.rx_queues;
      if (queue >= 0 && static_cast<std::uint32_t>(queue) < has) continue;
      return usage("queue", std::to_string(queue) + " of " + port->device.name,
                   "It has " + std::to_string(has) + ": 0 to " +
                       std::to_string(has - 1) + ".");
    }
  }
  for (const int queue : options_.queues) {
    auto core = std::make_unique<CoreState>();
    core->queue = static_cast<std::uint32_t>(queue);
    cores_.push_back(std::move(core));
  }
  core_grants_.resize(cores_.size());
  return {};
}

Result<void> Engine::choose_cpus() {
  auto allowed = allowed_cpus();
  if (!allowed) return allowed.error();
  if (!options_.cpus.empty() && options_.cpus.size() != cores_.size()) {
    return usage("cpus",
                 std::to_string(options_.cpus.size()) + " for " +
                     std::to_string(cores_.size()) + " queues",
                 "Name one for each queue.");
  }
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    const int cpu = options_.cpus.empty() ? (*allowed)[i % allowed->size()]
                                          : options_.cpus[i];
    if (!std::ranges::binary_search(*allowed, cpu)) {
      return usage("cpu", std::to_string(cpu),
                   "This process may not use it: see `taskset -p $$`.");
    }
    cores_[i]->cpu = cpu;
  }
  if (options_.cpus.empty() && cores_.size() > allowed->size()) {
    news_.push_back(std::to_string(cores_.size()) + " queues share " +
                    std::to_string(allowed->size()) + " cpus");
  }
  return {};
}

// What the kernel holds for receiving and sending, what the handler keeps, and
// a burst on its way from one to the other.
Result<void> Engine::choose_frames() {
  const auto ports = static_cast<std::uint32_t>(ports_.size());
  const std::uint32_t needed = 2 * options_.ring_size * ports + options_.holds +
                               2 * options_.poller.batch;
  std::uint32_t frames = options_.frames_per_queue;
  if (frames == 0) {
    constexpr std::uint32_t kStep = 1024;  // Whole huge pages.
    frames = 4 * options_.ring_size * ports + options_.holds;
    frames = (std::max(frames, needed) + kStep - 1) / kStep * kStep;
  }
  if (frames < needed) {
    return Error{ENOBUFS, "frames", std::to_string(frames) + " per queue",
                 "At least " + std::to_string(needed) +
                     " are needed: raise --frames-per-queue, or lower "
                     "--ring-size."};
  }
  options_.frames_per_queue = frames;
  return {};
}

void Engine::measure_coverage() {
  const std::set<int> served(options_.queues.begin(), options_.queues.end());
  for (const auto& port : ports_) {
    Coverage coverage;
    coverage.interface = port->device.name;
    coverage.queues = port->device.rx_queues;
    coverage.served = static_cast<std::uint32_t>(served.size());
    auto table = rss_table(port->device.name);
    if (table.empty()) {
      for (std::uint32_t q = 0; q < coverage.queues; ++q) table.push_back(q);
    }
    const auto reached = std::ranges::count_if(table, [&](std::uint32_t queue) {
      return served.contains(static_cast<int>(queue));
    });
    coverage.share =
        static_cast<double>(reached) / static_cast<double>(table.size());
    const bool low = *served.rbegin() + 1 == static_cast<int>(served.size());
    if (coverage.share < 1) {
      coverage.remedy = low ? "ethtool -X " + coverage.interface + " equal " +
                                  std::to_string(served.size()) +
                                  ", or --queues all"
                            : "--queues all";
    }
    coverage_.push_back(std::move(coverage));
  }
}

Result<void> Engine::set_up_core(std::size_t index) {
  CoreState& core = *cores_[index];
  auto umem = Umem::create({.frames = options_.frames_per_queue,
                            .frame_size = options_.frame_size,
                            .huge_pages = !options_.masked.huge_pages});
  if (!umem) return umem.error();
  core.umem = std::move(*umem);

  std::vector<PortFacts> facts;
  std::uint32_t lent = 0;
  for (const auto& port : ports_) {
    QueueGrant grant;
    grant.core = index;
    auto socket = open_socket(*port, core, grant);
    if (!socket) return socket.error();
    lent += socket->lent();
    core.sockets.push_back(std::move(*socket));
    queue_grants_.push_back(std::move(grant));
    facts.push_back({port->options.name, port->device.name,
                     MacAddress{port->device.mac}, port->device.mtu});
  }
  core.pool.emplace(core.umem->bytes(), options_.frame_size, lent);
  for (std::size_t i = 0; i < core.sockets.size(); ++i) {
    core.ports.emplace_back(static_cast<std::uint8_t>(i),
                            static_cast<std::uint16_t>(core.queue),
                            core.sockets[i].rings(), *core.pool,
                            options_.ring_size, core.sockets[i].lent());
  }
  core.core =
      std::make_unique<Core>(index, core.cpu, core.ports, std::move(facts),
                             *core.pool, monotonic_now());
  auto mailbox = Mailbox::open();
  if (!mailbox) return mailbox.error();
  core.mailbox = std::move(*mailbox);

  CoreGrant& grant = core_grants_[index];
  grant.cpu = core.cpu;
  grant.frames = options_.frames_per_queue;
  grant.frame_size = options_.frame_size;
  grant.ring_size = options_.ring_size;
  grant.locked_bytes = core.umem->bytes().size() * core.sockets.size();
  grant.huge_pages = core.umem->huge();
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

  const bool native = port.attached == AttachMode::native;
  if (!native && options_.mode == Mode::automatic) {
    grant.refused.push_back({"zero-copy", "It needs the native mode."});
  }
  if (native && options_.mode != Mode::copy) {
    if (options_.masked.zero_copy) {
      grant.refused.push_back({"zero-copy", "It was masked."});
    } else {
      options.zero_copy = true;
      auto socket = Socket::open(options, *core.umem);
      if (socket) {
        grant.mode = Mode::zero_copy;
        grant.tx_budget = socket->tx_budget();
        return socket;
      }
      grant.refused.push_back({"zero-copy", socket.error().message()});
      // Copying does not help where the queue is busy or the memory too large.
      const int error = socket.error().code;
      if (options_.mode == Mode::zero_copy || error == EBUSY ||
          error == EPERM || error == ENOBUFS) {
        return socket;
      }
    }
    if (options_.mode == Mode::zero_copy) {
      return Error{EOPNOTSUPP, "mode", "zero-copy",
                   "It was asked for and masked at once."};
    }
  }
  options.zero_copy = false;
  auto socket = Socket::open(options, *core.umem);
  if (!socket && port.multi_buffer && socket.error().code == EINVAL) {
    Error error = socket.error();
    error.advice =
        "This kernel may not know packets of several frames "
        "(Linux 6.6): lower the MTU of " +
        port.device.name + ", or use --frame-size 4096.";
    return error;
  }
  if (socket) {
    grant.mode = native ? Mode::copy : Mode::generic;
    grant.tx_budget = socket->tx_budget();
  }
  return socket;
}

}  // namespace sluice
