// SPDX-License-Identifier: Apache-2.0
// The metadata that the XDP program puts in front of what it steers.
#include <cstring>
#include <sluice/clock.hpp>
#include <sluice/metadata.hpp>
#include <string>
#include <vector>

#include "program_run.hpp"
#include "program_test.hpp"

namespace {

using sluice::rule_id;
using sluice::testing::after;
using sluice::testing::Bytes;
using sluice::testing::udp_to;

class MetadataTest : public sluice::testing::ProgramTest {
 protected:
  // What is dropped for want of a socket still has its metadata.
  sluice_metadata told(std::uint16_t port) {
    const Bytes packet = udp_to(port);
    const Bytes out = after(program(), packet);
    sluice_metadata metadata{};
    EXPECT_EQ(out.size(), packet.size() + sizeof metadata);
    if (out.size() < sizeof metadata) return metadata;
    std::memcpy(&metadata, out.data(), sizeof metadata);
    EXPECT_EQ(Bytes(out.begin() + sizeof metadata, out.end()), packet);
    EXPECT_EQ(metadata.magic, SLUICE_METADATA_MAGIC);
    return metadata;
  }
};

TEST_F(MetadataTest, NamesRuleListAndTime) {
  use("drop tcp\nsteer @dns udp dst port 53 else drop\n"
      "steer udp dst port 7 else drop\n");
  const sluice_metadata dns = told(53);
  EXPECT_EQ(dns.label, rule_id("dns").value);
  EXPECT_EQ(dns.rule, 1u);
  EXPECT_EQ(dns.version, program().version());
  EXPECT_EQ(dns.clock, SLUICE_CLOCK_NONE);
  EXPECT_EQ(dns.time, 0u);
  const sluice_metadata echo = told(7);
  EXPECT_EQ(echo.label, 0u);
  EXPECT_EQ(echo.rule, 2u);
  program().set_rx_hints({.time = true, .hash = true, .vlan_tag = true});
  const auto timed = told(53);
  EXPECT_EQ(timed.clock, SLUICE_CLOCK_MONOTONIC);
  EXPECT_EQ(timed.hints, 0) << "of a program for any interface";
  EXPECT_LE(timed.time, sluice::monotonic_now().ns);
  EXPECT_GT(told(53).time, timed.time);
  use("steer @other udp else drop");
  EXPECT_EQ(told(53).label, rule_id("other").value);
  EXPECT_EQ(told(53).version, dns.version + 1);
  EXPECT_EQ(told(53).clock, SLUICE_CLOCK_MONOTONIC) << "the next list, too";
  program().set_rx_hints({});
  EXPECT_EQ(told(53).clock, SLUICE_CLOCK_NONE);
}

TEST_F(MetadataTest, IsNotLeftToTheStack) {
  use("steer @all udp");
  EXPECT_EQ(after(program(), udp_to(7)), udp_to(7));
  use("reflect @all udp dst port 8");
  EXPECT_EQ(after(program(), udp_to(8)).size(), udp_to(8).size());
  EXPECT_EQ(after(program(), udp_to(7)), udp_to(7));
}

// Labels behind the lines in direct reach, and in every place of a line.
TEST_F(MetadataTest, EveryRuleOfALongListIsNamed) {
  std::string text;
  const auto label = [](int port) { return "r" + std::to_string(port); };
  for (int port = 1; port <= 20'000; ++port) {
    text += "steer @" + label(port) + " udp and dst port " +
            std::to_string(port) + " else drop\n";
  }
  use(text);
  for (const int port : {1, 2, 16, 17, 8191, 8192, 8193, 19'999, 20'000}) {
    const auto metadata = told(static_cast<std::uint16_t>(port));
    EXPECT_EQ(metadata.label, rule_id(label(port)).value) << port;
    EXPECT_EQ(metadata.rule, static_cast<__u32>(port - 1));
  }
  use("default steer");
  const Bytes out = after(program(), udp_to(7));
  EXPECT_EQ(out, udp_to(7)) << "the default has no else";
}

}  // namespace
