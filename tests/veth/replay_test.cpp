// SPDX-License-Identifier: Apache-2.0
// What a handler makes of a capture is what it makes of the same packets on a
// veth pair, packet for packet.
#include <filesystem>
#include <fstream>
#include <random>
#include <sluice/testing/pcap.hpp>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

constexpr std::size_t kPackets = 4000;

// Of all sizes and kinds: what reflect answers, what it does not know, what the
// rules pass, with checksums right, wrong and absent.
Bytes some_packet(std::mt19937_64& random, std::uint16_t number) {
  const std::size_t size = random() % 1400;
  const auto text = [&](Frame frame) { return frame.payload(size).padded(); };
  const Frame ip = Frame().eth(kMacB, kMacA).ipv4("192.0.2.1", "192.0.2.2");
  const Frame ip6 =
      Frame().eth(kMacB, kMacA).ipv6("2001:db8::1", "2001:db8::2");
  switch (random() % 8) {
    case 0:
      return text(Frame(ip6).udp(number, 9));
    case 1:
      return text(Frame(ip).tcp(number, 80));
    case 2:
      return text(Frame(ip).icmp(8, 0, number));
    case 3:
      return text(Frame(ip).protocol(99));
    case 4:
      return text(Frame(ip6).tcp(number, 80));
    case 5: {
      Bytes packet = text(Frame(ip).udp(number, 9));
      packet[40] ^= std::byte{1};  // A wrong sum stays wrong.
      return packet;
    }
    case 6:
      return text(Frame().eth(kMacB, kMacA).arp(1, "192.0.2.1", "192.0.2.2"));
    default:
      return text(Frame(ip).udp(number, 9));
  }
}

// What reflect sends to these: none of the IPv6 stack's own.
bool is_reflected(std::span<const std::byte> packet) {
  return packet.size() >= 14 && packet[0] == std::byte{2} &&
         packet[5] == std::byte{kMacB[5]} && packet[11] == std::byte{kMacA[5]};
}

class ReplayTest : public VethTest {
 protected:
  // Packets of different queues have no order.
  VethOptions wanted() const override { return {.queues = 1}; }
  void SetUp() override {
    VethTest::SetUp();
    std::string pattern =
        std::filesystem::temp_directory_path() / "sluice-replay-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  std::string path(const std::string& name) { return folder_ / name; }

  std::filesystem::path folder_;
};

TEST_F(ReplayTest, AHandlerSendsTheSameOverACaptureAsOnAVethPair) {
  std::mt19937_64 random(3);
  std::vector<Bytes> packets;
  auto capture = PcapWriter::open(path("in.pcap"));
  ASSERT_TRUE(capture) << capture.error().message();
  for (std::size_t i = 0; i < kPackets; ++i) {
    packets.push_back(some_packet(random, static_cast<std::uint16_t>(i)));
    capture->write(Time{i * 1000}, packets.back());
  }
  ASSERT_TRUE(capture->close());

  const Words rules = {"--handler", "reflect", "--steer",
                       "ip",        "--steer", "ip6 and tcp"};
  Words words = {SLUICE_PROGRAM,
                 "run",
                 "--json",
                 "--interval",
                 "0",
                 "--port",
                 "p=pcap:" + path("in.pcap") + "," + path("out.pcap")};
  words.insert(words.end(), rules.begin(), rules.end());
  Process replayed = spawn(Side::a, words);
  ASSERT_EQ(replayed.wait(30s), 0) << replayed.err();
  const Json over_capture = line_of(replayed.out(), "ended");
  expect_balanced(over_capture);

  Words flags = rules;
  flags.insert(flags.end(), {"-i", mine().interface});
  Running live = run(flags);
  ASSERT_TRUE(live.up());
  Wire b = wire(Side::b);
  auto out = PcapReader::open(path("out.pcap"));
  ASSERT_TRUE(out) << out.error().message();
  std::size_t same = 0;
  std::size_t sent = 0;
  // A few at a time, so that no ring on the way is too short: an answer has the
  // time of its question.
  while (const Captured* expected = (*out)->next()) {
    const std::size_t asked = expected->time.ns / 1000;
    for (; sent < kPackets && sent < asked + 32; ++sent) {
      ASSERT_TRUE(b.send(packets[sent]));
    }
    const auto got = b.receive(10s, is_reflected);
    ASSERT_TRUE(got) << "after " << same << " of them";
    ASSERT_TRUE(std::ranges::equal(*got, expected->bytes)) << same;
    ++same;
  }
  for (; sent < kPackets; ++sent) ASSERT_TRUE(b.send(packets[sent]));
  EXPECT_FALSE(b.receive(200ms, is_reflected)) << "more than over the capture";
  EXPECT_GT(same, kPackets / 2);
  EXPECT_LT(same, kPackets);

  const Json ended = live.stop();
  EXPECT_EQ(sum(ended, "rx_packets"), sum(over_capture, "rx_packets"));
  EXPECT_EQ(sum(ended, "tx_packets"), same);
  EXPECT_EQ(ended.at("handler"), over_capture.at("handler"));
}

}  // namespace
}  // namespace sluice::testing
