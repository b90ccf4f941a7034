// SPDX-License-Identifier: Apache-2.0
// VethTest: a lab for each test, and the program in it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <sluice/testing/frame.hpp>
#include <thread>

#include "runs.hpp"

namespace sluice::testing {

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

}  // namespace sluice::testing
