// SPDX-License-Identifier: Apache-2.0
#include <ctime>
#include <sluice/clock.hpp>

namespace sluice {

Time monotonic_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return {static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
          static_cast<std::uint64_t>(now.tv_nsec)};
}

}  // namespace sluice
