// SPDX-License-Identifier: Apache-2.0
// ReplayLine: how to run a scenario again, told even if the process dies of it.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <string>

// Sanitizers have it: they end a process in a way of their own.
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*tell)());

namespace sluice::testing {

/// One at a time. While it lives, an assertion that fails, a bad access and a
/// sanitizer's finding print it to standard error.
class ReplayLine {
 public:
  ReplayLine(std::uint64_t seed, const std::string& test) {
    text_ = "replay: SLUICE_SIM_SEED=" + std::to_string(seed) + " " +
            program_invocation_name + " --gtest_filter='" + test + "'\n";
    std::signal(SIGABRT, tell_and_die);
    if (__sanitizer_set_death_callback != nullptr) {
      __sanitizer_set_death_callback(tell);
    } else {
      std::signal(SIGSEGV, tell_and_die);
    }
  }
  ReplayLine(const ReplayLine&) = delete;
  ReplayLine& operator=(const ReplayLine&) = delete;
  ~ReplayLine() {
    text_.clear();
    std::signal(SIGABRT, SIG_DFL);
    if (__sanitizer_set_death_callback == nullptr) {
      std::signal(SIGSEGV, SIG_DFL);
    }
  }

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  static void tell() {
    [[maybe_unused]] const auto written =
        ::write(STDERR_FILENO, text_.data(), text_.size());
  }
  // Returns to where it came from, to die there as it would have.
  static void tell_and_die(int signal) {
    tell();
    std::signal(signal, SIG_DFL);
  }

  static inline std::string text_;
};

}  // namespace sluice::testing
