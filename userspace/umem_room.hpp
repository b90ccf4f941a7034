// SPDX-License-Identifier: Apache-2.0
// What memory there is for packets. Private to the library.
#pragma once

#include <cstddef>
#include <sluice/result.hpp>
#include <string>

namespace sluice {

inline constexpr std::size_t kHugePage = 2u << 20;

/// ENOMEM where `size` bytes, of `what`, are more than can be had without
/// taking them from others: than the host has available, or a control group
/// (v2) of this process allows. They would be taken at once, and pinned: the
/// kernel would end this process for them, or another one. System calls:
/// open(2), read(2) of procfs and /sys/fs/cgroup.
[[nodiscard]] Result<void> check_room(std::size_t size,
                                      const std::string& what);

/// Why reserved huge pages do not hold `size` bytes, of `what`; code 0 where
/// this host has reserved none.
/// System calls: open(2), read(2) of /proc/meminfo.
[[nodiscard]] Error why_not_huge(std::size_t size, const std::string& what);

}  // namespace sluice
