// SPDX-License-Identifier: Apache-2.0
// What a queue is granted of what its driver does with packets that it sends.
#include <gtest/gtest.h>

#include <sluice/engine.hpp>
#include <vector>

namespace sluice {
namespace {

constexpr TxOffload kAllOffloads{.checksum = true,
                                 .timestamp = Timestamp::Clock::hardware,
                                 .launch_time = true};

TEST(GrantTxOffloadTest, InZeroCopyItIsWhatTheDriverOffers) {
  std::vector<Refused> refused;
  EXPECT_EQ(grant_tx_offload(kAllOffloads, Mode::zero_copy, refused),
            kAllOffloads);
  EXPECT_TRUE(refused.empty());
  EXPECT_EQ(grant_tx_offload({}, Mode::zero_copy, refused), TxOffload{});
  ASSERT_EQ(refused.size(), 3U);
  EXPECT_EQ(refused[0].rung, "TX checksum");
  EXPECT_EQ(refused[1].rung, "TX timestamp");
  EXPECT_EQ(refused[2].rung, "TX launch time");
}

TEST(GrantTxOffloadTest, InCopyModeLinuxCompletesChecksumsAndTellsItsOwnTime) {
  for (const Mode mode : {Mode::copy, Mode::generic}) {
    std::vector<Refused> refused;
    const TxOffload granted = grant_tx_offload({}, mode, refused);
    EXPECT_TRUE(granted.checksum);
    EXPECT_EQ(granted.timestamp, Timestamp::Clock::tai);
    EXPECT_FALSE(granted.launch_time);
    ASSERT_EQ(refused.size(), 1U);
    EXPECT_EQ(refused[0].rung, "TX launch time");
    refused.clear();
    EXPECT_TRUE(grant_tx_offload(kAllOffloads, mode, refused).launch_time);
    EXPECT_EQ(grant_tx_offload(kAllOffloads, mode, refused).timestamp,
              Timestamp::Clock::tai)
        << "the NIC's clock is for zero-copy";
    EXPECT_TRUE(refused.empty());
  }
}

}  // namespace
}  // namespace sluice
