// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sluice/handler.hpp>
#include <sluice/rules.hpp>
#include <sluice/services/echo.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "handler_bench.hpp"
#include "samples.hpp"

namespace sluice::services {
namespace {

using namespace testing;

static_assert(Handler<Echo>);

constexpr Mac kOurs = {2, 0, 0, 0, 0, 1};  // Of each port of a HandCore.

const Echo::Config kHost = {.addresses = {kV4B, kV6B}, .ports = {}, .mac = {}};
constexpr auto kGroup = "ff02::1:ff00:2";  // Where kV6B is asked for.
constexpr Mac kGroupMac = {0x33, 0x33, 0xff, 0, 0, 2};

TEST(EchoTest, ArpIsAnsweredToTheAsker) {
  Bench<Echo> bench(kHost);
  EXPECT_EQ(bench.answer(Frame().eth(kMacA, kMacAll).arp(1, kV4A, kV4B)),
            Frame().eth(kOurs, kMacA).arp(2, kV4B, kV4A, kOurs, kMacA).bytes());
  EXPECT_EQ(bench.count("answered_arp"), 1u);
}

TEST(EchoTest, ArpForOthersAndRepliesAreNot) {
  Bench<Echo> bench(kHost);
  EXPECT_FALSE(bench.answer(Frame().eth().arp(1, kV4A, "192.0.2.9")));
  EXPECT_FALSE(bench.answer(Frame().eth().arp(2, kV4A, kV4B)));
  EXPECT_FALSE(bench.answer(Frame().eth().arp(1, kV4B, kV4B)));  // Ours.
  EXPECT_EQ(bench.count("dropped_not_ours"), 3u);
}

Frame advertised(std::string_view to, const Mac& to_mac) {
  return Frame().eth(kOurs, to_mac).ipv6(kV6B, to, 255);
}

TEST(EchoTest, NeighbourSolicitationIsAnswered) {
  Bench<Echo> bench(kHost);
  auto answer = bench.answer(Frame()
                                 .eth(kMacA, kGroupMac)
                                 .ipv6(kV6A, kGroup, 255)
                                 .neighbour_solicitation(kV6B));
  ASSERT_TRUE(answer);
  const Layers layers = parse(*answer);
  EXPECT_EQ(
      *answer,
      advertised(kV6A, kMacA).neighbour_advertisement(kV6B, kOurs).bytes());
  EXPECT_EQ(layers.checksum_state(), ChecksumState::good);
  EXPECT_EQ(bench.count("answered_neighbour"), 1u);
}

// RFC 4861, 4.3: an asker that knows our MAC may leave the option out.
TEST(EchoTest, UnicastSolicitationWithoutOptionGetsOne) {
  Bench<Echo> bench(kHost);
  const auto with = Frame()
                        .eth(kMacA, kOurs)
                        .ipv6(kV6A, kV6B, 255)
                        .neighbour_solicitation(kV6B);
  test::HandCore hand;
  auto packet = hand.core->make_packet(86);
  ASSERT_TRUE(packet);
  const Bytes whole = with.bytes();
  std::copy(whole.begin(), whole.end(), packet->bytes().begin());
  ASSERT_TRUE(resize_payload(*packet, 16));
  const Bytes without(packet->bytes().begin(), packet->bytes().end());
  EXPECT_EQ(
      bench.answer(without),
      advertised(kV6A, kMacA).neighbour_advertisement(kV6B, kOurs).bytes());
}

// RFC 4861, 7.2.4: an asker without address is told by way of all nodes.
TEST(EchoTest, DuplicateAddressDetectionIsAnsweredToAllNodes) {
  Bench<Echo> bench(kHost);
  auto answer = bench.answer(Frame()
                                 .eth(kMacA, kGroupMac)
                                 .ipv6("::", kGroup, 255)
                                 .neighbour_solicitation(kV6B));
  ASSERT_TRUE(answer);
  const Layers layers = parse(*answer);
  EXPECT_EQ(layers.ipv6()->destination.text(), "ff02::1");
  EXPECT_EQ(layers.ethernet()->destination.text(), "33:33:00:00:00:01");
  const auto* message = layers.message<NeighbourAdvertisement>();
  EXPECT_EQ(message->flags, NeighbourAdvertisement::kOverride);
  EXPECT_EQ(layers.checksum_state(), ChecksumState::good);
}

TEST(EchoTest, InvalidSolicitationsAreNotAnswered) {
  Bench<Echo> bench(kHost);
  const auto ask = [](const char* from, const char* to, std::uint8_t hops,
                      const char* target) {
    return Frame()
        .eth(kMacA, kGroupMac)
        .ipv6(from, to, hops)
        .neighbour_solicitation(target)
        .bytes();
  };
  EXPECT_FALSE(bench.answer(ask(kV6A, kGroup, 254, kV6B)));  // Routed.
  EXPECT_FALSE(bench.answer(ask(kV6A, kGroup, 255, "2001:db8::1:2")));
  EXPECT_FALSE(bench.answer(ask(kV6A, "ff02::1", 255, kV6B)));
  EXPECT_FALSE(bench.answer(ask("::", kV6B, 255, kV6B)));
  Bytes empty_option = ask(kV6A, kGroup, 255, kV6B);
  empty_option.at(14 + 40 + 24 + 1) = std::byte{0};
  parse(empty_option).complete_checksums();
  EXPECT_FALSE(bench.answer(empty_option));
  EXPECT_EQ(bench.count("dropped_not_ours"), 5u);
  Bytes bad_sum = ask(kV6A, kGroup, 255, kV6B);
  bad_sum.back() ^= std::byte{1};
  EXPECT_FALSE(bench.answer(bad_sum));
  EXPECT_EQ(bench.count("dropped_bad_checksum"), 1u);
}

TEST(EchoTest, PingsAndUdpAreEchoed) {
  Bench<Echo> bench(kHost);
  const auto in4 = [] { return Frame().eth(kMacA, kOurs).ipv4(kV4A, kV4B); };
  const auto in6 = [] { return Frame().eth(kMacA, kOurs).ipv6(kV6A, kV6B); };
  const auto out4 = [] { return Frame().eth(kOurs, kMacA).ipv4(kV4B, kV4A); };
  const auto out6 = [] { return Frame().eth(kOurs, kMacA).ipv6(kV6B, kV6A); };
  EXPECT_EQ(bench.answer(in4().icmp(8, 0, 3, 4).payload("x")),
            out4().icmp(0, 0, 3, 4).payload("x").bytes());
  EXPECT_EQ(bench.answer(in6().icmp6(128, 0, 3, 4).payload("x")),
            out6().icmp6(129, 0, 3, 4).payload("x").bytes());
  EXPECT_EQ(bench.answer(in4().udp(4000, 7).payload("hello")),
            out4().udp(7, 4000).payload("hello").bytes());
  EXPECT_EQ(bench.answer(in6().udp(4000, 7).payload("hello")),
            out6().udp(7, 4000).payload("hello").bytes());
  EXPECT_EQ(bench.count("answered_ping"), 2u);
  EXPECT_EQ(bench.count("answered_udp"), 2u);
}

TEST(EchoTest, AnswersStartTheirWayWithHopsOfTheirOwn) {
  Bench<Echo> bench(kHost);
  for (const int ttl : {1, 2, 64, 255}) {
    const auto hops = static_cast<std::uint8_t>(ttl);
    EXPECT_EQ(bench.answer(Frame()
                               .eth(kMacA, kOurs)
                               .ipv4(kV4A, kV4B, {.ttl = hops})
                               .udp(1, 7)),
              Frame().eth(kOurs, kMacA).ipv4(kV4B, kV4A).udp(7, 1).bytes());
    EXPECT_EQ(bench.answer(
                  Frame().eth(kMacA, kOurs).ipv6(kV6A, kV6B, hops).udp(1, 7)),
              Frame().eth(kOurs, kMacA).ipv6(kV6B, kV6A).udp(7, 1).bytes());
  }
}

TEST(EchoTest, SumsAreCheckedAndUnfinishedOnesAccepted) {
  Bench<Echo> bench(kHost);
  Bytes bytes =
      Frame().eth(kMacA, kOurs).ipv4(kV4A, kV4B).udp(1, 7).payload("hello");
  Bytes bad = bytes;
  bad.back() ^= std::byte{1};
  EXPECT_FALSE(bench.answer(bad));
  EXPECT_EQ(bench.count("dropped_bad_checksum"), 1u);

  unfinish(parse(bytes));
  auto completed = bench.answer(bytes);
  ASSERT_TRUE(completed);
  EXPECT_EQ(parse(*completed).checksum_state(), ChecksumState::good);

  parse(bytes).udp()->checksum = 0;
  auto without = bench.answer(bytes);
  ASSERT_TRUE(without);
  EXPECT_EQ(parse(*without).checksum_state(), ChecksumState::absent);
}

TEST(EchoTest, WhatIsNotForUsIsNotAnswered) {
  Bench<Echo> bench(kHost);
  const auto to_us = [](const char* from, const char* to) {
    return Frame().eth(kMacA, kOurs).ipv4(from, to).udp(1, 7).bytes();
  };
  EXPECT_FALSE(bench.answer(to_us(kV4A, "198.51.100.3")));
  EXPECT_FALSE(bench.answer(to_us("0.0.0.0", kV4B)));
  EXPECT_FALSE(bench.answer(to_us("224.0.0.1", kV4B)));
  EXPECT_FALSE(bench.answer(to_us(kV4B, kV4B)));
  for (const Mac& mac : {kMacAll, kMacB}) {
    EXPECT_FALSE(
        bench.answer(Frame().eth(kMacA, mac).ipv4(kV4A, kV4B).udp(1, 7)));
  }
  EXPECT_EQ(bench.count("dropped_not_ours"), 6u);
  EXPECT_FALSE(
      bench.answer(Frame().eth(kMacA, kOurs).ipv4(kV4A, kV4B).tcp(1, 7)));
  EXPECT_EQ(bench.count("dropped_unknown"), 1u);
}

TEST(EchoTest, PortsNamedAreTheOnlyOnesThatEcho) {
  Bench<Echo> bench({.addresses = {kV4B}, .ports = {7, 9}, .mac = {}});
  const auto in = Frame().eth(kMacA, kOurs).ipv4(kV4A, kV4B);
  EXPECT_TRUE(bench.answer(Frame(in).udp(1, 7)));
  EXPECT_TRUE(bench.answer(Frame(in).udp(1, 9)));
  EXPECT_FALSE(bench.answer(Frame(in).udp(1, 8)));
}

TEST(EchoTest, MacOfTheConfigIsAnsweredWith) {
  Bench<Echo> bench(
      {.addresses = {kV4B}, .ports = {}, .mac = "02:00:00:00:00:0b"});
  EXPECT_EQ(bench.answer(Frame().eth(kMacA, kMacAll).arp(1, kV4A, kV4B)),
            Frame().eth(kMacB, kMacA).arp(2, kV4B, kV4A, kMacB, kMacA).bytes());
}

TEST(EchoTest, RulesNameEverythingThatTheHostNeeds) {
  EXPECT_EQ(Echo::rules({.addresses = {"192.0.2.1", "2001:db8::12:3456:789a",
                                       "2001:0db8::3456:789a"},
                         .ports = {},
                         .mac = {}}),
            (std::vector<std::string>{
                "arp and dst host 192.0.2.1",
                "icmp6 and dst host ff02::1:ff56:789a",
                "ip and dst host 192.0.2.1",
                "ip6 and dst host 2001:db8::12:3456:789a",
                "ip6 and dst host 2001:db8::3456:789a",
            }));
}

TEST(EchoTest, RulesAreOfTheRuleLanguage) {
  for (const std::string& rule : Echo::rules(kHost)) {
    EXPECT_TRUE(Rules::parse("steer " + rule)) << rule;
  }
  // What is no address is not lost, but refused: no rule would steer all.
  const auto wrong =
      Echo::rules({.addresses = {"1.2.3"}, .ports = {}, .mac = {}});
  ASSERT_FALSE(wrong.empty());
  for (const std::string& rule : wrong) {
    EXPECT_FALSE(Rules::parse("steer " + rule)) << rule;
  }
}

TEST(EchoTest, WrongConfigIsRefusedWithTheRemedy) {
  EXPECT_EQ(Bench<Echo>().failure()->message(),
            "echo without an address: Invalid argument. Name at least one: "
            "--address 192.0.2.1.");
  EXPECT_EQ(Bench<Echo>({.addresses = {"1.2.3"}, .ports = {}, .mac = {}})
                .failure()
                ->message(),
            "--address \"1.2.3\": Invalid argument. Write it like 192.0.2.1 or "
            "2001:db8::1");
  EXPECT_TRUE(
      Bench<Echo>({.addresses = {kV4B}, .ports = {}, .mac = "x"}).failure());
  EXPECT_FALSE(Bench<Echo>(kHost).failure());
}

TEST(EchoTest, TruncatedSamplesAtEveryLengthNeverGoOut) {
  Bench<Echo> bench(kHost);
  int answered = 0;
  for (const Bytes& sample : samples()) {
    Bytes to_us = sample;
    parse(to_us).ethernet()->destination = {kOurs};
    for (std::size_t size = 1; size < to_us.size(); ++size) {
      const auto part = to_us.begin() + static_cast<std::ptrdiff_t>(size);
      ASSERT_FALSE(bench.answer(Bytes(to_us.begin(), part))) << size;
    }
    if (bench.answer(to_us)) ++answered;
  }
  EXPECT_GT(answered, 5);  // Whole, they would have gone out.
}

}  // namespace
}  // namespace sluice::services
