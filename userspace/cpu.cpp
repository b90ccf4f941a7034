// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <sluice/cpu.hpp>

namespace sluice {
namespace {

Result<void> pin(pthread_t thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  const int code = ::pthread_setaffinity_np(thread, sizeof set, &set);
  if (code == 0) return {};
  return Error{code, "sched_setaffinity", "cpu " + std::to_string(cpu),
               "Choose one that `taskset -p $$` lists."};
}

}  // namespace

Result<std::vector<int>> allowed_cpus() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) {
    return Error::last("sched_getaffinity");
  }
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<unsigned>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::vector<int> cpus_for(std::size_t count, std::vector<int> named,
                          std::span<const int> allowed) {
  while (named.size() < count && !allowed.empty()) {
    named.push_back(allowed[named.size() % allowed.size()]);
  }
  return named;
}

Result<std::vector<int>> parse_number_list(const char* what,
                                           std::string_view text) {
  constexpr int kNumberMax = 4095;
  const Error bad{EINVAL, what, "'" + std::string(text) + "'",
                  "Write numbers and ranges: 0,2-4."};
  std::vector<int> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    int first = 0;
    auto [after, error] = std::from_chars(at, end, first);
    if (error != std::errc{} || first < 0 || first > kNumberMax) return bad;
    int last = first;
    if (after != end && *after == '-') {
      auto range = std::from_chars(after + 1, end, last);
      if (range.ec != std::errc{} || last < first || last > kNumberMax) {
        return bad;
      }
      after = range.ptr;
    }
    for (int n = first; n <= last; ++n) numbers.push_back(n);
    if (after == end) break;
    if (*after != ',') return bad;
    at = after + 1;
  }
  std::vector<int> sorted = numbers;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) {
    return Error{EINVAL, what, bad.arguments, "A number stands there twice."};
  }
  return numbers;
}

Result<void> pin_this_thread(int cpu, const std::string& name) {
  if (auto pinned = pin(::pthread_self(), cpu); !pinned) return pinned;
  ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
  return {};
}

bool is_pinned(std::thread& thread, int cpu) {
  cpu_set_t set;
  const bool told =
      ::pthread_getaffinity_np(thread.native_handle(), sizeof set, &set) == 0;
  return !told ||
         (CPU_COUNT(&set) == 1 && CPU_ISSET(static_cast<unsigned>(cpu), &set));
}

Result<void> pin(std::thread& thread, int cpu) {
  return pin(thread.native_handle(), cpu);
}

}  // namespace sluice
