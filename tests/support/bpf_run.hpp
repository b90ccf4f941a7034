// SPDX-License-Identifier: Apache-2.0
// Runs the XDP program on bytes, by BPF_PROG_TEST_RUN: no interface, no
// traffic. Without the capabilities a test is skipped with the reason, or fails
// under SLUICE_REQUIRE_VETH=1.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sluice/program.hpp>

namespace sluice::testing {

/// Fewer bytes the kernel does not run an XDP program on.
inline constexpr std::size_t kTestRunMin = 14;

/// XDP_PASS, XDP_DROP or XDP_REDIRECT; -1 if the kernel refused to run it.
/// REQUIRES: bytes.size() >= kTestRunMin.
inline int run(const Program& program, std::span<const std::byte> bytes) {
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = bytes.data();
  options.data_size_in = static_cast<__u32>(bytes.size());
  if (bpf_prog_test_run_opts(program.fd(), &options) != 0) return -1;
  return static_cast<int>(options.retval);
}

/// True if tests that need privileges must not be skipped.
inline bool must_not_skip() {
  const char* value = std::getenv("SLUICE_REQUIRE_VETH");
  return value != nullptr && std::string_view(value) == "1";
}

/// A fixture with a loaded program that passes everything.
class ProgramTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ProgramOptions options;
    auto loaded = Program::load(options);
    if (loaded) {
      program_.emplace(std::move(*loaded));
    } else if (loaded.error().code == EPERM && !must_not_skip()) {
      GTEST_SKIP() << loaded.error().message();
    } else {
      FAIL() << loaded.error().message();
    }
  }
  Program& program() { return *program_; }
  /// Puts a list into force that is right by construction.
  void use(std::string_view text) {
    const auto rules = Rules::parse(text);
    ASSERT_TRUE(rules) << rules.error().message();
    const auto done = program().set_rules(*rules);
    ASSERT_TRUE(done) << done.error().message();
  }

 private:
  std::optional<Program> program_;
};

}  // namespace sluice::testing
