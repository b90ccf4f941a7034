// SPDX-License-Identifier: Apache-2.0
// Packets of captures tell their rule and their time, as those of interfaces.
#include <gtest/gtest.h>

#include <sluice/testing/replay.hpp>
#include <utility>
#include <vector>

namespace sluice::testing {
namespace {

struct Told {
  RuleId rule;
  std::uint64_t version;
  std::optional<Timestamp> time;
  std::uint64_t now;
};
std::vector<Told> told;

struct Note {
  void operator()(Packet packet, Core& core) noexcept {
    told.push_back({packet.rule(), packet.list_version(), packet.timestamp(),
                    core.now().ns});
  }
};

TEST(PcapMetadata, NamesRuleAndTimeOfTheFile) {
  told.clear();
  PcapOptions options;
  options.rules = *Rules::parse(
      "drop tcp\nsteer @seven udp dst port 7\nsteer udp dst port 8\n");
  std::vector<Arrival> packets;
  for (const std::uint16_t port : std::vector<std::uint16_t>{7, 8, 7}) {
    packets.emplace_back(
        Frame().eth().ipv4("192.0.2.1", "192.0.2.2").udp(1, port),
        Duration(1000 * (packets.size() + 1)));
  }
  ASSERT_TRUE(replay<Note>(std::move(packets), {}, options));
  ASSERT_EQ(told.size(), 3U);
  for (const Told& each : told) {
    EXPECT_EQ(each.version, 1U);
    EXPECT_EQ(each.time, (Timestamp{each.now, Timestamp::Clock::file}));
  }
  EXPECT_EQ(told[0].rule, rule_id("seven"));
  EXPECT_EQ(told[1].rule, RuleId{});
  EXPECT_EQ(told[2].rule, rule_id("seven"));
}

}  // namespace
}  // namespace sluice::testing
