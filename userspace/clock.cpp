// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <ctime>
#include <fstream>
#include <sluice/clock.hpp>
#include <string>

namespace sluice {
namespace {

// How far CLOCK_MONOTONIC is ahead in this process's time namespace, in ns.
// Source: time_namespaces(7).
std::int64_t ahead() {
  std::ifstream file("/proc/self/timens_offsets");
  std::string clock;
  std::int64_t seconds = 0;
  std::int64_t ns = 0;
  while (file >> clock >> seconds >> ns) {
    if (clock == "monotonic") return seconds * 1'000'000'000 + ns;
  }
  return 0;
}

// A process stays in the time namespace that it began in.
const std::int64_t kAhead = ahead();

}  // namespace

Time monotonic_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return {static_cast<std::uint64_t>(now.tv_sec * 1'000'000'000 + now.tv_nsec -
                                     kAhead)};
}

}  // namespace sluice
