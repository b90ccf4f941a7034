// SPDX-License-Identifier: Apache-2.0
// The loop, a simulated kernel on a bad day, and handlers that do anything.
//
// Each scenario is drawn from a seed; a failure prints the line that replays
// it:
//   SLUICE_SIM_SEED=N sim_tests --gtest_filter='PropertyTest.EveryFrame*'
// SLUICE_SIM_PACKETS says how many packets to run altogether, and
// SLUICE_SIM_SEED without it runs that one scenario.
#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <sluice/testing/sim_core.hpp>
#include <string>

#include "random_work.hpp"
#include "replay_line.hpp"
#include "turn_by_turn.hpp"

namespace sluice::testing {
namespace {

struct Scenario {
  std::uint64_t seed = 0;
  std::uint64_t packets = 0;  // To each of its ports.
  bool bursts = false;
  std::size_t keeps = 0;
  SimCoreOptions core;
  PollerOptions poller;
};

Scenario draw(std::uint64_t seed, std::uint64_t packets) {
  SimRandom random(seed);
  Scenario scenario;
  scenario.seed = seed;
  scenario.bursts = random.below(2) == 0;
  scenario.keeps = random.below(100);
  const std::uint32_t ports = 1 + random.below(3);
  scenario.packets = packets / ports;
  const bool chains = random.below(2) == 0;
  const bool metadata = random.below(2) == 0;
  SimCoreOptions& core = scenario.core;
  core.seed = random.next();
  core.ports.clear();
  core.frames = 0;
  for (std::uint32_t i = 0; i < ports; ++i) {
    SimPortOptions port;
    port.ring_size = 32U << random.below(4);
    port.zero_copy = random.below(3) == 0;
    port.multi_buffer = chains;
    port.start = random.below(2) == 0 ? ~0U - random.below(2000) : 0;
    if (random.below(3) == 0) port.tx_budget = 128;
    if (metadata) {
      port.tx_offload = {.timestamp = Timestamp::Clock::hardware};
    }
    core.ports.push_back(port);
    // What FILL wants, the longest chain, and something to live on.
    core.frames += port.ring_size + std::uint32_t{Packet::kSegmentsMax} +
                   random.below(128);
  }
  core.faults = SimFaults::rough();
  if (random.below(4) == 0) core.faults.completion_late = 0.3;
  scenario.poller.batch = 1U << random.below(9);
  scenario.poller.spin = random.below(16) == 0;
  if (random.below(4) == 0) {
    scenario.poller.busy_poll_gap = Duration(1 + random.below(20'000));
    for (SimPortOptions& port : core.ports) {
      port.busy_polled = random.below(4) != 0;
      port.tx_apart = port.zero_copy && random.below(4) == 0;
    }
  }
  return scenario;
}

template <class H>
class Run {
 public:
  explicit Run(const Scenario& scenario)
      : scenario_(scenario),
        sim_(scenario.core),
        handler_{RandomWork({scenario.core.seed + 1, ports(), scenario.keeps},
                            sim_.core())},
        poller_(handler_, sim_.core(), sim_.kernel(), scenario.poller),
        serials_(ports()) {
    for (std::size_t i = 0; i < ports(); ++i) {
      sim_.port(i).watch([this](const SimDeparture& departure) {
        handler_.work.saw(departure);
      });
    }
  }

  // "" if all went well.
  std::string all() {
    feed(scenario_.packets, false);
    while (problem_.empty() && !sources_ended()) turn();
    end_faults();
    traffic_resumes();
    books_close();
    if (problem_.empty()) return "";
    return problem_ + "\nat " + std::to_string(sim_.kernel().clock().ns) +
           " ns of virtual time\nbefore the faults ended: " + schedule_ +
           sim_.kernel().schedule();
  }

  SimCore& sim() { return sim_; }
  std::uint64_t received() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < ports(); ++i) sum += handler_.work.received(i);
    return sum;
  }

 private:
  std::size_t ports() const { return scenario_.core.ports.size(); }

  void expect(bool fine, const std::string& what) {
    if (!fine && problem_.empty()) problem_ = what;
  }
  void expect_equal(const std::string& what, std::uint64_t ours,
                    std::uint64_t theirs) {
    expect(ours == theirs, what + ": " + std::to_string(ours) +
                               ", but the simulated kernel says " +
                               std::to_string(theirs));
  }

  void feed(std::uint64_t packets, bool gentle) {
    for (std::uint32_t i = 0; i < ports(); ++i) {
      sim_.port(i).feed(NumberedTraffic(
          {scenario_.core.seed + 10 + i, i,
           scenario_.core.frame_size - Packet::kHeadroom, packets, gentle},
          sim_.kernel().clock(), serials_[i]));
    }
  }
  bool sources_ended() {
    for (std::size_t i = 0; i < ports(); ++i) {
      if (!sim_.port(i).source_ended()) return false;
    }
    return true;
  }

  // Everything that must hold at any time.
  void turn() {
    const std::uint32_t work = poller_.turn();
    if (!sim_.books_agree()) expect(false, sim_.trouble());
    if (!handler_.work.problem().empty()) {
      expect(false, handler_.work.problem());
    }
    if (sim_.core().pool().held() != handler_.work.kept_frames()) {
      expect(false, "The pool says that handlers have " +
                        std::to_string(sim_.core().pool().held()) +
                        " frames, they have " +
                        std::to_string(handler_.work.kept_frames()));
    }
    if (work == 0) poller_.idle();
  }
  void turn_for(Duration duration) {
    const Time end = sim_.kernel().clock() + duration;
    while (problem_.empty() && sim_.kernel().clock() < end) turn();
  }

  void end_faults() {
    if (!problem_.empty()) return;
    schedule_ = sim_.kernel().schedule();
    sim_.kernel().set_faults({});
    sim_.kernel().heal();
    handler_.work.calm();
    turn_for(1s);
  }

  void traffic_resumes() {
    constexpr std::uint64_t kPackets = 50;
    std::vector<SimWire> before;
    for (std::size_t i = 0; i < ports(); ++i) {
      before.push_back(sim_.port(i).wire());
    }
    feed(kPackets, true);
    turn_for(100ms);
    for (std::size_t i = 0; i < ports(); ++i) {
      const SimWire& now = sim_.port(i).wire();
      expect_equal("packets received after the faults", kPackets,
                   now.received - before[i].received);
      expect_equal("packets sent after the faults", kPackets,
                   now.sent - before[i].sent);
    }
  }

  void books_close() {
    if (!problem_.empty()) return;
    const Ledger ledger = sim_.core().ledger();
    expect_equal("frames in handlers", ledger.handler, 0);
    expect_equal("frames in chains", ledger.chain, 0);
    expect_equal("frames in TX", ledger.transmitting, 0);
    expect_equal("frames astray", ledger.astray, 0);
    expect_equal("packets not seen on the wire", handler_.work.owed(), 0);
    expect_equal("packets whose end is not told", handler_.work.untold(), 0);
    for (std::size_t i = 0; i < ports(); ++i) close_port(i);
    const SimCounts& counts = sim_.kernel().counts();
    expect_equal("events", handler_.work.events(),
                 counts[SimTrait::link_up] + counts[SimTrait::link_down] +
                     counts[SimTrait::port_lost] +
                     counts[SimTrait::port_rebound]);
    expect_equal("ports bound again", counts[SimTrait::port_rebound],
                 counts[SimTrait::port_lost]);
    // Packets that were there before a sleep would not have ended it.
    expect_equal("sleeps with packets in RX", 0, counts[SimTrait::wake_missed]);
    std::uint64_t errors = 0;
    for (const Port& port : sim_.core().ports()) {
      errors += port.counters().kick_errors.value();
    }
    expect_equal(
        "kick_errors", errors,
        counts[SimTrait::kick_enetdown] + counts[SimTrait::kick_enxio] +
            counts[SimTrait::kick_enobufs] + counts[SimTrait::kick_eintr]);
  }

  void close_rx(const std::string& port, const PortCounters& ours,
                const SimWire& wire) {
    expect_equal(port + "rx_packets", ours.rx_packets.value(), wire.received);
    expect_equal(port + "rx_bytes", ours.rx_bytes.value(),
                 wire.received_bytes + wire.broken_bytes);
    expect_equal(port + "rx_broken", ours.rx_broken.value(),
                 wire.received_broken);
    expect_equal(port + "rx_invalid", ours.rx_invalid.value(),
                 wire.bad_descriptors);
  }

  void close_port(std::size_t i) {
    const SimWire& wire = sim_.port(i).wire();
    const PortCounters& ours = sim_.core().ports()[i].counters();
    const std::string port = "port " + std::to_string(i) + ": ";
    expect_equal(port + "packets given to the handler",
                 handler_.work.received(i), ours.rx_packets.value());
    // What was in RX as its socket was lost, for want of frames, was cut off:
    // nobody knows in whole packets how much that was.
    if (wire.unread == 0) close_rx(port, ours, wire);
    expect(ours.cut_off.value() >= wire.unread, port + "cut_off is too small");
    expect_equal(port + "tx_packets", ours.tx_packets.value(),
                 wire.sent + wire.refused + wire.invalid + wire.cut_off);
    expect_equal(port + "tx_refused", ours.tx_refused.value(), wire.refused);
    expect_equal(port + "packets offered",
                 wire.received + wire.received_broken + wire.dropped(),
                 wire.offered);
    expect_equal(port + "drops for want of room in RX", wire.dropped_rx_full,
                 0);
  }

  Scenario scenario_;
  SimCore sim_;
  H handler_;
  TurnByTurn<H> poller_;
  std::vector<std::uint64_t> serials_;
  std::string problem_;
  std::string schedule_;
};

struct Outcome {
  std::string problem;
  SimCounts counts;
  std::uint64_t received = 0;
  std::uint64_t history = 0;
  Time clock;
};

template <class H>
Outcome outcome_of(const Scenario& scenario) {
  Run<H> run(scenario);
  Outcome outcome;
  outcome.problem = run.all();
  outcome.counts = run.sim().kernel().counts();
  outcome.received = run.received();
  outcome.history = run.sim().kernel().history();
  outcome.clock = run.sim().kernel().clock();
  return outcome;
}

Outcome run(const Scenario& scenario) {
  return scenario.bursts ? outcome_of<RandomBursts>(scenario)
                         : outcome_of<RandomPackets>(scenario);
}

std::uint64_t number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

constexpr std::uint64_t kPackets = kCheckFrames ? 100'000 : 10'000'000;
constexpr std::uint64_t kScenarioPackets = kCheckFrames ? 5'000 : 100'000;

// Where a trait shows less often, the test would prove little. For ten million
// packets; fewer have to show in proportion.
struct Floor {
  SimTrait trait;
  std::uint64_t least;
};
constexpr Floor kFloors[] = {
    {SimTrait::kick_budget, 2000},
    {SimTrait::kick_enetdown, 300},
    {SimTrait::kick_enxio, 200},
    {SimTrait::kick_enobufs, 200},
    {SimTrait::kick_eintr, 200},
    {SimTrait::kick_eagain, 10'000},
    {SimTrait::tx_refused, 4000},
    {SimTrait::tx_invalid, 8000},
    {SimTrait::tx_behind_invalid, 4000},
    {SimTrait::tx_chain, 40'000},
    {SimTrait::tx_driver_dry, 100'000},
    {SimTrait::tx_stuck, 10},
    {SimTrait::completion_blocked, 20},
    {SimTrait::completion_late, 200'000},
    {SimTrait::completion_swapped, 200},
    {SimTrait::rx_fill_empty, 100'000},
    {SimTrait::rx_too_large, 100'000},
    {SimTrait::rx_link_down, 10'000},
    {SimTrait::rx_driver_dry, 100'000},
    {SimTrait::rx_chain, 50'000},
    {SimTrait::rx_chain_split, 10'000},
    {SimTrait::rx_chain_cut, 2000},
    {SimTrait::rx_chain_overlong, 500},
    {SimTrait::link_down, 100},
    {SimTrait::link_up, 100},
    {SimTrait::port_lost, 100},
    {SimTrait::port_rebound, 100},
    {SimTrait::tx_cut_off, 20},
    {SimTrait::wake_spurious, 50'000},
    {SimTrait::index_wrapped, 150},
};

TEST(PropertyTest, EveryFrameHasOneOwnerAndEveryPacketOneFate) {
  const char* seed_given = std::getenv("SLUICE_SIM_SEED");
  const std::uint64_t packets =
      number("SLUICE_SIM_PACKETS", seed_given == nullptr ? kPackets : 1);
  std::uint64_t seed = number("SLUICE_SIM_SEED", 1);
  SimCounts counts;
  std::uint64_t received = 0;
  std::uint64_t virtual_ns = 0;
  std::uint64_t scenarios = 0;
  for (; received < packets; ++seed, ++scenarios) {
    const ReplayLine replay(seed, "PropertyTest.EveryFrame*");
    const Outcome outcome = run(draw(seed, kScenarioPackets));
    counts += outcome.counts;
    received += outcome.received;
    virtual_ns += outcome.clock.ns;
    ASSERT_EQ(outcome.problem, "") << replay.text();
  }
  std::printf("%" PRIu64 " packets, %" PRIu64 " s of virtual time\n", received,
              virtual_ns / 1'000'000'000);
  for (std::size_t i = 0; i < kSimTraits; ++i) {
    const auto trait = static_cast<SimTrait>(i);
    std::printf("  %-20s %10" PRIu64 "\n", name_of(trait), counts[trait]);
  }
  // A few scenarios may all be without some fault.
  if (seed_given != nullptr || scenarios < 10) return;
  for (const Floor& floor : kFloors) {
    EXPECT_GE(counts[floor.trait], floor.least * packets / 10'000'000)
        << name_of(floor.trait) << " showed too seldom";
  }
}

TEST(PropertyTest, OneSeedIsOneRun) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const Outcome once = run(draw(seed, 3000));
    const Outcome again = run(draw(seed, 3000));
    EXPECT_EQ(once.history, again.history);
    EXPECT_EQ(once.clock, again.clock);
    EXPECT_NE(once.history, run(draw(seed + 1000, 3000)).history);
  }
}

TEST(PropertyDeathTest, AScenarioThatDiesTellsHowToReplayIt) {
  const char* const line =
      "replay: SLUICE_SIM_SEED=17 .*_tests --gtest_filter='It'\n";
  EXPECT_DEATH(
      {
        const ReplayLine replay(17, "It");
        std::abort();
      },
      line);
  EXPECT_DEATH(
      {
        const ReplayLine replay(17, "It");
        const volatile std::uintptr_t nowhere = 8;
        *reinterpret_cast<volatile char*>(nowhere) = 0;
      },
      line);
}

}  // namespace
}  // namespace sluice::testing
