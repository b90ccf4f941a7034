// SPDX-License-Identifier: Apache-2.0
// Runs of Sluice under test, as a program and in this process, with the frame
// ledger at the end of whatever moved packets.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <sluice/engine.hpp>
#include <sluice/testing/process.hpp>
#include <sluice/testing/veth_lab.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice::testing {

using Json = nlohmann::json;
using Words = std::vector<std::string>;
using namespace std::chrono_literals;

/// Every frame has an owner. Each test that moves packets ends here.
inline void expect_balanced(const Ledger& ledger) {
  EXPECT_GT(ledger.frames, 0u);
  EXPECT_EQ(ledger.accounted(), ledger.frames)
      << "pool " << ledger.pool << ", handler " << ledger.handler << ", chain "
      << ledger.chain << ", receiving " << ledger.receiving << ", transmitting "
      << ledger.transmitting << ", astray " << ledger.astray;
}
inline void expect_balanced(const Json& ended) {
  const Json& ledger = ended.at("ledger");
  EXPECT_GT(ledger.at("frames"), 0u);
  EXPECT_EQ(ledger.at("accounted"), ledger.at("frames")) << ledger;
}

/// The last JSON line of that type in what a program wrote; null if none.
inline Json line_of(std::string_view out, std::string_view type) {
  Json found;
  while (!out.empty()) {
    const auto end = out.find('\n');
    if (end == std::string_view::npos) break;  // Not yet whole.
    Json line = Json::parse(out.substr(0, end), nullptr, false);
    if (line.is_object() && line.value("type", "") == type) {
      found = std::move(line);
    }
    out.remove_prefix(end + 1);
  }
  return found;
}

/// The sum of a field over the queues of a JSON line.
inline std::uint64_t sum(const Json& line, const char* field) {
  std::uint64_t total = 0;
  for (const Json& queue : line.at("queues")) {
    total += queue.at(field).get<std::uint64_t>();
  }
  return total;
}

/// `sluice run --json`, from its first line to its last.
class Running {
 public:
  explicit Running(Process process) : process_(std::move(process)) {}

  /// Packets are steered. False, and said: it did not get there.
  bool up() {
    if (!process_.wait_for("{\"type\":\"started\"", 20s) ||
        !process_.wait_for("\n", 1s)) {
      ADD_FAILURE() << "not started: " << process_.err();
      return false;
    }
    started_ = line_of(process_.out(), "started");
    return true;
  }
  [[nodiscard]] const Json& started() const { return started_; }
  [[nodiscard]] Process& process() { return process_; }

  /// Ends it as users do; the totals. Checks exit code and ledger.
  Json stop(int number = SIGINT) {
    process_.signal(number);
    const auto code = process_.wait(10s);
    EXPECT_EQ(code, 0) << process_.err();
    Json ended = line_of(process_.out(), "ended");
    if (ended.is_null()) {
      ADD_FAILURE() << "no last line: " << process_.out();
      return ended;
    }
    expect_balanced(ended);
    return ended;
  }

 private:
  Process process_;
  Json started_;
};

/// An engine in this process.
class EngineRun {
 public:
  explicit EngineRun(EngineOptions options, const VethLab* lab = nullptr)
      : lab_(lab) {
    auto opened = there([&] { return Engine::open(std::move(options)); });
    if (opened) {
      engine_ = std::move(*opened);
    } else {
      ADD_FAILURE() << opened.error().message();
    }
  }
  /// At side a.
  EngineRun(const VethLab& lab, EngineOptions options)
      : EngineRun(std::move(options), &lab) {}
  template <Handler H>
  bool start(const handler::Config<H>& config = {}) {
    if (!engine_) return false;
    auto started = there([&] { return engine_->template start<H>(config); });
    EXPECT_TRUE(started) << started.error().message();
    return static_cast<bool>(started);
  }
  Engine* operator->() { return engine_.get(); }

  /// Serves links and statistics until `done`, at most `patience`.
  template <class Done>
  bool until(std::chrono::nanoseconds patience, const Done& done) {
    const Time deadline = monotonic_now() + patience;
    while (!done()) {
      if (monotonic_now() >= deadline) return false;
      there(
          [&] { return engine_->serve(monotonic_now() + Duration(2ms), {}); });
    }
    return true;
  }
  std::int64_t counter(std::string_view name) {
    const Stats stats = engine_->stats();
    for (const auto* list : {&stats.counters, &stats.gauges}) {
      for (const NamedValue& each : *list) {
        if (each.name == name) return each.value;
      }
    }
    return 0;
  }
  /// Ends it; the totals. Checks the ledger.
  Stats stop() {
    if (!engine_) return {};
    engine_->stop();
    Stats stats = engine_->stats();
    expect_balanced(stats.ledger());
    return stats;
  }

 private:
  template <class F>
  auto there(F&& function) -> std::invoke_result_t<F> {
    return lab_ == nullptr ? function()
                           : lab_->in(Side::a, std::forward<F>(function));
  }

  const VethLab* lab_;
  std::unique_ptr<Engine> engine_;
};

/// The sum of a counter over the queues.
inline std::uint64_t sum(const Stats& stats,
                         std::uint64_t QueueStats::* counter) {
  std::uint64_t total = 0;
  for (const QueueStats& queue : stats.queues) total += queue.*counter;
  return total;
}

}  // namespace sluice::testing
