// SPDX-License-Identifier: Apache-2.0
// replay: handlers over packets, at the packets' times.
#include <gmock/gmock.h>

#include <chrono>
#include <map>
#include <sluice/services/forward.hpp>
#include <sluice/services/reflect.hpp>
#include <sluice/testing/replay.hpp>

#include "numbered.hpp"
#include "send_back.hpp"

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

// What a test did not say otherwise about a run, it has to be.
void expect_sound(const Result<Replayed>& run) {
  ASSERT_TRUE(run) << run.error().message();
  const Ledger ledger = run->stats.ledger();
  EXPECT_TRUE(ledger.balanced());
  EXPECT_EQ(ledger.handler, 0u);
  EXPECT_EQ(ledger.transmitting, 0u);
  EXPECT_EQ(ledger.astray, 0u);
}

TEST(Replay, AHandlersAnswersComeOutAtTheTimesOfTheQuestions) {
  const auto run = replay<services::Reflect>(
      {numbered(1), {numbered(2), 5ms}, {numbered(3), 5ms + 1ns}});
  expect_sound(run);
  ASSERT_EQ(run->sent.size(), 3u);
  EXPECT_EQ(run->sent[0].time, Time{0});
  EXPECT_EQ(run->sent[1].time, Time{5'000'000});
  EXPECT_EQ(run->sent[2].time, Time{5'000'001});
  EXPECT_EQ(run->sent[1].bytes, Frame()
                                    .eth(kMacB, kMacA)
                                    .ipv4("192.0.2.2", "192.0.2.1")
                                    .udp(9, 2)
                                    .payload(std::size_t{10})
                                    .bytes());
  EXPECT_EQ(run->received, 3u);
  EXPECT_EQ(run->dropped, 0u);
  EXPECT_EQ(run->counter("reflected"), 3);
  EXPECT_EQ(run->counter("no such counter"), 0);
}

TEST(Replay, NothingComesOfNothing) {
  const auto run = replay<SendBack>({});
  expect_sound(run);
  EXPECT_TRUE(run->sent.empty());
}

struct Bursts {
  explicit Bursts(Core& core) : core_(core) {}
  void operator()(Burst& burst, Core& core) noexcept {
    sizes.push_back(burst.size());
    times.push_back(core.now());
  }
  void report(Report& report) const {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      report.add("size " + std::to_string(i), sizes[i]);
      report.add("time " + std::to_string(i), times[i].ns);
    }
  }
  Core& core_;
  std::vector<std::size_t> sizes;
  std::vector<Time> times;
};

TEST(Replay, PacketsOfOneTimeAreOneBurstAndOthersAreNot) {
  const auto run = replay<Bursts>({numbered(1),
                                   numbered(2),
                                   numbered(3),
                                   {numbered(4), 1ns},
                                   {numbered(5), 1s},
                                   {numbered(6), 1s}});
  expect_sound(run);
  EXPECT_EQ(run->reported("size 0"), 3u);
  EXPECT_EQ(run->reported("size 1"), 1u);
  EXPECT_EQ(run->reported("time 1"), 1u);
  EXPECT_EQ(run->reported("size 2"), 2u);
  EXPECT_EQ(run->reported("time 2"), 1'000'000'000u);
  EXPECT_EQ(run->reported("size 3"), 0u);
}

TEST(Replay, ABurstIsNoLargerThanTheBatch) {
  std::vector<Arrival> packets;
  for (std::size_t i = 0; i < 100; ++i) packets.emplace_back(numbered(i));
  const auto run = replay<Bursts>(packets, {}, {.batch = 64});
  expect_sound(run);
  EXPECT_EQ(run->reported("size 0"), 64u);
  EXPECT_EQ(run->reported("size 1"), 36u);
  EXPECT_EQ(run->reported("time 1"), 0u);
}

struct Ticker {
  explicit Ticker(Core& core) : core_(core) {
    core.every(10ms, [this] { ticks.push_back(core_.now()); });
  }
  void operator()(Packet, Core& core) noexcept {
    packets.push_back(core.now());
  }
  void report(Report& report) const {
    report.add("ticks", ticks.size());
    for (std::size_t i = 0; i < ticks.size(); ++i) {
      report.add("off", ticks[i].ns - (i + 1) * 10'000'000);
    }
  }
  Core& core_;
  std::vector<Time> ticks, packets;
};

TEST(Replay, TimersFireAtTheirTimesBetweenPacketsAndNotAfterTheLast) {
  const auto run = replay<Ticker>({numbered(1), {numbered(2), 105ms}});
  expect_sound(run);
  EXPECT_EQ(run->reported("ticks"), 10u);
  EXPECT_EQ(run->reported("off"), 0u);
}

TEST(Replay, LingeringLetsTimersFireAfterTheLastPacket) {
  const auto run =
      replay<Ticker>({numbered(1), {numbered(2), 105ms}}, {}, {.linger = 60s});
  expect_sound(run);
  EXPECT_EQ(run->reported("ticks"), 6010u);
  EXPECT_EQ(run->reported("off"), 0u);
}

struct Keeper {
  static constexpr std::uint32_t kHolds = 3;
  void operator()(Packet packet, Core&) noexcept {
    if (kept.size() < kHolds) kept.push_back(std::move(packet));
  }
  std::vector<Packet> kept;
};

TEST(Replay, WhatIsKeptAndWhatDiesIsCounted) {
  const auto run = replay<Keeper>({numbered(1),
                                   numbered(2),
                                   {numbered(3), 1s},
                                   {numbered(4), 2s},
                                   {numbered(5), 2s}});
  expect_sound(run);
  EXPECT_EQ(run->received, 5u);
  EXPECT_EQ(run->kept, 3u);
  EXPECT_EQ(run->dropped, 2u);
}

// As on a NIC: FILL is empty, what comes is lost and counted, time goes on.
struct Hoarder {
  void operator()(Packet packet, Core&) noexcept {
    kept.push_back(std::move(packet));
  }
  std::vector<Packet> kept;
};

TEST(Replay, AHandlerThatKeepsAllFramesLosesPacketsAndDoesNotHang) {
  std::vector<Arrival> packets;
  for (int i = 0; i < 5000; ++i) {
    packets.emplace_back(numbered(1), Duration(i * 1000));
  }
  const auto run = replay<Hoarder>(std::move(packets));
  expect_sound(run);
  const QueueStats& queue = run->stats.queues.at(0);
  EXPECT_GT(run->kept, 100u);
  EXPECT_GT(queue.kernel.fill_empty, 0u);
  const std::uint64_t waiting =
      5000 - queue.rx_packets - queue.kernel.rx_dropped;
  EXPECT_LE(waiting, 256u) << "more than RX holds is nowhere";
}

struct Flood {
  void operator()(Packet packet, Core& core) noexcept {
    for (int i = 0; i < 100; ++i) {
      auto copy = packet.copy();
      if (copy) core.reply(std::move(*copy));
    }
    core.reply(std::move(packet));
  }
};

TEST(Replay, ManyPacketsForOneLeaveInTheirTurn) {
  const auto run = replay<Flood>({numbered(1), {numbered(2), 1s}});
  expect_sound(run);
  EXPECT_EQ(run->sent.size(), 202u);
  EXPECT_EQ(run->sent[100].time, Time{0});
  EXPECT_EQ(run->sent[101].time, Time{1'000'000'000});
}

TEST(Replay, TwoPortsAreTwoSidesMergedByTime) {
  PcapOptions options;
  options.ports = {{.name = "inside"}, {.name = "outside"}};
  const auto run = replay<services::Forward>({{numbered(1), 3ms, 1},
                                              {numbered(2), 1ms, 0},
                                              {numbered(3), 2ms, 0},
                                              {numbered(4), 4ms, 1}},
                                             {}, options);
  expect_sound(run);
  ASSERT_EQ(run->sent.size(), 4u);
  const std::size_t order[] = {2, 3, 1, 4};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(run->sent[i].bytes, numbered(order[i]));
    EXPECT_EQ(run->sent[i].port, i < 2 ? 1 : 0);
    EXPECT_EQ(run->sent[i].time, Time{(i + 1) * 1'000'000});
  }
}

struct SaysWho {
  explicit SaysWho(Core& core) : index_(core.index()) {}
  void operator()(Packet packet, Core& core) noexcept {
    EXPECT_EQ(packet.queue(), index_);
    ++packets_;
    core.reply(std::move(packet));
  }
  void report(Report& report) const {
    report.add("core " + std::to_string(index_), packets_);
  }
  std::size_t index_;
  std::uint64_t packets_ = 0;
};

TEST(Replay, QueuesSpreadFlowsByTheStatedHashAndKeepTheOrderOfTime) {
  std::vector<Arrival> packets;
  std::map<std::size_t, std::uint64_t> expected;
  for (std::size_t i = 0; i < 3000; ++i) {
    Bytes packet = numbered(i % 100);
    ++expected[parse(packet).flow().hash() % 3];
    packets.emplace_back(std::move(packet), Duration(i));
  }
  const auto run = replay<SaysWho>(packets, {}, {.queues = 3});
  expect_sound(run);
  for (std::size_t core = 0; core < 3; ++core) {
    EXPECT_GT(expected[core], 300u);
    EXPECT_EQ(run->reported("core " + std::to_string(core)), expected[core]);
  }
  ASSERT_EQ(run->sent.size(), packets.size());
  for (std::size_t i = 0; i < packets.size(); ++i) {
    EXPECT_EQ(run->sent[i].bytes, packets[i].bytes);
  }
}

TEST(Replay, RulesDecideAsTheReferenceDoes) {
  PcapOptions options;
  auto rules = Rules::parse("drop udp and dst port 8\nsteer udp\n");
  ASSERT_TRUE(rules);
  options.rules = *rules;
  const Frame ip = Frame().eth().ipv4("192.0.2.1", "192.0.2.2");
  const auto run = replay<SendBack>({Frame(ip).udp(1, 8), Frame(ip).udp(1, 9),
                                     Frame(ip).tcp(1, 9), Frame(ip).udp(2, 9)},
                                    {}, options);
  expect_sound(run);
  EXPECT_EQ(run->received, 2u);
  EXPECT_EQ(run->sent.size(), 2u);
  const Counts& counts = *run->stats.ports.at(0).verdicts;
  EXPECT_EQ(counts.verdicts.dropped.packets, 1u);
  EXPECT_EQ(counts.verdicts.steered.packets, 2u);
  EXPECT_EQ(counts.verdicts.passed.packets, 1u);
  EXPECT_EQ(counts.rules.at(0).packets, 1u);
  EXPECT_EQ(counts.rules.at(1).packets, 2u);
  EXPECT_EQ(counts.unmatched.packets, 1u);
}

struct Segments {
  void operator()(Packet packet, Core& core) noexcept {
    most = std::max<std::uint64_t>(most, packet.segments().size());
    core.reply(std::move(packet));
  }
  void report(Report& report) const { report.maximum("segments", most); }
  std::uint64_t most = 0;
};

TEST(Replay, APacketLargerThanAFrameComesInSegmentsAndLeavesWhole) {
  for (const std::size_t size : {1750u, 1751u, 9000u, 18u * 1792 - 42}) {
    const auto run = replay<Segments>({numbered(1, size), numbered(2)});
    expect_sound(run);
    ASSERT_EQ(run->sent.size(), 2u) << size;
    EXPECT_EQ(run->sent[0].bytes, numbered(1, size)) << size;
    EXPECT_EQ(run->reported("segments"), (size + 42 + 1791) / 1792) << size;
  }
}

TEST(Replay, WhatNoChainHoldsIsDroppedAndCounted) {
  const auto run =
      replay<SendBack>({numbered(1, 18 * 1792 - 41), Bytes{}, numbered(2)});
  expect_sound(run);
  EXPECT_EQ(run->sent.size(), 1u);
  EXPECT_EQ(run->stats.queues.at(0).kernel.rx_dropped, 2u);

  const auto single = replay<SendBack>({numbered(1, 1751), numbered(2, 1750)},
                                       {}, {.multi_buffer = false});
  expect_sound(single);
  EXPECT_EQ(single->sent.size(), 1u);
  EXPECT_EQ(single->stats.queues.at(0).kernel.rx_dropped, 1u);
}

// A burst that takes more frames than FILL has waits for them: a file is not
// faster than the loop.
TEST(Replay, ABurstOfChainsLosesNothing) {
  std::vector<Arrival> packets;
  for (std::size_t i = 0; i < 200; ++i) {
    packets.emplace_back(numbered(i, 20'000));
  }
  const auto run = replay<SendBack>(packets, {}, {.ring_size = 64});
  expect_sound(run);
  ASSERT_EQ(run->sent.size(), 200u);
  for (std::size_t i = 0; i < 200; ++i) {
    EXPECT_EQ(run->sent[i].bytes, packets[i].bytes);
  }
}

struct Shrinks {
  void operator()(Packet packet, Core& core) noexcept {
    (void)packet.trim_back(static_cast<std::uint32_t>(packet.size()));
    core.reply(std::move(packet));
  }
};

TEST(Replay, AnEmptyPacketIsNotSentAndItsFrameComesHome) {
  const auto run = replay<Shrinks>({numbered(1), numbered(2)});
  expect_sound(run);
  EXPECT_TRUE(run->sent.empty());
  EXPECT_EQ(run->stats.queues.at(0).kernel.tx_invalid, 2u);
}

struct Refuses {
  explicit Refuses(Core& core) {
    core.fail({EPERM, "refuses", "", "Ask not."});
  }
  void operator()(Packet, Core&) noexcept {}
};

TEST(Replay, WhatCanNotStartSaysWhy) {
  const auto run = replay<Refuses>({numbered(1)});
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, EPERM);
  EXPECT_FALSE(replay<services::Forward>({numbered(1)})) << "one port";
  EXPECT_FALSE(replay<SendBack>({{numbered(1), 0ns, 1}})) << "no such port";
  EXPECT_FALSE(replay<SendBack>({}, {}, {.batch = 0}));
  EXPECT_FALSE(replay<SendBack>({}, {}, {.ring_size = 100}));
  EXPECT_FALSE(replay<SendBack>({}, {}, {.frames_per_queue = 100}));
  EXPECT_FALSE(replay<SendBack>({}, {}, {.queues = 0}));
  PcapOptions twice;
  twice.ports = {{.name = "a"}, {.name = "a"}};
  EXPECT_FALSE(replay<SendBack>({}, {}, twice));
}

struct Curious {
  explicit Curious(Core& core) {
    EXPECT_EQ(core.port("p").mac(), (MacAddress{{2, 0, 0, 0, 0, 1}}));
    EXPECT_EQ(core.port("p").mtu(), 1500u);
  }
  void operator()(Packet, Core&) noexcept {}
};

TEST(Replay, APortHasAnAddressAndAnMtu) {
  expect_sound(replay<Curious>({numbered(1)}));
}

}  // namespace
}  // namespace sluice::testing
