// SPDX-License-Identifier: Apache-2.0
// Devices and kernels without zero-copy, and drivers that promise it and refuse
// it at bind: a step down the ladder, with the reason.
#include "vm_test.hpp"

namespace sluice::testing {
namespace {

class RefusedTest : public VmTest {
 protected:
  // Both of what the kernel says and of what it means.
  static void expect_refused(const std::string& error,
                             const std::string& meaning) {
    const auto required = Engine::open(options({eth(0)}, Mode::zero_copy));
    ASSERT_FALSE(required);
    EXPECT_NE(required.error().message().find(error), std::string::npos)
        << required.error().message();
    EXPECT_NE(required.error().message().find(meaning), std::string::npos)
        << required.error().message();

    EngineRun run(options({eth(0)}));
    ASSERT_TRUE(run.start<services::Reflect>());
    for (const QueueGrant& grant : run->queues()) {
      EXPECT_EQ(grant.mode, Mode::copy);
      const std::string why = reason(grant.refused, "zero-copy");
      EXPECT_NE(why.find(error), std::string::npos) << why;
      EXPECT_NE(why.find(meaning), std::string::npos) << why;
    }
    Wire far = wire(eth(1));
    expect_reflected(far, eth(1), eth(0), 2000);
    expect_all_on_every_queue(run.stop(), 2000);
  }
};

TEST_F(RefusedTest, ADeviceWithoutDmaOfItsOwn) {
  expect_refused("Invalid argument", "iommu_platform");
}

TEST_F(RefusedTest, ADeviceThatCannotStopOneQueue) {
  expect_refused("No such file or directory", "queue_reset");
}

TEST_F(RefusedTest, ADriverWithoutZeroCopy) {
  expect_refused("not supported", "The driver has no zero-copy");
}

}  // namespace
}  // namespace sluice::testing
