// SPDX-License-Identifier: Apache-2.0
// Queues that come and go with an XDP program, and some that can't send:
// virtio-net with more queue pairs than CPUs.
#include "vm_test.hpp"

namespace sluice::testing {
namespace {

class QueuesTest : public VmTest {
 protected:
  QueuesTest() : VmTest({"virtio-mq"}) {}

  void SetUp() override {
    VmTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    before_ = Netdev::read(eth(0))->rx_queues;
  }
  std::uint32_t before_ = 0;
};

// Takes what comes.
struct Take {
  void operator()(Packet, Core&) noexcept {}
};

TEST_F(QueuesTest, ThatAttachingAddsAreServedAndThoseWithoutTxAreTold) {
  EngineRun run(options({eth(0)}));
  ASSERT_TRUE(run.start<Take>());
  const auto attached = Netdev::read(eth(0));
  ASSERT_TRUE(attached);
  ASSERT_GT(attached->rx_queues, before_) << "not the device that was wanted";
  ASSERT_LT(attached->tx_queues, attached->rx_queues);
  ASSERT_EQ(run->queues().size(), attached->rx_queues);
  EXPECT_EQ(run->coverage().front().queues, attached->rx_queues);
  for (const QueueGrant& grant : run->queues()) {
    // Zero-copy on a queue that goes with the program is not safe.
    const bool stays = grant.queue < attached->tx_queues;
    EXPECT_EQ(grant.mode, stays ? Mode::zero_copy : Mode::copy);
    EXPECT_EQ(reason(grant.refused, "zero-copy").empty(), stays);
    const std::string why = reason(grant.refused, "TX");
    EXPECT_EQ(why.empty(), grant.queue < attached->tx_queues) << why;
    if (why.empty()) continue;
    EXPECT_NE(why.find("ethtool -L " + eth(0) + " combined 4"),
              std::string::npos)
        << why;
  }
  // All of it arrives, on whichever queue.
  Wire far = wire(eth(1));
  constexpr std::uint64_t kCount = 1000;
  const auto received = [&] {
    return sum(run->stats(), &QueueStats::rx_packets);
  };
  for (std::uint32_t i = 0; i < kCount; ++i) {
    ASSERT_TRUE(far.send(packet(i, mac(eth(1)), mac(eth(0)))));
    if (i % kWindow != 0) continue;
    (void)run.until(1s, [&] { return received() > i; });
  }
  EXPECT_TRUE(run.until(30s, [&] { return received() == kCount; }));
  const Stats stats = run.stop();
  for (const QueueStats& queue : stats.queues) {
    EXPECT_GT(queue.rx_packets, 0u) << queue.queue;
  }
}

TEST_F(QueuesTest, AllSendAfterTheRemedyThatIsTold) {
  for (const int each : {0, 1}) {
    ASSERT_TRUE(command({"ethtool", "-L", eth(each), "combined", "4"}));
  }
  EngineRun run(options({eth(0)}));
  ASSERT_TRUE(run.start<services::Reflect>());
  ASSERT_EQ(run->queues().size(), 4u);
  for (const QueueGrant& grant : run->queues()) {
    EXPECT_EQ(reason(grant.refused, "TX"), "");
  }
  Wire far = wire(eth(1));
  expect_reflected(far, eth(1), eth(0), 1000);
  expect_all_on_every_queue(run.stop(), 1000);
}

}  // namespace
}  // namespace sluice::testing
