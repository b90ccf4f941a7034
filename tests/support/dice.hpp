// SPDX-License-Identifier: Apache-2.0
// Dice: random choices that a seed repeats.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace sluice::testing {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  /// REQUIRES: count > 0.
  std::size_t below(std::size_t count) { return engine_() % count; }
  bool one_in(std::size_t count) { return below(count) == 0; }
  std::uint8_t byte() { return static_cast<std::uint8_t>(engine_()); }
  template <class T>
  const auto& of(const T& values) {
    return values[below(std::size(values))];
  }

 private:
  std::mt19937_64 engine_;
};

/// SLUICE_TEST_SEED, or a new one; printed, so that a run can be repeated.
inline std::uint64_t chosen_seed() {
  const char* given = std::getenv("SLUICE_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0)
                                              : std::random_device{}();
  std::cout << "SLUICE_TEST_SEED=" << seed << "\n";
  return seed;
}

}  // namespace sluice::testing
