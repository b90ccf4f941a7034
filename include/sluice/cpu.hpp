// SPDX-License-Identifier: Apache-2.0
// Cpu: which cores this process may use, and how to stay on one of them.
#pragma once

#include <cstddef>
#include <sluice/result.hpp>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace sluice {

/// CPU numbers in this process's affinity mask, ascending.
/// System call: sched_getaffinity(2).
[[nodiscard]] Result<std::vector<int>> allowed_cpus();

/// A CPU for each of `count` threads: those named, then the allowed ones in
/// turn; fewer where none is allowed.
[[nodiscard]] std::vector<int> cpus_for(std::size_t count,
                                        std::vector<int> named,
                                        std::span<const int> allowed);

/// "0,2-4" as {0, 2, 3, 4}. Fails (EINVAL) at the first character that is
/// wrong.
[[nodiscard]] Result<std::vector<int>> parse_number_list(const char* what,
                                                         std::string_view text);

/// Pins the calling thread to `cpu` and names it (15 characters are kept).
/// System calls: sched_setaffinity(2), pthread_setname_np(3).
[[nodiscard]] Result<void> pin_this_thread(int cpu, const std::string& name);

/// Whether the thread may run on `cpu` and nowhere else. A CPU that goes
/// offline makes this false, and so does whoever changes the affinity. True as
/// well where the kernel does not tell.
/// System call: sched_getaffinity(2).
[[nodiscard]] bool is_pinned(std::thread& thread, int cpu);
/// Pins it. EINVAL: the CPU is offline, or not allowed. System call:
/// sched_setaffinity(2).
[[nodiscard]] Result<void> pin(std::thread& thread, int cpu);

/// Tells the core that this is a spin-wait loop.
inline void spin_pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace sluice
