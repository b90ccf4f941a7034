// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <semaphore>
#include <sluice/wake.hpp>
#include <thread>

namespace sluice {
namespace {

using namespace std::chrono_literals;

TEST(WakeTest, NobodyIsWokenWhoDoesNotSleep) {
  Wake wake;
  EXPECT_FALSE(wake.claim());
  wake.prepare();
  wake.done();
  EXPECT_FALSE(wake.claim());
}

TEST(WakeTest, ASleeperIsWokenOnce) {
  Wake wake;
  wake.prepare();
  EXPECT_TRUE(wake.claim());
  EXPECT_FALSE(wake.claim());
  wake.prepare();
  EXPECT_TRUE(wake.claim());
}

// A lost wake-up would leave the sleeper asleep until its time-out.
TEST(WakeTest, NoWakeUpIsLostBetweenTwoThreads) {
  constexpr int kRounds = 50'000;
  Wake wake;
  std::binary_semaphore bell(0);
  std::atomic<int> work = 0;
  std::atomic<int> seen = 0;
  std::thread waker([&] {
    for (int i = 1; i <= kRounds; ++i) {
      work.store(i, std::memory_order_relaxed);
      if (wake.claim()) bell.release();
      while (seen.load(std::memory_order_acquire) < i) {
        std::this_thread::yield();
      }
    }
  });
  int lost = 0;
  for (int i = 1; i <= kRounds; ++i) {
    while (work.load(std::memory_order_relaxed) < i) {
      wake.prepare();
      if (work.load(std::memory_order_relaxed) < i) {
        lost += bell.try_acquire_for(5s) ? 0 : 1;
      } else if (wake.claim()) {
        // Claimed back: nobody rang.
      } else {
        bell.acquire();  // A waker was faster: its ring is on the way.
      }
      wake.done();
    }
    seen.store(i, std::memory_order_release);
  }
  waker.join();
  EXPECT_EQ(lost, 0);
}

}  // namespace
}  // namespace sluice
