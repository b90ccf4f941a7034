// SPDX-License-Identifier: Apache-2.0
// Packet memory: what it is made of, what is refused, and that a second mapping
// shows the same bytes.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <sluice/umem.hpp>
#include <string>

#include <gtest/gtest.h>

namespace sluice {
namespace {

// A limit of this process, as long as it lives.
class Limit {
 public:
  Limit(__rlimit_resource what, rlim_t value) : what_(what) {
    EXPECT_EQ(::getrlimit(what_, &before_), 0);
    const rlimit limit{value, before_.rlim_max};
    EXPECT_EQ(::setrlimit(what_, &limit), 0);
  }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;
  ~Limit() { EXPECT_EQ(::setrlimit(what_, &before_), 0); }

 private:
  __rlimit_resource what_;
  rlimit before_{};
};

std::uint64_t mapped_now() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

TEST(UmemTest, IsZeroedAndOfTheSizeAskedFor) {
  for (const bool huge_pages : {false, true}) {
    auto umem = Umem::create(
        {.frames = 1024, .frame_size = 4096, .huge_pages = huge_pages});
    ASSERT_TRUE(umem) << umem.error().message();
    EXPECT_EQ(umem->frame_size(), 4096U);
    ASSERT_EQ(umem->bytes().size(), 1024U * 4096);
    EXPECT_EQ(std::ranges::count(umem->bytes(), std::byte{0}), 1024 * 4096);
    EXPECT_TRUE(huge_pages || !umem->huge());
  }
}

bool host_has_huge_pages() {
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    if (line.starts_with("HugePages_Total:")) return !line.ends_with(" 0");
  }
  return false;
}

TEST(UmemTest, WithoutReservedHugePagesItIsOfSmallOnesAndThatIsNoNews) {
  if (host_has_huge_pages()) GTEST_SKIP() << "This host has reserved some.";
  const auto umem = Umem::create({.frames = 1024, .frame_size = 4096});
  ASSERT_TRUE(umem);
  EXPECT_FALSE(umem->huge());
  EXPECT_EQ(umem->refusal().code, 0);
}

TEST(UmemTest, WhatTheHostDoesNotHaveIsRefusedBeforeItIsTaken) {
  // 16 TiB.
  const auto umem = Umem::create({.frames = ~0U, .frame_size = 4096});
  ASSERT_FALSE(umem);
  EXPECT_EQ(umem.error().code, ENOMEM);
  const std::string message = umem.error().message();
  EXPECT_NE(message.find("16777215 MiB are asked for"), std::string::npos)
      << message;
  EXPECT_NE(message.find("--frames-per-queue"), std::string::npos);
}

TEST(UmemTest, WhoeverAdoptsItSeesTheSameBytes) {
  constexpr UmemOptions kOptions{.frames = 3, .frame_size = 2048};
  auto umem = Umem::create(kOptions);
  ASSERT_TRUE(umem);
  auto other = Umem::adopt(Fd(::dup(umem->fd())), kOptions);
  ASSERT_TRUE(other) << other.error().message();
  ASSERT_EQ(other->bytes().size(), umem->bytes().size());
  EXPECT_EQ(other->frame_size(), 2048U);
  umem->bytes().back() = std::byte{42};
  EXPECT_EQ(other->bytes().back(), std::byte{42});
}

TEST(UmemTest, AnFdThatIsNoMemoryIsNotAdopted) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const Fd reader(pipe[0]);
  EXPECT_FALSE(Umem::adopt(Fd(pipe[1]), {.frames = 1}));
}

TEST(UmemTest, NoFramesAndFramesOfAnotherSizeAreRefused) {
  for (const UmemOptions options :
       {UmemOptions{.frames = 0}, UmemOptions{.frame_size = 1024},
        UmemOptions{.frame_size = 8192}}) {
    const auto umem = Umem::create(options);
    ASSERT_FALSE(umem);
    EXPECT_EQ(umem.error().code, EINVAL);
    EXPECT_NE(umem.error().message().find("2048 or 4096"), std::string::npos);
  }
}

TEST(UmemTest, AFileThatMayNotGrowIsTold) {
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  {
    const Limit none(RLIMIT_FSIZE, 0);
    const auto umem = Umem::create({.frames = 16});
    ASSERT_FALSE(umem);
    EXPECT_EQ(umem.error().code, EFBIG);
    EXPECT_NE(umem.error().message().find("16 frames of 2048 bytes"),
              std::string::npos);
  }
  std::signal(SIGXFSZ, before);
}

TEST(UmemTest, MoreThanCanBeMappedIsToldWithTheRemedy) {
  const Limit limit(RLIMIT_AS, mapped_now() + (1U << 30));
  const auto umem = Umem::create({.frames = 1U << 20, .frame_size = 4096});
  ASSERT_FALSE(umem);
  EXPECT_EQ(umem.error().code, ENOMEM);
  EXPECT_NE(umem.error().message().find("--frames-per-queue"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice
