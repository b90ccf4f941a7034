// SPDX-License-Identifier: Apache-2.0
// Attaching the XDP program to an interface, and what a second one is told.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <string>

#include <sluice/sys.hpp>

#include "program_test.hpp"

namespace {

using sluice::AttachMode;
using sluice::Fd;
using sluice::Program;
using sluice::ProgramOptions;
using sluice::testing::ProgramTest;

// On the loopback interface of a network namespace of our own.
class AttachTest : public ProgramTest {
 protected:
  static constexpr int kLoopback = 1;

  void SetUp() override {
    before_ = Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    ProgramTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    moved_ = unshare(CLONE_NEWNET) == 0;
    if (moved_) return;
    if (sluice::testing::must_not_skip()) FAIL() << "unshare";
    GTEST_SKIP() << "a network namespace of its own needs CAP_SYS_ADMIN";
  }
  void TearDown() override {
    if (!moved_) return;
    ASSERT_EQ(setns(before_.get(), CLONE_NEWNET), 0);
  }

 private:
  Fd before_;
  bool moved_ = false;
};

TEST_F(AttachTest, AttachesAndDetachesByItsOwnLink) {
  ASSERT_FALSE(program().attached());
  const auto done = program().attach(kLoopback, AttachMode::generic);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(program().attached(), AttachMode::generic);
  const auto there = sluice::attached_program(kLoopback);
  ASSERT_TRUE(there && *there);
  EXPECT_EQ((*there)->id, program().id());
  EXPECT_EQ((*there)->name, "sluice_steer");
  EXPECT_TRUE((*there)->owner_alive);
  program().detach();
  EXPECT_FALSE(program().attached());
  EXPECT_FALSE(*sluice::attached_program(kLoopback));
}

TEST_F(AttachTest, ASecondProgramIsToldWhoIsThere) {
  ASSERT_TRUE(program().attach(kLoopback, AttachMode::generic));
  ProgramOptions options;
  auto second = Program::load(options);
  ASSERT_TRUE(second);
  const auto refused = second->attach(kLoopback, AttachMode::generic);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EBUSY);
  EXPECT_EQ(refused.error().arguments, "lo generic");
  const std::string& advice = refused.error().advice;
  EXPECT_NE(advice.find("sluice_steer (id " + std::to_string(program().id())),
            std::string::npos)
      << advice;
  EXPECT_NE(advice.find("owned by process " + std::to_string(getpid())),
            std::string::npos)
      << advice;
  EXPECT_EQ(program().attached(), AttachMode::generic) << "still the first's";
}

TEST_F(AttachTest, NativeModeOnLoopbackIsRefusedWithTheRemedy) {
  const auto refused = program().attach(kLoopback, AttachMode::native);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EOPNOTSUPP);
  EXPECT_NE(refused.error().advice.find("generic mode"), std::string::npos);
}

TEST_F(AttachTest, AnInterfaceThatIsNotThereIsRefused) {
  const auto refused = program().attach(4711, AttachMode::native);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENODEV);
  EXPECT_EQ(refused.error().arguments, "interface 4711");
}

}  // namespace
