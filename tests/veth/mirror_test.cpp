// SPDX-License-Identifier: Apache-2.0
// --mirror FILE: what mirror rules copy ends in a capture.
#include <sluice/testing/pcap.hpp>

#include "rules_test.hpp"

namespace sluice::testing {
namespace {

class MirrorTest : public RulesTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1}; }
  static Bytes to_port(std::uint16_t port, std::size_t payload) {
    return Frame()
        .eth(kMacB, kMacA)
        .ipv4("10.203.0.2", "10.203.0.1")
        .udp(4000, port)
        .payload(payload);
  }
};

TEST_F(MirrorTest, MirroredPacketsEndInACaptureAndGoOn) {
  const std::string rules =
      file("rules", "mirror dst port 9\nsteer udp and dst port 9\n");
  const std::string capture = file("mirrored.pcap", "");
  Running running = run({"--rules", rules, "--mirror", capture});
  ASSERT_TRUE(running.up());
  const std::uint64_t begin = static_cast<std::uint64_t>(
      std::chrono::system_clock::now().time_since_epoch() / 1ns);
  Wire b = wire(Side::b);
  for (std::size_t i = 0; i < 50; ++i) {
    ASSERT_TRUE(b.send(to_port(9, 10 + i)));
    ASSERT_TRUE(b.send(to_port(8, 10)));
  }
  ASSERT_TRUE(b.send(to_port(9, 1000)));
  const auto status_says_51 = [&] {
    const Ended status =
        ended(sluice({"status", "--json", "-i", mine().interface}));
    return sum(status.json(), "rx_packets") == 51;
  };
  const auto deadline = monotonic_now() + 20s;
  while (!status_says_51() && monotonic_now() < deadline) {
    std::this_thread::sleep_for(10ms);
  }
  const Json ended = running.stop();
  EXPECT_EQ(sum(ended, "rx_packets"), 51u) << "mirroring is no verdict";

  auto reader = PcapReader::open(capture);
  ASSERT_TRUE(reader) << reader.error().message();
  for (std::size_t i = 0; i < 50; ++i) {
    const Captured* packet = (*reader)->next();
    ASSERT_NE(packet, nullptr) << i;
    EXPECT_EQ(Bytes(packet->bytes.begin(), packet->bytes.end()),
              to_port(9, 10 + i));
    EXPECT_GT(packet->time.ns + 1'000'000'000, begin);
  }
  const Captured* last = (*reader)->next();
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(last->bytes.size(), std::size_t{SLUICE_MIRROR_BYTES});
  EXPECT_EQ(last->size, to_port(9, 1000).size());
  EXPECT_EQ((*reader)->next(), nullptr);
}

TEST_F(MirrorTest, AFileThatCannotBeMadeIsNamed) {
  const Ended refused =
      ended(sluice_run({"--steer", "udp", "--mirror", "/nowhere/m.pcap"}));
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("/nowhere/m.pcap"), std::string::npos)
      << refused.err;
}

}  // namespace
}  // namespace sluice::testing
