// SPDX-License-Identifier: Apache-2.0
// Devices and kernels without zero-copy, and drivers that promise it and refuse
// it at bind: a step down the ladder, with the reason.
#include "vm_test.hpp"

namespace sluice::testing {
namespace {

class RefusedTest : public VmTest {
 protected:
  RefusedTest()
      : VmTest({"virtio-plain", "virtio-no-reset", "igb on Linux 6.1"}) {}

  // Both of what the kernel says and of what it means, with this NIC.
  static void expect_refused(const std::string& wanted,
                             const std::string& error,
                             const std::string& meaning) {
    if (nic() != wanted) GTEST_SKIP() << "It is for " << wanted << '.';
    const auto required = Engine::open(options({eth(0)}, Mode::zero_copy));
    ASSERT_FALSE(required);
    EXPECT_NE(required.error().message().find(error), std::string::npos)
        << required.error().message();
    EXPECT_NE(required.error().message().find(meaning), std::string::npos)
        << required.error().message();

    // The engine waits for a link that was there when it began.
    ASSERT_TRUE(wait_for_link(eth(0)));
    EngineRun run(options({eth(0)}));
    ASSERT_TRUE(run.start<services::Reflect>());
    for (const QueueGrant& grant : run->queues()) {
      EXPECT_EQ(grant.mode, Mode::copy);
      const std::string why = reason(grant.refused, "zero-copy");
      EXPECT_NE(why.find(error), std::string::npos) << why;
      EXPECT_NE(why.find(meaning), std::string::npos) << why;
    }
    Wire far = wire(eth(1));
    expect_reflected(far, eth(1), eth(0), 500);
    expect_all_on_every_queue(run.stop(), 500);
  }
};

TEST_F(RefusedTest, ADeviceWithoutDmaOfItsOwn) {
  expect_refused("virtio-plain", "Invalid argument", "iommu_platform");
}

TEST_F(RefusedTest, ADeviceThatCannotStopOneQueue) {
  expect_refused("virtio-no-reset", "No such file or directory", "queue_reset");
}

TEST_F(RefusedTest, ADriverWithoutZeroCopy) {
  expect_refused("igb on Linux 6.1", "not supported",
                 "The driver has no zero-copy");
}

}  // namespace
}  // namespace sluice::testing
