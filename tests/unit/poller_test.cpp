// SPDX-License-Identifier: Apache-2.0
// The turn of the loop: every packet once, in order, whatever a handler does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <sluice/poller.hpp>
#include <utility>
#include <vector>

#include "rig.hpp"

namespace sluice::test {
namespace {

static_assert(PacketHandler<OnPacket> && Handler<OnPacket>);
static_assert(BurstHandler<OnBurst> && Handler<OnBurst>);
static_assert(!Handler<int>);

constexpr std::uint32_t kNearWrap = 0xffff'fffd;

template <class H>
void expect_numbers(Rig<H>& rig, std::uint32_t first, std::uint32_t count,
                    std::uint32_t step = 1) {
  ASSERT_EQ(rig.side().wire.size(), count);
  for (std::uint32_t i = 0; i < count; ++i) {
    EXPECT_EQ(rig.side().wire[i], numbered(first + i * step));
  }
}

TEST(PollerTest, EveryRingWrapsAroundTheIndices) {
  Rig<OnPacket> rig(reply_to_all,
                    {.frames = 64, .ring_size = 8, .start = kNearWrap});
  std::uint32_t next = 0;
  for (std::uint32_t i = 0; i < 40; ++i) {
    for (std::uint32_t n = 0; n <= i % 7; ++n) ASSERT_TRUE(rig.arrive(next++));
    rig.turn();
  }
  rig.settle();
  expect_numbers(rig, 0, next);
  EXPECT_LT(rig.side().rx.consumer, 1000U) << "it did wrap";
  EXPECT_LT(rig.side().completion.consumer, 1000U);
  EXPECT_LT(rig.side().fill.consumer, 1000U);
}

TEST(PollerTest, BurstHandlersWrapAroundToo) {
  Rig<OnBurst> rig(
      [](Burst& burst, Core& core) {
        for (Packet& packet : burst) core.reply(std::move(packet));
      },
      {.frames = 64, .ring_size = 8, .start = kNearWrap});
  for (std::uint32_t i = 0; i < 30; ++i) {
    ASSERT_TRUE(rig.arrive(i));
    rig.turn();
  }
  rig.settle();
  expect_numbers(rig, 0, 30);
}

TEST(PollerTest, SendingInsideAHandlerLeavesTheRestOfTheBurstAlone) {
  std::vector<std::vector<std::byte>> seen;
  Rig<OnPacket> rig([&seen](Packet packet, Core& core) {
    seen.push_back(bytes_of(packet));
    auto extra = packet.copy();
    ASSERT_TRUE(extra);
    extra->bytes()[4] = std::byte{0xee};
    core.reply(std::move(*extra));
    core.flush();
    core.reply(std::move(packet));
  });
  for (std::uint32_t i = 0; i < 20; ++i) ASSERT_TRUE(rig.arrive(i));
  rig.turn();
  ASSERT_EQ(seen.size(), 20U);
  for (std::uint32_t i = 0; i < 20; ++i) EXPECT_EQ(seen[i], numbered(i));
  ASSERT_EQ(rig.side().wire.size(), 40U) << "twice as many as were received";
  for (std::uint32_t i = 0; i < 40; ++i) {
    EXPECT_EQ(number_of(rig.side().wire[i]), i / 2);
  }
}

TEST(PollerTest, SendingTwiceAsManyAsReceivedGoesOnForEver) {
  Rig<OnPacket> rig([](Packet packet, Core& core) {
    if (auto extra = packet.copy()) core.reply(std::move(*extra));
    core.reply(std::move(packet));
  });
  std::uint32_t next = 0;
  for (int turn = 0; turn < 500; ++turn) {
    for (int i = 0; i < 32; ++i) rig.arrive(next++);
    rig.turn();
  }
  rig.settle();
  const auto& counters = rig.counters();
  EXPECT_EQ(rig.side().wire.size(), counters.tx_packets.value());
  EXPECT_EQ(counters.tx_packets.value() + counters.tx_full.value(),
            2 * counters.rx_packets.value());
  EXPECT_GT(counters.rx_packets.value(), 10'000U);
}

TEST(PollerTest, AnAllocationThatFailsInTheMiddleOfABatchLosesNothing) {
  int refused = 0;
  std::vector<Packet> kept;
  Rig<OnPacket> rig(
      [&](Packet packet, Core& core) {
        for (int i = 0; i < 3; ++i) {
          if (auto made = core.make_packet(64)) {
            kept.push_back(std::move(*made));
          } else {
            ++refused;
          }
        }
        if (!packet.copy()) ++refused;
        core.reply(std::move(packet));
      },
      {.frames = 48, .ring_size = 16});
  for (std::uint32_t i = 0; i < 16; ++i) ASSERT_TRUE(rig.arrive(i));
  rig.turns(3);
  EXPECT_GT(refused, 0);
  expect_numbers(rig, 0, 16);
  kept.clear();
  rig.turns(2);
  for (std::uint32_t i = 16; i < 24; ++i) EXPECT_TRUE(rig.arrive(i));
  rig.turns(2);
  expect_numbers(rig, 0, 24);
  kept.clear();
}

TEST(PollerTest, APacketKeptPastItsBatchStaysAsItWas) {
  std::optional<Packet> kept;
  Rig<OnPacket> rig([&kept](Packet packet, Core& core) {
    if (number_of(packet.bytes()) == 7) {
      kept = std::move(packet);
    } else {
      core.reply(std::move(packet));
    }
  });
  for (std::uint32_t i = 0; i < 2000; ++i) {
    ASSERT_TRUE(rig.arrive(i));
    if (i % 5 == 4) rig.turn();
  }
  ASSERT_TRUE(kept);
  EXPECT_EQ(bytes_of(*kept), numbered(7));
  EXPECT_EQ(rig.core->ledger().handler, 1U);
  rig.core->reply(std::move(*kept));
  rig.settle();
  EXPECT_EQ(rig.side().wire.back(), numbered(7));
  kept.reset();
}

TEST(PollerTest, ABurstMayBeConsumedInPart) {
  std::optional<Packet> kept;
  Rig<OnBurst> rig([&kept](Burst& burst, Core& core) {
    for (std::size_t i = 0; i < burst.size(); i += 2) {
      core.reply(std::move(burst[i]));
    }
    if (!kept) kept = std::move(burst[1]);
  });
  for (std::uint32_t round = 0; round < 20; ++round) {
    for (std::uint32_t i = 0; i < 10; ++i) {
      ASSERT_TRUE(rig.arrive(round * 10 + i));
    }
    rig.turn();
    EXPECT_EQ(rig.core->ledger().handler, 1U) << "the others died";
  }
  rig.settle();
  expect_numbers(rig, 0, 100, 2);
  EXPECT_EQ(bytes_of(*kept), numbered(1));
  kept.reset();
}

TEST(PollerTest, AHundredThousandPacketsComeThroughInOrderAndIntact) {
  Rig<OnPacket> rig(reply_to_all, {.frames = 1024, .ring_size = 256});
  constexpr std::uint32_t kCount = 100'000;
  std::uint32_t next = 0;
  std::uint32_t left = 0;
  for (int turn = 0; left < kCount && turn < 10'000; ++turn) {
    for (int i = 0; i < 64 && next < kCount; ++i) next += rig.arrive(next);
    rig.turn();
    for (const auto& bytes : std::exchange(rig.side().wire, {})) {
      ASSERT_EQ(bytes, numbered(left)) << left;
      ++left;
    }
    rig.side().sent.clear();
  }
  EXPECT_EQ(left, kCount);
  EXPECT_EQ(rig.counters().rx_packets.value(), kCount);
  EXPECT_EQ(rig.counters().tx_packets.value(), kCount);
  EXPECT_EQ(rig.counters().tx_bytes.value(), kCount * 64U);
  EXPECT_EQ(rig.counters().rx_bytes.value(), kCount * 64U);
}

TEST(PollerTest, RecoversFromAStarvedFillRing) {
  std::vector<Packet> kept;
  bool keep = true;
  Rig<OnPacket> rig(
      [&](Packet packet, Core& core) {
        if (keep) {
          kept.push_back(std::move(packet));
        } else {
          core.reply(std::move(packet));
        }
      },
      {.frames = 64, .ring_size = 32});
  std::uint32_t next = 0;
  for (int turn = 0; turn < 20; ++turn) {
    for (int i = 0; i < 8; ++i) next += rig.arrive(next);
    rig.turn();
  }
  EXPECT_FALSE(rig.arrive(next)) << "the kernel has no frame left";
  EXPECT_EQ(rig.core->ledger().pool, 0U);
  EXPECT_GT(rig.counters().pool_dry.value(), 0U);
  const std::size_t held = kept.size();
  EXPECT_EQ(held, 32U);
  rig.turns(5);
  keep = false;
  kept.clear();
  rig.turns(5);
  EXPECT_EQ(rig.side().fill.used(), 32U);
  EXPECT_TRUE(rig.arrive(next++));
  rig.turns(2);
  EXPECT_EQ(rig.side().wire.size(), next - held) << "none was lost";
}

TEST(PollerTest, PacketsGrowAndShrinkOnTheirWay) {
  Rig<OnPacket> rig([](Packet packet, Core& core) {
    const std::uint32_t number = number_of(packet.bytes());
    bool changed = true;
    if (number % 4 == 0) changed = packet.prepend(20);
    if (number % 4 == 1) changed = packet.trim_front(14);
    if (number % 4 == 2) changed = packet.append(30);
    if (number % 4 == 3) changed = packet.trim_back(10);
    EXPECT_TRUE(changed);
    core.reply(std::move(packet));
  });
  for (std::uint32_t i = 0; i < 400; ++i) {
    ASSERT_TRUE(rig.arrive(i));
    rig.turn();
  }
  rig.settle();
  ASSERT_EQ(rig.side().wire.size(), 400U);
  constexpr std::size_t kSizes[] = {84, 50, 94, 54};
  for (std::uint32_t i = 0; i < 400; ++i) {
    const auto& out = rig.side().wire[i];
    const auto in = numbered(i);
    ASSERT_EQ(out.size(), kSizes[i % 4]);
    const std::size_t before = i % 4 == 0 ? 20 : 0;
    const std::size_t cut = i % 4 == 1 ? 14 : 0;
    const std::size_t same = std::min(in.size() - cut, out.size() - before);
    EXPECT_TRUE(std::equal(in.begin() + static_cast<long>(cut),
                           in.begin() + static_cast<long>(cut + same),
                           out.begin() + static_cast<long>(before)));
  }
}

TEST(PollerTest, AnInvalidTxDescriptorDoesNotKeepTheOthers) {
  Rig<OnPacket> rig([](Packet packet, Core& core) {
    core.reply(std::move(packet));
    // No bytes: the kernel takes it, returns 0 and leaves the rest in TX.
    if (auto empty = core.make_packet(0)) core.reply(std::move(*empty));
  });
  ASSERT_TRUE(rig.arrive(0));
  ASSERT_TRUE(rig.arrive(1));
  ASSERT_TRUE(rig.arrive(2));
  rig.turn();
  expect_numbers(rig, 0, 3);
  EXPECT_EQ(rig.side().kicks, 3U) << "0 was no reason to stop";
  rig.turn();
  EXPECT_EQ(rig.ports[0].transmitting(), 0U);
}

TEST(PollerTest, ACompletionOutOfRangeDoesNotEnterThePool) {
  Rig<OnPacket> rig(reply_to_all);
  rig.side().completes = false;
  for (std::uint32_t i = 0; i < 10; ++i) ASSERT_TRUE(rig.arrive(i));
  rig.turn();
  rig.side().in_flight[4] = 4'194'368'000;
  rig.kernel.complete(0, 10);
  rig.turn();
  EXPECT_EQ(rig.core->ledger().astray, 1U);
  rig.side().completes = true;
  for (std::uint32_t i = 10; i < 500; ++i) {
    ASSERT_TRUE(rig.arrive(i));
    rig.turn();
  }
  rig.settle();
  expect_numbers(rig, 0, 500);
}

TEST(PollerTest, TwoPortsForwardToEachOtherThroughOnePool) {
  Rig<OnPacket> rig(
      [](Packet packet, Core& core) {
        const std::size_t other = 1U - packet.port();
        core.port(other).send(std::move(packet));
      },
      {.ports = 2, .frames = 256, .ring_size = 32});
  for (std::uint32_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE(rig.arrive(i, 64, 0));
    if (i % 2 == 0) {
      ASSERT_TRUE(rig.arrive(50'000 + i, 64, 1));
    }
    rig.turn();
  }
  rig.settle();
  ASSERT_EQ(rig.side(1).wire.size(), 1000U);
  ASSERT_EQ(rig.side(0).wire.size(), 500U);
  for (std::uint32_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(rig.side(1).wire[i], numbered(i));
  }
  EXPECT_EQ(rig.side(0).wire[499], numbered(50'998));
  EXPECT_EQ(rig.counters(1).tx_packets.value(), 1000U);
}

TEST(PollerTest, TimersMaySend) {
  Rig<OnPacket> rig(drop_all);
  rig.core->every(10ms, [&rig] {
    auto packet = rig.core->make_packet(64);
    ASSERT_TRUE(packet);
    rig.core->reply(std::move(*packet));
  });
  rig.turn();
  EXPECT_EQ(rig.side().wire.size(), 0U);
  rig.later(10ms);
  rig.turn();
  EXPECT_EQ(rig.side().wire.size(), 1U) << "in the turn in which it ran";
}

TEST(PollerTest, EventsReachTheHandlerButTheLoopsOwnDoNot) {
  Rig<OnPacket> rig(drop_all);
  rig.kernel.events = {{Event::Kind::link_down, 0},
                       {Event::Kind::publish, 0},
                       {Event::Kind::link_up, 0}};
  rig.turns(3);
  ASSERT_EQ(rig.handler.events.size(), 2U);
  EXPECT_EQ(rig.handler.events[0].kind, Event::Kind::link_down);
  EXPECT_EQ(rig.handler.events[1].kind, Event::Kind::link_up);
  const LoopCounters& loop = rig.core->loop();
  EXPECT_EQ(loop.published.value(), 1U);
  EXPECT_EQ(loop.receiving.value(), 64);
  EXPECT_EQ(loop.pool.value(), 256 - 64);
}

TEST(PollerTest, AnOutletTellsTheMtuAndTheAddressOfNow) {
  Rig<OnPacket> rig(drop_all);
  const Outlet outlet = rig.core->port(std::size_t{0});
  const MacAddress mac{{2, 0, 0, 0, 0, 9}};
  ASSERT_NE(outlet.mac(), mac);
  rig.kernel.events = {{Event::Kind::changed, 0, nullptr, mac, 1300}};
  rig.turn();
  EXPECT_EQ(outlet.mac(), mac);
  EXPECT_EQ(outlet.mtu(), 1300U);
  ASSERT_EQ(rig.handler.events.size(), 1U);
  EXPECT_EQ(rig.handler.events[0].kind, Event::Kind::changed);
}

TEST(PollerDeathTest, SendingAPacketTwiceIsCaught) {
  Rig<OnPacket> rig([](Packet packet, Core& core) {
    core.reply(std::move(packet));
    (void)packet.bytes();
  });
  ASSERT_TRUE(rig.arrive(1));
  EXPECT_DEATH(rig.turn(),
               kCheckFrames ? "used after it moved away" : "pool_ != nullptr");
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
TEST(PollerDeathTest, TouchingTheBytesOfAPacketThatWasSentIsCaught) {
  Rig<OnPacket> rig([](Packet packet, Core& core) {
    const auto bytes = packet.bytes();
    core.reply(std::move(packet));
    bytes[0] = std::byte{1};
  });
  ASSERT_TRUE(rig.arrive(1));
  EXPECT_DEATH(rig.turn(), "use-after-poison");
}
#endif
#endif

}  // namespace
}  // namespace sluice::test
