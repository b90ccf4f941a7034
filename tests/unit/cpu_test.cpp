// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <future>
#include <sluice/cpu.hpp>
#include <string>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

std::vector<int> numbers(std::string_view text) {
  auto result = parse_number_list("--cpus", text);
  EXPECT_TRUE(result) << text;
  return result ? *result : std::vector<int>{};
}

TEST(NumberListTest, ReadsNumbersAndRanges) {
  EXPECT_EQ(numbers("0"), (std::vector<int>{0}));
  EXPECT_EQ(numbers("0,2-4"), (std::vector<int>{0, 2, 3, 4}));
  EXPECT_EQ(numbers("7,3-3,0"), (std::vector<int>{7, 3, 0}));
  EXPECT_EQ(numbers("4095"), (std::vector<int>{4095}));
}

TEST(NumberListTest, RefusesAnythingElse) {
  for (const char* text : {"", ",", "1,", "a", "1-", "3-1", "-1", "1,,2", "1 2",
                           "4096", "1-4096", "99999999999", "0x1", "1;2"}) {
    const auto result = parse_number_list("--cpus", text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, EINVAL);
    EXPECT_STREQ(result.error().call, "--cpus");
    EXPECT_FALSE(result.error().advice.empty());
  }
}

TEST(NumberListTest, RefusesTheSameNumberTwice) {
  EXPECT_FALSE(parse_number_list("--cpus", "1,0,1"));
  EXPECT_FALSE(parse_number_list("--cpus", "0-4,3"));
}

TEST(CpuTest, NamedCpusComeFirstThenTheAllowedOnesInTurn) {
  const std::vector<int> allowed = {2, 5};
  EXPECT_EQ(cpus_for(3, {}, allowed), (std::vector<int>{2, 5, 2}));
  EXPECT_EQ(cpus_for(2, {7}, allowed), (std::vector<int>{7, 5}));
  EXPECT_EQ(cpus_for(1, {7, 8}, allowed), (std::vector<int>{7, 8}));
  EXPECT_EQ(cpus_for(2, {}, {}), std::vector<int>{});
}

TEST(CpuTest, ThisProcessMayUseTheCpuItRunsOn) {
  const auto cpus = allowed_cpus();
  ASSERT_TRUE(cpus);
  EXPECT_TRUE(std::ranges::is_sorted(*cpus));
  EXPECT_TRUE(std::ranges::binary_search(*cpus, ::sched_getcpu()));
}

TEST(CpuTest, APinnedThreadStaysAndHasAName) {
  const auto cpus = allowed_cpus();
  ASSERT_TRUE(cpus);
  const int last = cpus->back();
  std::thread([last] {
    ASSERT_TRUE(pin_this_thread(last, "a name that is far too long"));
    EXPECT_EQ(::sched_getcpu(), last);
    std::array<char, 16> name{};
    ::pthread_getname_np(::pthread_self(), name.data(), name.size());
    EXPECT_STREQ(name.data(), "a name that is ");
  }).join();
}

TEST(CpuTest, AThreadThatLostItsCpuIsNoticedAndPutBack) {
  const auto cpus = allowed_cpus();
  ASSERT_TRUE(cpus);
  const int last = cpus->back();
  std::promise<void> end;
  std::thread thread([last, &end] {
    EXPECT_TRUE(pin_this_thread(last, "pinned"));
    end.get_future().wait();
  });
  const auto give_up = std::chrono::steady_clock::now() + 30s;
  while (!is_pinned(thread, last) &&
         std::chrono::steady_clock::now() < give_up) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(is_pinned(thread, last));
  cpu_set_t all;
  CPU_ZERO(&all);
  for (unsigned cpu = 0; cpu < 64; ++cpu) CPU_SET(cpu, &all);
  ::pthread_setaffinity_np(thread.native_handle(), sizeof all, &all);
  EXPECT_EQ(is_pinned(thread, last), cpus->size() == 1);
  EXPECT_TRUE(pin(thread, last));
  EXPECT_TRUE(is_pinned(thread, last));
  const auto nowhere = pin(thread, 1023);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, EINVAL);
  end.set_value();
  thread.join();
}

TEST(CpuTest, ACpuThatIsNotThereIsAnError) {
  std::thread([] {
    const auto result = pin_this_thread(1023, "nowhere");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, EINVAL);
    EXPECT_EQ(result.error().arguments, "cpu 1023");
  }).join();
}

}  // namespace
}  // namespace sluice
