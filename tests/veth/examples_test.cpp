// SPDX-License-Identifier: Apache-2.0
// The programs of examples/, run as their first lines say.
#include <unistd.h>

#include <fstream>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

// Those that the tests below send; the IPv6 stack has its own now and then.
bool is_ours(std::span<const std::byte> packet) {
  return packet.size() > 30 && packet[12] == std::byte{0x08} &&
         packet[13] == std::byte{0} && packet[26] == std::byte{192} &&
         packet[27] == std::byte{0};
}

Frame ip(const Mac& from = kMacB, const Mac& to = kMacA,
         Ipv4Fields fields = {}) {
  return Frame().eth(from, to).ipv4("192.0.2.1", "192.0.2.2", fields);
}
Bytes of_flow(std::uint16_t flow, std::size_t size, const Mac& from = kMacB,
              const Mac& to = kMacA) {
  return ip(from, to).udp(flow, 9).payload(size).padded();
}

class ExamplesTest : public VethTest {
 protected:
  Process example(const std::string& name, const Words& flags) {
    Words words = {EXAMPLES_FOLDER "/" + name};
    words.insert(words.end(), flags.begin(), flags.end());
    return spawn(Side::a, words);
  }
  Running run(const std::string& name, Words flags) {
    flags.insert(flags.end(), {"--json", "--interval", "0"});
    return Running(example(name, flags));
  }
  /// What `sluice status` says of a handler's counter.
  std::uint64_t counter_now(const std::string& name) {
    Process status = sluice({"status", "--json", "-i", mine().interface});
    EXPECT_EQ(status.wait(5s), 0) << status.err();
    const Json json = line_of(status.out(), "status");
    return json.is_null() ? 0 : json.at("handler").value(name, 0ull);
  }
  void wait_for_count(const std::string& name, std::uint64_t count) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (counter_now(name) < count &&
           std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(20ms);
    }
  }
};

TEST_F(ExamplesTest, MacswapSendsBackWithTheAddressesSwapped) {
  Running run =
      this->run("macswap", {"-i", mine().interface, "--steer",
                            "ip and udp and dst port 9", "--queues", "all"});
  ASSERT_TRUE(run.up());
  Wire b = wire(Side::b);
  for (std::size_t size = 0; size <= 1472; size += 46) {
    ASSERT_TRUE(b.send(of_flow(4000, size)));
    const auto answer = b.receive(5s, is_ours);
    ASSERT_TRUE(answer) << size;
    EXPECT_EQ(*answer, of_flow(4000, size, kMacA, kMacB)) << size;
  }
  EXPECT_TRUE(ping(Side::b, mine().ipv4)) << "not steered, yet it is lost";
  const Json ended = run.stop();
  EXPECT_EQ(sum(ended, "rx_packets"), 33u);
  EXPECT_EQ(sum(ended, "tx_packets"), 33u);
}

TEST_F(ExamplesTest, UdpCounterCountsEveryDatagramOnItsCore) {
  Running run = this->run(
      "udp_counter", {"-i", mine().interface, "--steer", "udp and dst port 9"});
  ASSERT_TRUE(run.up());
  const auto lost = lab().lost();  // As links came up: IPv6 reports.
  std::uint64_t sent = 0;
  for (const std::string& to : {mine().ipv4, mine().ipv6}) {
    Process blast =
        spawn(Side::b, {TRAFFIC_PROGRAM, "blast", "--json", "--to", to,
                        "--port", "9", "--rate", "20000", "--duration", "0.6",
                        "--flows", "64", "--size", "100"});
    ASSERT_EQ(blast.wait(20s), 0) << blast.err();
    sent += Json::parse(blast.out()).at("sent").get<std::uint64_t>();
  }
  ASSERT_GT(sent, 10'000u);
  wait_for_count("datagrams", sent);
  EXPECT_EQ(lab().lost(), lost);
  const Json ended = run.stop();
  for (const Json& queue : ended.at("queues")) {
    EXPECT_GT(queue.at("rx_packets"), sent / 8) << "one core has it all";
  }
  const Json& report = ended.at("report");
  EXPECT_EQ(ended.at("handler").at("datagrams"), sent);
  EXPECT_EQ(report.at("flows"), 128u);
  EXPECT_EQ(report.at("payload_bytes"), 100 * sent);
  EXPECT_EQ(report.at("datagrams_of_other_flows"), 0u);
  EXPECT_EQ(sum(ended, "tx_packets"), 0u);
}

TEST_F(ExamplesTest, UdpCounterKnowsWhatIsNoDatagramAndWhenItIsFull) {
  const std::string list =
      ::testing::TempDir() + "sluice-ip-" + std::to_string(getpid());
  std::ofstream(list) << "fragments match\nsteer ip\n";
  Running run =
      this->run("udp_counter", {"-i", mine().interface, "--rules", list,
                                "--force", "--queues", "all", "--flows", "4"});
  ASSERT_TRUE(run.up());
  unlink(list.c_str());
  Wire b = wire(Side::b);
  for (int round = 0; round < 5; ++round) {
    for (std::uint16_t flow = 1; flow <= 40; ++flow) {
      ASSERT_TRUE(b.send(of_flow(flow, flow)));
    }
    const Bytes stream = ip().tcp(1, 53).padded();
    const Bytes part =
        ip(kMacB, kMacA, {.more_fragments = true}).udp(1, 9).payload(32);
    ASSERT_TRUE(b.send(stream));
    ASSERT_TRUE(b.send(part));
  }
  wait_for_count("datagrams", 200);
  const Json ended = run.stop();
  const Json& report = ended.at("report");
  const std::uint64_t cores = ended.at("cores").size();
  EXPECT_EQ(sum(ended, "rx_packets"), 210u);
  EXPECT_EQ(ended.at("handler").at("datagrams"), 200u);
  EXPECT_EQ(report.at("payload_bytes"), 5u * 40u * 41u / 2u);
  EXPECT_EQ(report.at("flows"), 4 * cores);
  EXPECT_EQ(report.at("datagrams_of_other_flows"), 5 * (40 - 4 * cores));
}

TEST_F(ExamplesTest, UdpCounterPeaksInASecond) {
  Running run = this->run("udp_counter", {"-i", mine().interface, "--steer",
                                          "ip and udp and dst port 9"});
  ASSERT_TRUE(run.up());
  Wire b = wire(Side::b);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(b.send(of_flow(1, 20)));
  }
  std::this_thread::sleep_for(1200ms);  // Its timer has run since.
  const Json peak = run.stop().at("report").at("peak_of_a_core_per_second");
  EXPECT_GT(peak, 0u);
  EXPECT_LE(peak, 50u);
}

TEST_F(ExamplesTest, UdpCounterRefusesATableThatIsTooLarge) {
  Process process =
      example("udp_counter", {"-i", mine().interface, "--steer",
                              "udp and dst port 9", "--flows", "99999999"});
  EXPECT_EQ(process.wait(10s), 2);
  EXPECT_NE(process.err().find("--flows"), std::string::npos) << process.err();
  expect_nothing_left();
}

class ForwardExampleTest : public ExamplesTest {
 protected:
  VethOptions wanted() const override { return {.pairs = 2}; }
};

TEST_F(ForwardExampleTest, PassesWhatComesInOnEitherSideToTheOther) {
  Running run = this->run("forward", {"--port", "left=" + mine(0).interface,
                                      "--port", "right=" + mine(1).interface,
                                      "--steer", "ip and dst host 192.0.2.2"});
  ASSERT_TRUE(run.up());
  Wire left = wire(Side::b, 0);
  Wire right = wire(Side::b, 1);
  for (std::uint16_t i = 0; i < 1000; ++i) {
    Wire& from = i % 3 == 0 ? left : right;
    Wire& to = i % 3 == 0 ? right : left;
    const Bytes packet = of_flow(i, i);
    ASSERT_TRUE(from.send(packet));
    const auto got = to.receive(5s, is_ours);
    ASSERT_TRUE(got) << i;
    ASSERT_EQ(*got, packet) << i;
  }
  const Json ended = run.stop();
  EXPECT_EQ(sum(ended, "rx_packets"), 1000u);
  EXPECT_EQ(sum(ended, "tx_packets"), 1000u);
}

TEST_F(ForwardExampleTest, NeedsBothOfItsPorts) {
  Process process = example("forward", {"--port", "left=" + mine(0).interface,
                                        "--steer", "udp and dst port 9"});
  EXPECT_EQ(process.wait(10s), 1);
  EXPECT_NE(process.err().find("--port right="), std::string::npos)
      << process.err();
  expect_nothing_left();
}

}  // namespace
}  // namespace sluice::testing
