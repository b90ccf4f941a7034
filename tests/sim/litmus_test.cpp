// SPDX-License-Identifier: Apache-2.0
// Store-buffer litmus: on this very processor, wake.hpp's two sides never both
// miss one another.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <sluice/ring.hpp>
#include <sluice/wake.hpp>
#include <thread>
#include <vector>

namespace sluice::testing {
namespace {

constexpr std::uint32_t kRounds = kCheckFrames ? 50 : 500;
constexpr std::size_t kCells = 512;  // Meetings a round, in quick succession.

// Two threads that begin each round at the same moment.
class Gate {
 public:
  void pass(std::uint32_t round) noexcept {
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) == 1) {
      waiting_.store(0, std::memory_order_relaxed);
      open_.store(round, std::memory_order_release);
      return;
    }
    for (std::uint32_t spins = 0;
         open_.load(std::memory_order_acquire) != round; ++spins) {
      if (spins > 100) std::this_thread::yield();
    }
  }

 private:
  std::atomic<std::uint32_t> waiting_ = 0;
  alignas(64) std::atomic<std::uint32_t> open_ = 0;
};

// Where sleeper and waker meet. What both write is on lines of its own.
struct Cell {
  alignas(64) Wake wake;
  alignas(64) std::atomic<int> work = 0;
  alignas(64) std::atomic<int> sleeping = 0;
  alignas(64) bool saw_work = false;
  alignas(64) bool woken = false;
};

// How often both sides missed, of kRounds * kCells.
template <class Sleep, class Post>
std::uint32_t misses(Sleep sleep, Post post) {
  std::vector<Cell> cells(kCells);
  Gate begin;
  Gate end;
  std::uint32_t missed = 0;
  std::thread waker([&] {
    for (std::uint32_t round = 1; round <= kRounds; ++round) {
      begin.pass(round);
      for (Cell& cell : cells) cell.woken = post(cell);
      end.pass(round);
    }
  });
  for (std::uint32_t round = 1; round <= kRounds; ++round) {
    for (Cell& cell : cells) {  // The waker waits at the gate.
      cell.wake.done();
      cell.work.store(0, std::memory_order_relaxed);
      cell.sleeping.store(0, std::memory_order_relaxed);
    }
    begin.pass(round);
    for (Cell& cell : cells) cell.saw_work = sleep(cell);
    end.pass(round);
    for (const Cell& cell : cells) {
      missed += !cell.saw_work && !cell.woken ? 1 : 0;
    }
  }
  waker.join();
  return missed;
}

TEST(LitmusTest, TheTwoSidesNeverBothMiss) {
  EXPECT_EQ(misses(
                [](Cell& cell) {
                  cell.wake.prepare();
                  return cell.work.load(std::memory_order_relaxed) == 1;
                },
                [](Cell& cell) {
                  cell.work.store(1, std::memory_order_relaxed);
                  return cell.wake.claim();
                }),
            0U);
}

// The same without fences: shows that the test above could fail. How often is
// the processor's business, so it is told and not judged.
TEST(LitmusTest, WithoutFencesTheyMay) {
  const std::uint32_t missed = misses(
      [](Cell& cell) {
        cell.sleeping.store(1, std::memory_order_relaxed);
        return cell.work.load(std::memory_order_relaxed) == 1;
      },
      [](Cell& cell) {
        cell.work.store(1, std::memory_order_relaxed);
        return cell.sleeping.load(std::memory_order_relaxed) == 1;
      });
  std::printf("both missed %u times of %zu\n", missed, kRounds * kCells);
  RecordProperty("missed", static_cast<int>(missed));
}

}  // namespace
}  // namespace sluice::testing
