// SPDX-License-Identifier: Apache-2.0
// ProgramTest: the loaded XDP program, to be run on bytes: no interface, no
// traffic. Without the capabilities a test is skipped with the reason, or fails
// under SLUICE_REQUIRE_VETH=1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sluice/program.hpp>
#include <sluice/testing/frame.hpp>

namespace sluice::testing {

/// Fewer bytes the kernel does not run an XDP program on.
inline constexpr std::size_t kRunOnMin = 14;

/// A datagram to that port.
inline Bytes udp_to(std::uint16_t port, std::size_t payload = 10) {
  return Frame()
      .eth()
      .ipv4("192.0.2.9", "192.0.2.1")
      .udp(4000, port)
      .payload(payload);
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
