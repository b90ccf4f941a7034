// SPDX-License-Identifier: Apache-2.0
// The sleep protocol of wake.hpp and Mailbox, in every interleaving that two
// processors with store buffers can produce.
//
// A processor's stores go into its buffer and reach memory later, in order; its
// own loads see them before. So a store may be overtaken by a load behind it,
// which is the one reordering that x86 does, and the one that loses wake-ups.
// A fence, and an atomic exchange, empty the buffer first.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {
namespace {

enum Variable : std::uint8_t { kSleeping, kPosted, kVariables };

struct Variant {
  bool sleeper_fence = true;  // In Wake::prepare.
  bool waker_fence = true;    // In Wake::claim.
  bool looks_again = true;    // The sleeper, after prepare.
  bool exchanges = true;      // The waker claims, rather than just reads.
};

// What one processor sees: memory behind a buffer of its own stores.
struct Processor {
  std::uint8_t step = 0;
  std::uint8_t rounds = 0;  // Events posted, or taken.
  std::uint8_t loaded = 0;  // By the step before.
  std::vector<std::pair<std::uint8_t, std::uint8_t>> buffer;
  auto operator<=>(const Processor&) const = default;
};

struct State {
  Processor sleeper;
  Processor waker;
  std::array<std::uint8_t, kVariables> memory{};
  std::uint8_t tokens = 0;  // In the eventfd.
  std::uint8_t writes = 0;  // System calls that woke.
  bool asleep = false;
  auto operator<=>(const State&) const = default;
};

class Model {
 public:
  Model(const Variant& variant, std::uint8_t events)
      : variant_(variant), events_(events) {}

  // Every state that can be reached.
  void explore() {
    std::deque<State> open{State{}};
    std::set<State> seen{State{}};
    while (!open.empty()) {
      const State state = open.front();
      open.pop_front();
      std::vector<State> next;
      drain(state, &State::sleeper, next);
      drain(state, &State::waker, next);
      sleep_step(state, next);
      wake_step(state, next);
      if (next.empty()) judge(state);
      for (State& each : next) {
        if (seen.insert(each).second) open.push_back(std::move(each));
      }
    }
    states_ = seen.size();
  }
  std::size_t states() const { return states_; }
  std::size_t lost() const { return lost_; }  // Slept on with work to do.
  std::size_t finished() const { return finished_; }
  std::uint8_t most_writes() const { return most_writes_; }

 private:
  static std::uint8_t load(const State& state, const Processor& by,
                           Variable variable) {
    for (auto it = by.buffer.rbegin(); it != by.buffer.rend(); ++it) {
      if (it->first == variable) return it->second;
    }
    return state.memory[variable];
  }
  static void drain(const State& state, Processor State::* which,
                    std::vector<State>& next) {
    if ((state.*which).buffer.empty()) return;
    State after = state;
    auto& buffer = (after.*which).buffer;
    after.memory[buffer.front().first] = buffer.front().second;
    buffer.erase(buffer.begin());
    next.push_back(std::move(after));
  }

  // LinuxKernel::wait and the turn around it.
  void sleep_step(const State& state, std::vector<State>& next) const {
    State after = state;
    Processor& me = after.sleeper;
    switch (me.step) {
      case 0:  // A turn: take what is there, or go to sleep.
        if (me.rounds == events_) return;
        if (load(state, me, kPosted) > me.rounds) {
          ++me.rounds;
        } else {
          me.step = 1;
        }
        break;
      case 1:
        me.buffer.push_back({kSleeping, 1});
        me.step = 2;
        break;
      case 2:  // The fence.
        if (variant_.sleeper_fence && !me.buffer.empty()) return;
        me.step = 3;
        break;
      case 3:  // The last look.
        me.step = variant_.looks_again && load(state, me, kPosted) > me.rounds
                      ? 5
                      : 4;
        after.asleep = me.step == 4;
        break;
      case 4:  // In the kernel, until somebody writes; it drains buffers.
        if (!me.buffer.empty() || state.tokens == 0) return;
        after.tokens = 0;
        after.asleep = false;
        me.step = 5;
        break;
      default:
        me.buffer.push_back({kSleeping, 0});
        me.step = 0;
    }
    next.push_back(std::move(after));
  }

  // Mailbox::post.
  void wake_step(const State& state, std::vector<State>& next) const {
    State after = state;
    Processor& me = after.waker;
    switch (me.step) {
      case 0:
        if (me.rounds == events_) return;
        ++me.rounds;
        me.buffer.push_back({kPosted, me.rounds});
        me.step = 1;
        break;
      case 1:  // The fence.
        if (variant_.waker_fence && !me.buffer.empty()) return;
        me.step = 2;
        break;
      case 2:
        me.step = load(state, me, kSleeping) == 1 ? 3 : 0;
        break;
      case 3:  // exchange: a locked instruction.
        if (!variant_.exchanges) {
          me.step = 4;
          break;
        }
        if (!me.buffer.empty()) return;
        me.step = state.memory[kSleeping] == 1 ? 4 : 0;
        after.memory[kSleeping] = 0;
        break;
      default:  // write(2).
        if (!me.buffer.empty()) return;
        ++after.tokens;
        ++after.writes;
        me.step = 0;
    }
    next.push_back(std::move(after));
  }

  void judge(const State& state) {
    if (state.sleeper.rounds < events_) ++lost_;
    if (state.sleeper.rounds == events_) ++finished_;
    most_writes_ = std::max(most_writes_, state.writes);
  }

  Variant variant_;
  std::uint8_t events_;
  std::size_t states_ = 0;
  std::size_t lost_ = 0;
  std::size_t finished_ = 0;
  std::uint8_t most_writes_ = 0;
};

Model explored(const Variant& variant, std::uint8_t events = 3) {
  Model model(variant, events);
  model.explore();
  return model;
}

TEST(SleepModelTest, NoWakeUpIsLostInAnyInterleaving) {
  const Model model = explored({}, 4);
  EXPECT_EQ(model.lost(), 0U);
  EXPECT_GT(model.finished(), 0U);
  EXPECT_GT(model.states(), 500U);
  RecordProperty("states", static_cast<int>(model.states()));
}

TEST(SleepModelTest, AnEventCostsAtMostOneSystemCall) {
  EXPECT_LE(explored({}, 3).most_writes(), 3);
}

TEST(SleepModelTest, WithoutTheSleepersFenceAWakeUpIsLost) {
  EXPECT_GT(explored({.sleeper_fence = false}).lost(), 0U);
}

TEST(SleepModelTest, WithoutTheWakersFenceAWakeUpIsLost) {
  EXPECT_GT(explored({.waker_fence = false}).lost(), 0U);
}

TEST(SleepModelTest, WithoutTheLastLookAWakeUpIsLost) {
  EXPECT_GT(explored({.looks_again = false}).lost(), 0U);
}

// The claim saves system calls; what keeps wake-ups are the fences.
TEST(SleepModelTest, WithoutTheClaimNoWakeUpIsLost) {
  EXPECT_EQ(explored({.exchanges = false}).lost(), 0U);
}

}  // namespace
}  // namespace sluice::testing
