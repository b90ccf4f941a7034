// SPDX-License-Identifier: Apache-2.0
// Devices and kernels without zero-copy, and drivers that promise it and refuse
// it at bind: a step down the ladder, with the reason.
#include "vm_test.hpp"

namespace sluice::testing {
namespace {

// A NIC, what the kernel says of zero-copy on it, and what that means.
struct Refusal {
  std::string name;
  std::string nic;
  std::string error;
  std::string meaning;
};

class RefusedTest : public VmTest,
                    public ::testing::WithParamInterface<Refusal> {
 protected:
  RefusedTest() : VmTest({GetParam().nic}) {}
};

TEST_P(RefusedTest, IsAStepDownWithTheReason) {
  const auto& [name, nic, error, meaning] = GetParam();
  const auto required = Engine::open(options({eth(0)}, Mode::zero_copy));
  ASSERT_FALSE(required);
  for (const std::string& said : {error, meaning}) {
    EXPECT_NE(required.error().message().find(said), std::string::npos)
        << required.error().message();
  }

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

INSTANTIATE_TEST_SUITE_P(
    ZeroCopy, RefusedTest,
    ::testing::Values(Refusal{"ADeviceWithoutDmaOfItsOwn", "virtio-plain",
                              "Invalid argument", "iommu_platform"},
                      Refusal{"ADeviceThatCannotStopOneQueue",
                              "virtio-no-reset", "No such file or directory",
                              "queue_reset"},
                      Refusal{"ADriverWithoutZeroCopy", "igb on Linux 6.1",
                              "not supported", "The driver has no zero-copy"}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace sluice::testing
