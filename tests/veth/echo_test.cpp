// SPDX-License-Identifier: Apache-2.0
// Echo, reflect and forward over real sockets: what is theirs is answered,
// byte by byte; everything else goes through the Linux stack.
#include <sluice/cpu.hpp>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

constexpr auto kEcho4 = "10.203.0.9";
constexpr auto kEcho6 = "fd00:203:0::9";

class ServicesTest : public VethTest {
 protected:
  Words echo() {
    return {"--handler", "echo", "--address", kEcho4, "--address", kEcho6};
  }
  // Kernels resolve the echo host themselves: ARP and ND are under test, too.
  void expect_stack_works() {
    EXPECT_TRUE(ping(Side::b, mine().ipv4)) << "IPv4 of the Linux stack";
    EXPECT_TRUE(ping(Side::b, mine().ipv6)) << "IPv6 of the Linux stack";
    Process serve = spawn(Side::a, {TRAFFIC_PROGRAM, "tcp-serve", "--bind",
                                    mine().ipv4, "--port", "9000"});
    Process send;
    // It may not listen yet: the first connections are refused.
    std::optional<int> code;
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    do {
      send = spawn(Side::b, {TRAFFIC_PROGRAM, "tcp-send", "--to", mine().ipv4,
                             "--port", "9000", "--bytes", "5M"});
      code = send.wait(20s);
    } while (code != 0 && std::chrono::steady_clock::now() < deadline);
    EXPECT_EQ(code, 0) << send.out() << send.err();
    EXPECT_EQ(serve.wait(10s), 0) << serve.out() << serve.err();
  }
};

TEST_F(ServicesTest, EchoIsAHostBesideTheLinuxStack) {
  Running run = this->run(echo());
  ASSERT_TRUE(run.up());
  const auto lost = lab().lost();  // As links came up: IPv6 reports.
  EXPECT_TRUE(ping(Side::b, kEcho4));
  EXPECT_TRUE(ping(Side::b, kEcho6));
  expect_answered(kEcho4, 7, 10'000, {"--flows", "64", "--window", "32"});
  expect_answered(kEcho6, 7, 10'000, {"--flows", "64", "--window", "32"});
  expect_stack_works();
  EXPECT_EQ(lab().lost(), lost);
  const Json ended = run.stop();
  EXPECT_GE(sum(ended, "rx_packets"), 20'000u);
  EXPECT_EQ(sum(ended, "rx_packets"), sum(ended, "tx_packets"));
  EXPECT_EQ(sum(ended, "lost"), 0u) << ended;
  EXPECT_GT(ended.at("ports").at(0).at("verdicts").at("passed").at("packets"),
            0u);
}

TEST_F(ServicesTest, TwoQueuesOnTwoCoresShareTheFlows) {
  Running run = this->run({"--handler", "reflect", "--steer",
                           "udp and dst port 7", "--queues", "0,1"});
  ASSERT_TRUE(run.up());
  const auto lost = lab().lost();  // As links came up: IPv6 reports.
  const Json& queues = run.started().at("queues");
  ASSERT_EQ(queues.size(), 2u);
  if (allowed_cpus()->size() > 1) {
    EXPECT_NE(queues.at(0).at("cpu"), queues.at(1).at("cpu"));
  }
  expect_answered(mine().ipv4, 7, 40'000, {"--flows", "256"});
  expect_answered(mine().ipv6, 7, 10'000, {"--flows", "256", "--size", "1200"});
  expect_stack_works();
  EXPECT_EQ(lab().lost(), lost);
  const Json ended = run.stop();
  EXPECT_EQ(sum(ended, "lost"), 0u) << ended;
  EXPECT_EQ(sum(ended, "tx_packets"), 50'000u);
  for (const Json& queue : ended.at("queues")) {
    EXPECT_GE(queue.at("tx_packets"), 50'000u / 4) << ended.at("queues");
  }
}

TEST_F(ServicesTest, ReflectSwapsEveryAddressAndKeepsTheRest) {
  Running run = this->run({"--handler", "reflect", "--force"});
  ASSERT_TRUE(run.up());
  Wire b = wire(Side::b);
  for (const std::size_t size : {1u, 18u, 500u, 1472u}) {
    const Bytes question = Frame()
                               .eth(kMacB, kMacA)
                               .ipv4("10.203.0.2", "10.77.0.1")
                               .udp(4000, 53)
                               .payload(size)
                               .padded();
    Bytes answer = Frame()
                       .eth(kMacA, kMacB)
                       .ipv4("10.77.0.1", "10.203.0.2")
                       .udp(53, 4000)
                       .payload(size)
                       .padded();
    ASSERT_TRUE(b.send(question));
    const auto got = b.receive(5s, [](std::span<const std::byte> packet) {
      return packet.size() > 36 && packet[34] == std::byte{0} &&
             packet[35] == std::byte{53};
    });
    ASSERT_TRUE(got) << size;
    EXPECT_EQ(*got, answer) << size;
  }
  run.stop();
}

TEST_F(ServicesTest, MacswapTouchesNothingButTheAddresses) {
  Running run = this->run({"--handler", "macswap", "--force"});
  ASSERT_TRUE(run.up());
  Wire b = wire(Side::b);
  const Bytes question =
      Frame().eth(kMacB, kMacA).ethertype(0x88b5).payload(90);
  const Bytes answer = Frame().eth(kMacA, kMacB).ethertype(0x88b5).payload(90);
  ASSERT_TRUE(b.send(question));
  const auto got = b.receive(5s, [](std::span<const std::byte> packet) {
    return packet[12] == std::byte{0x88} && packet[13] == std::byte{0xb5};
  });
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, answer);
  run.stop();
}

// Two cables from host b to the wire in host a.
class ForwardTest : public VethTest {
 protected:
  VethOptions wanted() const override { return {.queues = 1, .pairs = 2}; }
};

TEST_F(ForwardTest, WireBetweenTwoPortsMovesNoByte) {
  Running run = this->run({"--port", "left=" + mine(0).interface, "--port",
                           "right=" + mine(1).interface, "--handler", "forward",
                           "--force"});
  ASSERT_TRUE(run.up());
  // One memory for both ports of the core, locked once for each.
  const Json& queues = run.started().at("queues");
  ASSERT_EQ(queues.size(), 2u);
  EXPECT_EQ(queues.at(0).at("locked_bytes"),
            2 * queues.at(0).at("frames").get<std::uint64_t>() *
                queues.at(0).at("frame_size").get<std::uint64_t>());
  Wire left = wire(Side::b, 0);
  Wire right = wire(Side::b, 1);
  for (int i = 0; i < 3000; ++i) {
    Wire& from = i % 2 == 0 ? left : right;
    Wire& to = i % 2 == 0 ? right : left;
    const Bytes packet = Frame()
                             .eth()
                             .ipv4("10.1.0.1", "10.2.0.2")
                             .udp(static_cast<std::uint16_t>(i), 9)
                             .payload(static_cast<std::size_t>(i % 1400));
    ASSERT_TRUE(from.send(packet));
    const auto got = to.receive(5s, [](std::span<const std::byte> each) {
      return each.size() > 30 && each[26] == std::byte{10} &&
             each[27] == std::byte{1};
    });
    ASSERT_TRUE(got) << i;
    ASSERT_EQ(*got, packet) << i;
  }
  const Json ended = run.stop();
  EXPECT_EQ(sum(ended, "lost"), 0u);
  EXPECT_GE(sum(ended, "tx_packets"), 3000u);
}

// Packets of several frames.
class LargeForwardTest : public ForwardTest {
 protected:
  VethOptions wanted() const override {
    return {.queues = 1, .mtu = 9000, .pairs = 2};
  }
};

TEST_F(LargeForwardTest, ChainsGoThroughTheWireWhole) {
  Running run = this->run({"--port", "left=" + mine(0).interface, "--port",
                           "right=" + mine(1).interface, "--handler", "forward",
                           "--force"});
  ASSERT_TRUE(run.up());
  EXPECT_EQ(run.started().at("queues").at(0).at("multi_buffer"), true);
  Wire left = wire(Side::b, 0);
  Wire right = wire(Side::b, 1);
  for (std::size_t size = 0; size <= 8972; size += 97) {
    const Bytes packet =
        Frame().eth().ipv4("10.1.0.1", "10.2.0.2").udp(1, 9).payload(size);
    ASSERT_TRUE(left.send(packet));
    const auto got = right.receive(5s, [](std::span<const std::byte> each) {
      return each.size() > 30 && each[26] == std::byte{10} &&
             each[27] == std::byte{1};
    });
    ASSERT_TRUE(got) << size;
    ASSERT_EQ(*got, packet) << size;
  }
  const Json ended = run.stop();
  EXPECT_EQ(sum(ended, "lost"), 0u);
}

}  // namespace
}  // namespace sluice::testing
