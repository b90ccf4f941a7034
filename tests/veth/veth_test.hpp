// SPDX-License-Identifier: Apache-2.0
// VethTest: a lab for each test, the program in it, and the frame ledger at the
// end of whatever moved packets.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <sluice/engine.hpp>
#include <sluice/testing/frame.hpp>
#include <sluice/testing/veth_lab.hpp>
#include <string>
#include <string_view>
#include <thread>
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

class VethTest : public ::testing::Test {
 protected:
  virtual VethOptions wanted() const { return {}; }

  void SetUp() override {
    auto lab = VethLab::open(wanted());
    if (lab) {
      lab_.emplace(std::move(*lab));
    } else if (VethLab::required()) {
      FAIL() << lab.error().message();
    } else {
      GTEST_SKIP() << lab.error().message();
    }
  }

  VethLab& lab() { return *lab_; }
  const VethEnd& mine(std::size_t pair = 0) { return lab_->end(Side::a, pair); }
  const VethEnd& peer(std::size_t pair = 0) { return lab_->end(Side::b, pair); }

  Process spawn(Side side, const Words& argv) {
    auto process = lab_->spawn(side, argv);
    if (!process) {
      ADD_FAILURE() << process.error().message();
      std::abort();
    }
    return std::move(*process);
  }
  Wire wire(Side side, std::size_t pair = 0) {
    auto wire = lab_->wire(side, pair);
    if (!wire) {
      ADD_FAILURE() << wire.error().message();
      std::abort();
    }
    return std::move(*wire);
  }
  /// The program at side a, as it is.
  Process sluice(Words arguments) {
    arguments.insert(arguments.begin(), SLUICE_PROGRAM);
    return spawn(Side::a, arguments);
  }
  /// `sluice run` on the first interface, unless others are named.
  Process sluice_run(const Words& flags) {
    Words arguments = {"run"};
    const bool named = std::ranges::any_of(flags, [](const std::string& flag) {
      return flag == "-i" || flag == "--port";
    });
    if (!named) {
      arguments.insert(arguments.end(), {"-i", mine().interface});
    }
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return sluice(arguments);
  }
  Running run(Words flags) {
    flags.insert(flags.end(), {"--json", "--interval", "0"});
    return Running(sluice_run(flags));
  }

  /// Sends `count` datagrams from side b and verifies every answer.
  void expect_answered(const std::string& to, int port, int count,
                       const Words& more = {}) {
    Words words = {TRAFFIC_PROGRAM, "udp",
                   "--to",          to,
                   "--port",        std::to_string(port),
                   "--count",       std::to_string(count),
                   "--timeout",     "60"};
    words.insert(words.end(), more.begin(), more.end());
    Process traffic = spawn(Side::b, words);
    EXPECT_EQ(traffic.wait(90s), 0) << traffic.out() << traffic.err();
  }

  /// ping from a side; true if all of `count` were answered.
  bool ping(Side side, const std::string& to, int count = 3) {
    Process ping = spawn(side, {"ping", "-n", "-c", std::to_string(count), "-i",
                                "0.05", "-W", "2", to});
    return ping.wait(20s) == 0;
  }

  bool has_program(std::size_t pair = 0) {
    return lab_->in(Side::a, [&] {
      auto device = Netdev::read(mine(pair).interface);
      if (!device) return false;
      auto program = attached_program(device->index);
      return program && program->has_value();
    });
  }
  /// Nothing of a Sluice that has ended is there; some of it goes a little
  /// later than the process.
  void expect_nothing_left(std::size_t pair = 0) {
    const auto deadline = std::chrono::steady_clock::now() + 2s;
    while (has_program(pair) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_FALSE(has_program(pair)) << "an XDP program is left";
    EXPECT_TRUE(lab_->in(Side::a, [] { return Control::owned(); }).empty());
  }

 private:
  std::optional<VethLab> lab_;
};

/// An engine in this process, at side a.
class EngineRun {
 public:
  EngineRun(const VethLab& lab, EngineOptions options) : lab_(lab) {
    auto opened =
        lab.in(Side::a, [&] { return Engine::open(std::move(options)); });
    if (opened) {
      engine_ = std::move(*opened);
    } else {
      ADD_FAILURE() << opened.error().message();
    }
  }
  template <Handler H>
  bool start(const handler::Config<H>& config = {}) {
    if (!engine_) return false;
    auto started =
        lab_.in(Side::a, [&] { return engine_->template start<H>(config); });
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
      lab_.in(Side::a, [&] {
        (void)engine_->serve(monotonic_now() + Duration(2ms), {});
      });
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
  const VethLab& lab_;
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
