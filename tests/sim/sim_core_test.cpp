// SPDX-License-Identifier: Apache-2.0
// What users write: a handler over SimCore, in virtual time.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>
#include <sluice/testing/sim_core.hpp>
#include <span>
#include <utility>
#include <vector>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

// Packets of `size` bytes, `gap` apart.
SimSource every(SimCore& sim, Duration gap, std::uint64_t count,
                std::size_t size = 64) {
  return [at = sim.kernel().clock(), gap, count,
          size](SimArrival& arrival) mutable {
    if (count == 0) return false;
    --count;
    at = at + gap;
    arrival.at = at;
    arrival.bytes.assign(size, std::byte{1});
    return true;
  };
}

struct Reflect {
  std::vector<Event> events = {};
  void operator()(Packet packet, Core& core) noexcept {
    core.reply(std::move(packet));
  }
  void event(const Event& event) { events.push_back(event); }
};

#ifdef SLUICE_CHECK_FRAMES
// A handler's mistakes, as its author sees them: the frame's last owners.
struct Twice {
  void operator()(Packet packet, Core& core) noexcept {
    core.reply(std::move(packet));
    // NOLINTNEXTLINE(bugprone-use-after-move): the mistake.
    core.reply(std::move(packet));
  }
};

TEST(SimCoreDeathTest, APacketSentTwiceTellsWhoseItWas) {
  SimCore sim;
  sim.port(0).feed(every(sim, 1us, 10));
  Twice handler;
  EXPECT_DEATH(sim.run(handler, 1ms),
               "used after it moved away\n.*oldest first.*"
               "the pool -> the kernel, to receive into\n.*"
               "the kernel, to receive into -> a handler\n.*"
               "a handler -> the kernel, to transmit\n");
}

struct Forgets {
  void operator()(Packet packet, Core&) noexcept {
    leaked = new Packet(std::move(packet));
  }
  Packet* leaked = nullptr;
};

TEST(SimCoreDeathTest, APacketThatIsForgottenIsToldAtTheEnd) {
  EXPECT_DEATH(
      {
        SimCore sim;
        sim.port(0).feed(every(sim, 1us, 1));
        Forgets handler;
        sim.run(handler, 1ms);
      },
      "handlers still own 1 of its frames\n.*"
      "the kernel, to receive into -> a handler\n$");
}

// The bytes are its own when the kernel reads them, and others' afterwards.
struct WritesLate {
  void operator()(Packet packet, Core& core) noexcept {
    if (!late.empty()) late[0] = std::byte{2};
    late = packet.bytes();
    core.reply(std::move(packet));
  }
  std::span<std::byte> late = {};
};

TEST(SimCoreDeathTest, AByteWrittenAfterSendTellsWhoseItWas) {
  SimCore sim;
  sim.port(0).feed(every(sim, 1us, 1000));
  WritesLate handler;
  EXPECT_DEATH(sim.run(handler, 10ms),
               "(use-after-poison|written to).*oldest first.*"
               "a handler -> the kernel, to transmit\n");
}
#endif

TEST(SimCoreTest, OnAGoodDayEveryPacketIsAnswered) {
  SimCore sim;
  sim.port(0).feed(every(sim, 1us, 10'000));
  Reflect handler;
  sim.run(handler, 20ms);
  EXPECT_EQ(sim.port(0).wire().sent, 10'000U);
  EXPECT_EQ(sim.port(0).wire().dropped(), 0U);
  EXPECT_EQ(sim.trouble(), "");
}

TEST(SimCoreTest, AnHourTakesSeconds) {
  SimCore sim({.ports = {{.zero_copy = true}, {}}});
  sim.port(0).feed(every(sim, 50ms, 1'000'000));
  Reflect handler;
  const auto before = std::chrono::steady_clock::now();
  sim.run(handler, 3600s);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
  EXPECT_NEAR(static_cast<double>(sim.port(0).wire().sent), 72'000, 2);
  EXPECT_EQ(sim.trouble(), "");
}

TEST(SimCoreTest, AnIdleHourIsSlept) {
  SimCore sim;
  Reflect handler;
  sim.run(handler, 3600s);
  EXPECT_NEAR(static_cast<double>(sim.core().loop().sleeps.value()), 7200, 10);
}

TEST(SimCoreTest, TwoHandlersMayRunOneAfterTheOther) {
  SimCore sim;
  Reflect first;
  sim.port(0).feed(every(sim, 10us, 100));
  sim.run(first, 10ms);
  Reflect second;
  sim.port(0).feed(every(sim, 10us, 100));
  sim.run(second, 10ms);
  EXPECT_EQ(sim.port(0).wire().sent, 200U);
}

TEST(SimCoreTest, AfterALinkWasDownTrafficResumes) {
  SimCore sim;
  Reflect handler;
  sim.port(0).feed(every(sim, 10us, 1000));
  sim.port(0).set_link(false);
  sim.run(handler, 5ms);
  EXPECT_EQ(sim.port(0).wire().sent, 0U);
  sim.port(0).set_link(true);
  sim.run(handler, 20ms);
  EXPECT_GT(sim.port(0).wire().sent, 400U);
  ASSERT_EQ(handler.events.size(), 2U);
  EXPECT_EQ(handler.events[0].kind, Event::Kind::link_down);
  EXPECT_EQ(handler.events[1].kind, Event::Kind::link_up);
}

TEST(SimCoreTest, AnInterfaceThatIsDeletedAndMadeAgainIsBoundAgain) {
  SimCore sim;
  Reflect handler;
  sim.port(0).feed(every(sim, 10us, 200));
  sim.run(handler, 3ms);
  // Nothing leaves TX any more, and then it goes.
  sim.kernel().set_faults({.kick_eagain = 1});
  sim.port(0).feed(every(sim, 10us, 10));
  sim.run(handler, 1ms);
  const std::uint64_t sent = sim.port(0).wire().sent;
  sim.port(0).lose(5ms);
  sim.kernel().set_faults({});
  sim.port(0).feed(every(sim, 10us, 1000));
  sim.run(handler, 50ms);
  EXPECT_EQ(sim.trouble(), "");
  EXPECT_GT(sim.port(0).wire().sent, sent + 400);
  EXPECT_EQ(sim.port(0).wire().cut_off, 10U);
  EXPECT_EQ(sim.core().ports()[0].counters().cut_off.value(), 10U);
  ASSERT_EQ(handler.events.size(), 2U);
  EXPECT_EQ(handler.events[0].kind, Event::Kind::gone);
  EXPECT_EQ(handler.events[1].kind, Event::Kind::rebound);
  const SimCounts& counts = sim.kernel().counts();
  EXPECT_EQ(counts[SimTrait::port_lost], 1U);
  EXPECT_EQ(counts[SimTrait::port_rebound], 1U);
  EXPECT_EQ(counts[SimTrait::tx_cut_off], 10U);
}

TEST(SimCoreTest, AQueueThatNeverCompletesIsReportedAndNotWaitedFor) {
  SimCore sim;
  Reflect handler;
  sim.port(0).stick(Time::never());
  sim.port(0).feed(every(sim, 1ms, 5000));
  sim.run(handler, 10s);
  EXPECT_EQ(sim.core().ports()[0].counters().tx_stalls.value(), 1U);
  EXPECT_EQ(sim.port(0).wire().received, 5000U) << "reception goes on";
  EXPECT_EQ(sim.trouble(), "");
}

struct Hoard {
  std::vector<Packet> kept = {};
  void operator()(Packet packet, Core&) noexcept {
    kept.push_back(std::move(packet));
  }
};

TEST(SimCoreTest, AHandlerThatKeepsEverythingStopsReceptionUntilItLetsGo) {
  SimCore sim({.frames = 100});
  Hoard hoard;
  sim.port(0).feed(every(sim, 10us, 1000));
  sim.run(hoard, 20ms);
  EXPECT_EQ(hoard.kept.size(), 100U - 64U);
  EXPECT_GT(sim.port(0).wire().dropped_fill_empty, 0U);
  EXPECT_EQ(sim.trouble(), "");
  hoard.kept.clear();
  sim.port(0).feed(every(sim, 100us, 20));
  sim.run(hoard, 20ms);
  EXPECT_GE(hoard.kept.size(), 20U);
  EXPECT_EQ(sim.trouble(), "");
}

// Changes each segment, keeps the packet for a while, then sends it.
struct SlowChains {
  std::optional<Packet> kept;
  void operator()(Packet packet, Core& core) noexcept {
    for (const auto segment : packet.segments()) segment[0] = std::byte{9};
    if (kept) core.reply(std::move(*kept));
    kept = std::move(packet);
  }
};

TEST(SimCoreTest, ChainsArriveInPiecesAndLeaveWhole) {
  SimFaults faults;
  faults.chain_split = 1;
  SimCore sim({.ports = {{.multi_buffer = true}}, .faults = faults});
  std::uint64_t good = 0;
  sim.port(0).watch([&](const SimDeparture& departure) {
    std::vector<std::byte> expected(9014, std::byte{1});
    for (std::size_t at = 0; at < expected.size(); at += 1792) {
      expected[at] = std::byte{9};
    }
    good += departure.bytes.size() == expected.size() &&
                    std::memcmp(departure.bytes.data(), expected.data(),
                                expected.size()) == 0
                ? 1
                : 0;
  });
  sim.port(0).feed(every(sim, 300us, 200, 9014));
  SlowChains handler;
  sim.run(handler, 100ms);
  EXPECT_EQ(good, 199U);
  EXPECT_EQ(sim.kernel().counts()[SimTrait::rx_chain_split], 200U);
  EXPECT_EQ(sim.core().ledger().handler, 6U);
  EXPECT_EQ(sim.trouble(), "");
  handler.kept.reset();
}

TEST(SimCoreTest, AChainThatIsCutIsDroppedWholeAndItsNeighboursAreNot) {
  SimFaults faults;
  faults.chain_cut = 0.5;
  SimCore sim({.ports = {{.multi_buffer = true}}, .faults = faults});
  sim.port(0).feed(every(sim, 300us, 200, 9014));
  Reflect handler;
  sim.run(handler, 100ms);
  const SimWire& wire = sim.port(0).wire();
  EXPECT_GT(wire.received_broken, 50U);
  EXPECT_GT(wire.received, 50U);
  EXPECT_EQ(wire.received + wire.received_broken, 200U);
  EXPECT_EQ(wire.sent, wire.received);
  EXPECT_EQ(wire.sent_bytes, wire.received * 9014);
  EXPECT_EQ(sim.core().ports()[0].counters().rx_broken.value(),
            wire.received_broken);
  EXPECT_EQ(sim.core().ledger().chain, 0U);
  EXPECT_EQ(sim.trouble(), "");
}

TEST(SimCoreTest, TroubleIsTold) {
  SimCore sim;
  Core& core = sim.core();
  EXPECT_TRUE(sim.books_agree());
  core.pool().hold(1);  // A frame that there is not.
  EXPECT_FALSE(sim.books_agree());
  EXPECT_NE(sim.trouble().find("1025 have an owner"), std::string::npos)
      << sim.trouble();
  core.pool().unhold(1);
}

}  // namespace
}  // namespace sluice::testing
