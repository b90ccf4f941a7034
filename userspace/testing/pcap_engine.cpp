// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <set>
#include <sluice/engine.hpp>
#include <sluice/parse.hpp>
#include <sluice/testing/pcap_engine.hpp>
#include <sluice/testing/pcap_kernel.hpp>
#include <string>
#include <utility>

#include "pcap_inlet.hpp"

namespace sluice::testing {
namespace {

Error usage(const char* what, std::string value, std::string advice) {
  return {EINVAL, what, std::move(value), std::move(advice)};
}

Result<void> check(const PcapOptions& options, std::size_t sources) {
  if (options.ports.empty() || options.ports.size() > 16) {
    return usage("ports", std::to_string(options.ports.size()),
                 "There are 1 to 16.");
  }
  std::set<std::string> names;
  for (const PortFacts& port : options.ports) {
    if (!names.insert(port.name).second) {
      return usage("port", port.name, "Two ports have that name.");
    }
  }
  if (sources > options.ports.size()) {
    return usage("sources", std::to_string(sources), "Give each a port.");
  }
  if (options.queues < 1 || options.queues > 256) {
    return usage("queues", std::to_string(options.queues), "It is 1 to 256.");
  }
  if (options.bypass_flows > BypassTable::kFlowsMax) {
    return usage("bypass flows", std::to_string(options.bypass_flows),
                 "At most " + std::to_string(BypassTable::kFlowsMax) +
                     " can be bypassed.");
  }
  return check_sizes(options.ring_size, options.frame_size, options.batch);
}

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};

}  // namespace

// The order of the members is the order of their lives.
struct PcapEngine::Seat {
  std::unique_ptr<std::byte[], Free> memory;
  std::optional<PcapKernel> kernel;
  std::optional<FramePool> pool;
  std::vector<Port> ports;
  std::unique_ptr<Core> core;
  std::unique_ptr<Runner> runner;
  bool due = false;  // Has something to do at this moment.
};

PcapEngine::PcapEngine(PcapOptions options, PacketSink& sink)
    : options_(std::move(options)),
      sink_(sink),
      tallies_(options_.ports.size()) {}

PcapEngine::~PcapEngine() = default;

Result<std::unique_ptr<PcapEngine>> PcapEngine::open(
    PcapOptions options, std::vector<std::unique_ptr<PacketSource>> sources,
    PacketSink& sink) {
  if (auto good = check(options, sources.size()); !good) return good.error();
  std::unique_ptr<PcapEngine> engine(new PcapEngine(std::move(options), sink));
  sources.resize(engine->options_.ports.size());
  for (std::size_t i = 0; i < sources.size(); ++i) {
    PortFacts& facts = engine->options_.ports[i];
    if (facts.mac == MacAddress{}) {
      facts.mac = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(i + 1)}};
    }
    if (facts.mtu == 0) facts.mtu = 1500;
    auto inlet = std::make_unique<Inlet>();
    inlet->source = std::move(sources[i]);
    if (engine->options_.rules) {
      inlet->counts.rules.resize(engine->options_.rules->size());
    }
    inlet->make_bypass(engine->options_.bypass_flows);
    engine->advance(*inlet);
    engine->inlets_.push_back(std::move(inlet));
  }
  const Time first = engine->next_packet();
  if (first != Time::never()) engine->clock_ = engine->last_packet_ = first;
  return engine;
}

void PcapEngine::advance(Inlet& inlet) {
  if (!inlet.source) return;
  inlet.head = inlet.source->next();
  if (inlet.head == nullptr && inlet.source->error() && !error_) {
    error_ = inlet.source->error();
  }
}

// What the rings hold, what the handler keeps, and a burst on its way.
Result<std::uint32_t> PcapEngine::frames_of_a_core(std::uint32_t holds) const {
  const auto ports = static_cast<std::uint32_t>(options_.ports.size());
  const std::uint32_t needed =
      2 * options_.ring_size * ports + holds + 2 * options_.batch;
  if (options_.frames_per_queue == 0) return needed;
  return check_frames(options_.frames_per_queue, needed);
}

Result<void> PcapEngine::start_cores(std::uint32_t holds, const Make& make) {
  assert(seats_.empty());
  auto frames = frames_of_a_core(std::max(holds, options_.holds));
  if (!frames) return frames.error();
  options_.frames_per_queue = *frames;
  PollerOptions poller;
  poller.batch = options_.batch;
  for (std::uint32_t q = 0; q < options_.queues; ++q) {
    auto seat = std::make_unique<Seat>();
    const std::size_t size = std::size_t{*frames} * options_.frame_size;
    // Zeroed, and no page of it touched.
    seat->memory.reset(static_cast<std::byte*>(std::calloc(1, size)));
    if (!seat->memory) {
      return Error{ENOMEM, "calloc", std::to_string(size) + " bytes",
                   "Ask for fewer frames with --frames-per-queue."};
    }
    const std::span<std::byte> memory(seat->memory.get(), size);
    seat->kernel.emplace(memory, options_.frame_size, options_.multi_buffer,
                         sink_);
    seat->kernel->set_clock(clock_);
    seat->pool.emplace(memory, options_.frame_size);
    seat->pool->expect_metadata();
    if (options_.tx_offload) seat->pool->reserve_front(sizeof(TxMetadata));
    for (std::size_t i = 0; i < options_.ports.size(); ++i) {
      seat->ports.emplace_back(static_cast<std::uint8_t>(i),
                               static_cast<std::uint16_t>(q),
                               seat->kernel->add_port(options_.ring_size),
                               *seat->pool, options_.ring_size);
    }
    for (Port& port : seat->ports) port.refill();
    seat->core = std::make_unique<Core>(q, -1, seat->ports, options_.ports,
                                        *seat->pool, clock_);
    std::vector<BypassTable> bypass;
    for (const auto& inlet : inlets_) {
      if (inlet->bypass) bypass.push_back(*inlet->bypass);
    }
    seat->core->set_bypass(std::move(bypass));
    seat->runner = make(*seat->core, *seat->kernel, poller);
    if (const auto& failure = seat->core->failure()) return *failure;
    seats_.push_back(std::move(seat));
  }
  begun_ = monotonic_now();
  return {};
}

// --- Time --------------------------------------------------------------------

Time PcapEngine::next_packet() const noexcept {
  Time next = Time::never();
  for (const auto& inlet : inlets_) {
    if (inlet->head != nullptr) next = std::min(next, inlet->head->time);
  }
  return next;
}

Time PcapEngine::next_timer() const noexcept {
  Time next = Time::never();
  for (const auto& seat : seats_) {
    next = std::min(next, seat->core->timers().next());
  }
  return next;
}

bool PcapEngine::step(std::uint32_t moments) {
  while (moments > 0 && moment()) --moments;
  worked_ = monotonic_now() - begun_;
  return !done_;
}

// The clock never goes back, whatever the file says.
bool PcapEngine::moment() {
  if (done_) return false;
  const Time packet = next_packet();
  const Time timer = next_timer();
  const Time end = last_packet_ + options_.linger;
  if (packet == Time::never() && (timer == Time::never() || timer > end)) {
    clock_ = std::max(clock_, end);
    done_ = true;
    for (const auto& seat : seats_) turns(*seat);  // What is on its way.
    return false;
  }
  clock_ = std::max(clock_, std::min(packet, timer));
  for (std::size_t i = 0; i < inlets_.size(); ++i) arrivals(i);
  for (const auto& seat : seats_) {
    const bool due = std::exchange(seat->due, false);
    if (due || seat->core->timers().next() <= clock_) turns(*seat);
  }
  return true;
}

// One turn, as a rule. Another where a ring has some left, until that is of no
// use: a handler that keeps all frames leaves packets in RX.
void PcapEngine::turns(Seat& seat) noexcept {
  constexpr int kMost = 256;  // A full ring comes home in half as many.
  seat.kernel->set_clock(clock_);
  for (int i = 0; i < kMost; ++i) {
    const std::uint32_t work = seat.runner->turn();
    for (const Port& port : seat.ports) {
      (void)seat.kernel->kick_tx(port.index());
    }
    if (work == 0 || (!done_ && !seat.kernel->busy())) return;
  }
}

// --- Packets -----------------------------------------------------------------

// Those of this moment. What finds no frame waits for a turn that may bring
// one, and is lost only if that did not.
void PcapEngine::arrivals(std::size_t port) {
  Inlet& inlet = *inlets_[port];
  for (std::uint32_t n = 0; n < options_.batch; ++n) {
    if (inlet.head == nullptr || inlet.head->time > clock_) return;
    const bool wait = std::ranges::any_of(seats_, [&](const auto& seat) {
      return seat->due &&
             !seat->kernel->has_room(static_cast<std::uint8_t>(port),
                                     inlet.head->bytes.size());
    });
    if (wait) return;
    arrive(port, *inlet.head);
    advance(inlet);
  }
}

void PcapEngine::arrive(std::size_t port, const Captured& captured) {
  PcapTally& tally = tallies_[port];
  ++tally.read;
  if (captured.time < last_packet_) ++tally.late;
  last_packet_ = clock_;
  if (captured.bytes.size() < captured.size) {
    ++tally.cut;
    return;
  }
  sluice_metadata metadata{.magic = SLUICE_METADATA_MAGIC,
                           .rule = SLUICE_RULE_MASK,
                           .version = 1,
                           .time = captured.time.ns,
                           .label = 0,
                           .clock = SLUICE_CLOCK_FILE,
                           .hints = 0,
                           .hash_type = 0};
  if (!steered(port, captured, metadata)) return;
  Seat& seat = *seats_[seats_.size() == 1 ? 0 : seat_of(captured.bytes)];
  (void)seat.kernel->deliver(static_cast<std::uint8_t>(port), captured.bytes,
                             metadata);
  seat.due = true;
}

std::size_t PcapEngine::seat_of(std::span<const std::byte> bytes) const {
  // A view for handlers may write; this one only looks.
  const Layers layers =
      parse({const_cast<std::byte*>(bytes.data()), bytes.size()});
  return layers.flow().hash() % seats_.size();
}

void PcapEngine::stop() {
  done_ = true;
  for (const auto& seat : seats_) {
    if (!seat->runner) continue;
    turns(*seat);
    kept_ += seat->pool->held();
    seat->runner->report(report_);
    seat->runner.reset();
  }
}

// --- Numbers -----------------------------------------------------------------

Stats PcapEngine::stats() const {
  Stats stats;
  stats.time = monotonic_now();
  for (const auto& seat : seats_) {
    CoreStats& core = stats.cores.emplace_back(CoreStats::of(*seat->core));
    // The loop counts the file's time; what it takes is this machine's.
    core.elapsed_ns = core.busy_ns =
        static_cast<std::uint64_t>(worked_.count());
    stats.add_named(*seat->core);
    for (const Port& port : seat->ports) {
      QueueStats& queue = stats.queues.emplace_back(QueueStats::of(
          options_.ports[port.index()].name, port, seat->core->index()));
      queue.kernel = seat->kernel->statistics(port.index());
    }
  }
  for (std::size_t i = 0; i < inlets_.size(); ++i) {
    PortStats& port = stats.ports.emplace_back();
    port.port = options_.ports[i].name;
    port.interface = options_.ports[i].interface;
    port.verdicts = inlets_[i]->counts;
    if (inlets_[i]->bypassing != 0) {
      port.verdicts->bypass = {inlets_[i]->bypassed,
                               inlets_[i]->bypass->inserted(),
                               inlets_[i]->bypass->evicted()};
    }
    if (options_.rules) port.rules = *options_.rules;
  }
  return stats;
}

std::span<const PcapTally> PcapEngine::tallies() {
  for (std::size_t i = 0; i < tallies_.size(); ++i) {
    tallies_[i].chains = tallies_[i].sent = 0;
    for (const auto& seat : seats_) {
      tallies_[i].chains += seat->kernel->chains(static_cast<std::uint8_t>(i));
      tallies_[i].sent += seat->ports[i].counters().tx_packets.value();
    }
  }
  return tallies_;
}

}  // namespace sluice::testing
