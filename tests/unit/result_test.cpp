// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <sluice/result.hpp>
#include <utility>

namespace sluice {
namespace {

TEST(ErrorTest, IsOneSentenceWithTheRemedy) {
  const Error error{EBUSY, "bind(AF_XDP)", "veth0 queue 3", "Stop the other."};
  EXPECT_EQ(error.message(),
            "bind(AF_XDP) veth0 queue 3: Device or resource busy. Stop the "
            "other.");
}

TEST(ErrorTest, LeavesOutWhatThereIsNot) {
  EXPECT_EQ((Error{ENOENT, "open"}).message(),
            "open: No such file or directory");
  EXPECT_EQ((Error{4711, "open"}).message(), "open: errno 4711");
}

TEST(ErrorTest, TakesTheErrnoOfTheCallThatFailed) {
  errno = ENODEV;
  const Error error = Error::last("ioctl", "eth9");
  EXPECT_EQ(error.code, ENODEV);
  EXPECT_STREQ(error.call, "ioctl");
  EXPECT_EQ(errno_name(error.code), "ENODEV");
}

TEST(ResultTest, HoldsAValueOrAnError) {
  Result<int> good = 7;
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, 7);
  Result<int> bad = Error{EINVAL, "rule"};
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, EINVAL);
}

TEST(ResultTest, GivesUpWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(3);
  ASSERT_TRUE(result);
  EXPECT_EQ(**result, 3);
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 3);
}

TEST(ResultTest, OfNothingIsSuccessOrAnError) {
  Result<void> good;
  EXPECT_TRUE(good);
  Result<void> bad = Error{EPERM, "bpf"};
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, EPERM);
}

TEST(ResultDeathTest, TheWrongHalfIsNotThere) {
  Result<int> good = 7;
  EXPECT_DEATH((void)good.error(), "error");
  Result<int> bad = Error{EINVAL, "rule"};
  EXPECT_DEATH((void)*bad, "value");
}

}  // namespace
}  // namespace sluice
