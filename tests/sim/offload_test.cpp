// SPDX-License-Identifier: Apache-2.0
// Handlers that leave work to the device as they send, over the simulated
// kernel; and what its zero-copy drivers do, which no veth pair shows.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <sluice/parse.hpp>
#include <sluice/testing/frame.hpp>
#include <sluice/testing/sim_core.hpp>
#include <sluice/testing/wire.hpp>
#include <utility>
#include <vector>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

constexpr TxOffload kAll{.checksum = true,
                         .timestamp = Timestamp::Clock::hardware,
                         .launch_time = true};

const Bytes kQuestion = Frame()
                            .eth(kMacA, kMacB)
                            .ipv4("10.0.0.1", "10.0.0.2")
                            .udp(4000, 53)
                            .payload("how much?");

// Sends each packet back, all sums left to whoever does them.
struct Answer {
  void operator()(Packet packet, Core& core) noexcept {
    const Layers layers = parse(packet);
    layers.reverse();
    TxRequest request{.checksum = layers.leave_checksum(), .timestamp = ++sent};
    if (launch_in > 0ns) {
      request.launch_time = (core.now() + launch_in).ns;
    }
    core.reply(std::move(packet), request);
  }
  void transmitted(const Transmitted& each) noexcept {
    EXPECT_TRUE(told.emplace(each.number, each).second) << "told twice";
  }

  Duration launch_in{};
  std::uint64_t sent = 0;
  std::map<std::uint64_t, Transmitted> told = {};
};

class OffloadTest : public ::testing::Test {
 protected:
  static SimCoreOptions options(bool zero_copy,
                                std::optional<TxOffload> offload) {
    SimCoreOptions options;
    options.ports[0].zero_copy = zero_copy;
    options.ports[0].tx_offload = offload;
    return options;
  }
  // Every hundred microseconds one.
  static void feed(SimCore& sim, std::uint64_t count) {
    sim.port(0).feed(
        [&sim, count, sent = std::uint64_t{0}](SimArrival& arrival) mutable {
          if (++sent > count) return false;
          arrival.at = sim.kernel().clock() + 100us;
          arrival.bytes = kQuestion;
          return true;
        });
  }
  // All that is sent is right, to the last bit.
  void watch(SimCore& sim) {
    sim.port(0).watch([this](const SimDeparture& departure) {
      if (departure.fate != SimFate::sent) return;
      ++right_;
      at_.push_back(departure.at);
      Bytes bytes(departure.bytes.begin(), departure.bytes.end());
      EXPECT_EQ(parse(bytes).checksum_state(), ChecksumState::good);
    });
  }

  std::uint64_t right_ = 0;
  std::vector<Time> at_;
};

TEST_F(OffloadTest, ChecksumsAreRightWhoeverCompletesThem) {
  for (const bool zero_copy : {false, true}) {
    for (const std::optional<TxOffload>& offload :
         {std::optional<TxOffload>(), std::optional<TxOffload>(TxOffload{}),
          std::optional<TxOffload>(kAll)}) {
      SimCore sim(options(zero_copy, offload));
      right_ = 0;
      watch(sim);
      feed(sim, 100);
      Answer answer;
      sim.run(answer, 1s);
      EXPECT_EQ(sim.trouble(), "");
      EXPECT_EQ(right_, 100U);
      EXPECT_EQ(answer.told.size(), offload && offload->timestamp ? 100U : 0U);
    }
  }
}

TEST_F(OffloadTest, EachPacketIsToldOnceWithItsTimeOnABadDay) {
  SimCoreOptions options = this->options(false, kAll);
  options.faults = SimFaults::rough();
  options.faults.completion_late = 0.3;
  options.faults.port_lost = 0.001;
  SimCore sim(options);
  watch(sim);
  feed(sim, 5000);
  Answer answer;
  sim.run(answer, 2s);
  sim.kernel().set_faults({});
  sim.kernel().heal();
  sim.run(answer, 1s);
  EXPECT_EQ(sim.trouble(), "");
  EXPECT_GT(right_, 1000U);
  const auto full = sim.core().ports()[0].counters().tx_full.value();
  EXPECT_EQ(answer.told.size(), answer.sent - full);
  std::uint64_t timed = 0;
  for (const auto& [number, each] : answer.told) timed += each.time ? 1U : 0U;
  EXPECT_GT(timed, right_ / 2) << "all but what lost sockets had";
  EXPECT_LT(timed, answer.told.size());
}

TEST_F(OffloadTest, AZeroCopyDeviceHoldsAPacketUntilItsLaunchTime) {
  SimCore sim(options(true, kAll));
  watch(sim);
  feed(sim, 20);
  Answer answer{.launch_in = 5ms};
  const Time began = sim.kernel().clock();
  sim.run(answer, 1s);
  EXPECT_EQ(sim.trouble(), "");
  ASSERT_EQ(right_, 20U);
  for (const Time at : at_) EXPECT_GE(at - began, 5ms);
  EXPECT_LT(at_.front() - began, 7ms) << "and no longer";
}

TEST_F(OffloadTest, WhereNoLaunchTimeIsOfferedPacketsLeaveAtOnce) {
  SimCore sim(options(true, TxOffload{.checksum = true}));
  watch(sim);
  feed(sim, 20);
  Answer answer{.launch_in = 500ms};
  const Time began = sim.kernel().clock();
  sim.run(answer, 1s);
  ASSERT_EQ(right_, 20U);
  EXPECT_LT(at_.back() - began, 100ms);
}

TEST_F(OffloadTest, WhatIsForwardedGetsWhatItsOwnPortOffers) {
  SimCoreOptions options;
  options.ports.resize(2);
  options.ports[0].tx_offload = kAll;
  options.ports[1].tx_offload = TxOffload{};
  SimCore sim(options);
  std::uint64_t right = 0;
  sim.port(1).watch([&](const SimDeparture& departure) {
    Bytes bytes(departure.bytes.begin(), departure.bytes.end());
    EXPECT_EQ(parse(bytes).checksum_state(), ChecksumState::good);
    ++right;
  });
  feed(sim, 50);
  struct Forward {
    explicit Forward(Core& core) : out(core.port(std::size_t{1})) {}
    void operator()(Packet packet, Core&) noexcept {
      const auto left = parse(packet).leave_checksum();
      out.send(std::move(packet), {.checksum = left, .timestamp = 1});
    }
    void transmitted(const Transmitted&) noexcept { ADD_FAILURE(); }
    Outlet out;
  };
  Forward forward(sim.core());
  EXPECT_FALSE(forward.out.offload().checksum);
  EXPECT_TRUE(sim.core().port(std::size_t{0}).offload().checksum);
  sim.run(forward, 1s);
  EXPECT_EQ(sim.trouble(), "");
  EXPECT_EQ(right, 50U);
}

}  // namespace
}  // namespace sluice::testing
