// SPDX-License-Identifier: Apache-2.0
// From options to cores that could start, and every reason to refuse.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <set>
#include <sluice/cpu.hpp>

#include "engine_state.hpp"

namespace sluice {
namespace {

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
  if (options.busy_poll > 65535) {
    return usage("busy poll", std::to_string(options.busy_poll),
                 "Its budget is 1 to 65535 packets.");
  }
  return check_sizes(options.ring_size, options.frame_size,
                     options.poller.batch);
}

// A driver that is asked again at once has little to give, and nothing else
// gets done.
constexpr Duration kBusyPollGap = std::chrono::microseconds(5);

}  // namespace

Result<void> check_sizes(std::uint32_t ring_size, std::uint32_t frame_size,
                         std::uint32_t batch) {
  if (!std::has_single_bit(ring_size) || ring_size < 64 || ring_size > 32768) {
    return usage("ring size", std::to_string(ring_size),
                 "It is a power of two from 64 to 32768.");
  }
  if (frame_size != 2048 && frame_size != 4096) {
    return usage("frame size", std::to_string(frame_size),
                 "It is 2048 or 4096.");
  }
  if (batch < 1 || batch > 256) {
    return usage("batch", std::to_string(batch), "It is 1 to 256.");
  }
  return {};
}

Result<std::uint32_t> check_frames(std::uint32_t frames, std::uint32_t needed) {
  if (frames >= needed) return frames;
  return Error{ENOBUFS, "frames", std::to_string(frames) + " per queue",
               "At least " + std::to_string(needed) +
                   " are needed: raise --frames-per-queue, or lower "
                   "--ring-size."};
}

// What the kernel holds for receiving and sending, what the handler keeps, and
// a burst on its way from one to the other.
Result<std::uint32_t> frames_of(const EngineOptions& options) {
  const auto ports = static_cast<std::uint32_t>(options.ports.size());
  const std::uint32_t needed =
      2 * options.ring_size * ports + options.holds + 2 * options.poller.batch;
  if (options.frames_per_queue == 0) {
    constexpr std::uint32_t kStep = 1024;  // Whole huge pages.
    const std::uint32_t frames = 4 * options.ring_size * ports + options.holds;
    return (std::max(frames, needed) + kStep - 1) / kStep * kStep;
  }
  return check_frames(options.frames_per_queue, needed);
}

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
  if (options.busy_poll > 0 && options.poller.busy_poll_gap == Duration{}) {
    options.poller.busy_poll_gap = kBusyPollGap;
  }
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
  return wait_for_links();
}

Result<void> Engine::set_up_port(const PortOptions& options) {
  auto port = std::make_unique<PortState>();
  port->options = options;
  auto device = Netdev::read(options.interface);
  if (!device) return device.error();
  port->device = std::move(*device);
  port->was_running = port->device.running;
  port->told_index = port->device.index;

  auto claim = Control::claim(options.interface);
  if (!claim) return claim.error();
  port->claim = std::move(*claim);

  auto pinned = Program::open_pinned(port->device.index, Program::kPatience);
  if (!pinned) return pinned.error();
  const bool keeps = *pinned && options_.keep_attached;
  const Rules& rules = keeps ? (*pinned)->rules() : options_.rules;
  if (auto safe = check_cut_off(options.interface, rules); !safe) return safe;
  auto attached = *pinned ? adopt(*port, std::move(**pinned)) : attach(*port);
  if (!attached) return attached;
  port->program->set_rx_hints(wanted_hints());
  ports_.push_back(std::move(port));
  return {};
}

Result<void> Engine::check_cut_off(const std::string& interface,
                                   const Rules& rules) const {
  if (options_.force) return {};
  return sluice::check_cut_off(interface, rules);
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
    options_.queues = first.device.served({});
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
  const auto cpus = cpus_for(cores_.size(), options_.cpus, *allowed);
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    const int cpu = cpus[i];
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

Result<void> Engine::choose_frames() {
  auto frames = frames_of(options_);
  if (!frames) return frames.error();
  options_.frames_per_queue = *frames;
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
    const bool spreads = !table.empty();
    if (!spreads) {
      for (std::uint32_t q = 0; q < coverage.queues; ++q) table.push_back(q);
    }
    const auto reached = std::ranges::count_if(table, [&](std::uint32_t queue) {
      return served.contains(static_cast<int>(queue));
    });
    coverage.share =
        static_cast<double>(reached) / static_cast<double>(table.size());
    if (coverage.share < 1) {
      // A table can be narrowed to the first queues, and to no others.
      const bool first =
          *served.rbegin() + 1 == static_cast<int>(served.size());
      coverage.remedy = "--queues all";
      if (spreads && first) {
        coverage.remedy += ", or ethtool -X " + coverage.interface + " equal " +
                           std::to_string(served.size());
      }
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
  std::vector<BypassTable> bypass;
  std::vector<TxOffload> offloads;
  std::uint32_t lent = 0;
  for (const auto& port : ports_) {
    if (const auto* table = port->program->bypass()) bypass.push_back(*table);
    QueueGrant grant;
    grant.core = index;
    auto socket = open_socket(*port, core, grant, std::nullopt);
    if (!socket) return socket.error();
    lent += socket->lent();
    core.sockets.emplace_back(std::move(*socket));
    core.closed.emplace_back();
    core.rebinds.emplace_back();
    offloads.push_back(grant.tx_offload);
    queue_grants_.push_back(std::move(grant));
    facts.push_back({port->options.name, port->device.name,
                     MacAddress{port->device.mac}, port->device.mtu});
  }
  core.pool.emplace(core.umem->bytes(), options_.frame_size, lent);
  core.pool->expect_metadata();
  if (options_.tx_offload) core.pool->reserve_front(sizeof(TxMetadata));
  std::uint64_t first_lent = 0;
  for (std::size_t i = 0; i < core.sockets.size(); ++i) {
    const Socket& socket = *core.sockets[i];
    core.ports.emplace_back(static_cast<std::uint8_t>(i),
                            static_cast<std::uint16_t>(core.queue),
                            socket.rings(), *core.pool, options_.ring_size,
                            socket.lent(), first_lent);
    if (options_.tx_offload) core.ports.back().offer(offloads[i]);
    first_lent += std::uint64_t{socket.lent()} * options_.frame_size;
  }
  core.core =
      std::make_unique<Core>(index, core.cpu, core.ports, std::move(facts),
                             *core.pool, monotonic_now());
  core.core->set_bypass(std::move(bypass));
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

}  // namespace sluice
