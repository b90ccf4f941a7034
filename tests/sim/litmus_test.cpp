// SPDX-License-Identifier: Apache-2.0
// Store-buffer litmus: on this very processor, wake.hpp's two sides never both
// miss one another.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <sluice/cpu.hpp>
#include <sluice/wake.hpp>
#include <thread>
#include <vector>

namespace sluice::testing {
namespace {

// Rounds are made for so long: on a busy machine the two threads are seldom on
// their processors at the same time.
constexpr auto kTime = std::chrono::milliseconds(1500);
constexpr std::size_t kCells = 4096;  // Meetings a round, in quick succession.

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
      if (spins > 20'000) std::this_thread::yield();
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

struct Tally {
  std::uint64_t meetings = 0;
  std::uint64_t missed = 0;  // By both sides.
};

template <class Sleep, class Post>
Tally meet(Sleep sleep, Post post) {
  std::vector<Cell> cells(kCells);
  Gate begin;
  Gate end;
  std::atomic<bool> last = false;  // Written between `end` and `begin`.
  const auto cpus = allowed_cpus();
  const bool pinned = cpus && cpus->size() > 1;
  std::thread waker([&] {
    // Where there are two processors, one each: else they might share.
    if (pinned) (void)pin_this_thread((*cpus)[1], "waker");
    for (std::uint32_t round = 1; !last.load(std::memory_order_relaxed);
         ++round) {
      begin.pass(round);
      for (Cell& cell : cells) cell.woken = post(cell);
      end.pass(round);
      begin.pass(~round);  // The cells are looked at.
    }
  });
  Tally tally;
  std::thread sleeper([&] {
    if (pinned) (void)pin_this_thread((*cpus)[0], "sleeper");
    const auto deadline = std::chrono::steady_clock::now() + kTime;
    for (std::uint32_t round = 1; !last.load(std::memory_order_relaxed);
         ++round) {
      for (Cell& cell : cells) {
        cell.wake.done();
        cell.work.store(0, std::memory_order_relaxed);
        cell.sleeping.store(0, std::memory_order_relaxed);
      }
      begin.pass(round);
      for (Cell& cell : cells) cell.saw_work = sleep(cell);
      end.pass(round);
      for (const Cell& cell : cells) {
        tally.missed += !cell.saw_work && !cell.woken ? 1 : 0;
      }
      tally.meetings += kCells;
      last.store(std::chrono::steady_clock::now() >= deadline,
                 std::memory_order_relaxed);
      begin.pass(~round);
    }
  });
  sleeper.join();
  waker.join();
  return tally;
}

TEST(LitmusTest, TheTwoSidesNeverBothMiss) {
  const Tally tally = meet(
      [](Cell& cell) {
        cell.wake.prepare();
        return cell.work.load(std::memory_order_relaxed) == 1;
      },
      [](Cell& cell) {
        cell.work.store(1, std::memory_order_relaxed);
        return cell.wake.claim();
      });
  EXPECT_EQ(tally.missed, 0U) << "of " << tally.meetings;
}

// The same without fences: shows that the test above could fail. How often is
// the processor's business, so it is told and not judged.
TEST(LitmusTest, WithoutFencesTheyMay) {
  const Tally tally = meet(
      [](Cell& cell) {
        cell.sleeping.store(1, std::memory_order_relaxed);
        return cell.work.load(std::memory_order_relaxed) == 1;
      },
      [](Cell& cell) {
        cell.work.store(1, std::memory_order_relaxed);
        return cell.sleeping.load(std::memory_order_relaxed) == 1;
      });
  std::printf("both missed %" PRIu64 " times of %" PRIu64 "\n", tally.missed,
              tally.meetings);
}

}  // namespace
}  // namespace sluice::testing
