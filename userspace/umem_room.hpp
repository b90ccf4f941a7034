// SPDX-License-Identifier: Apache-2.0
// What memory there is for packets. Private to the library.
#pragma once

#include <cstdint>

namespace sluice {

/// Bytes that can be had now without taking them from others: what the host has
/// available, or less where a control group (v2) of this process allows less.
/// System calls: open(2), read(2) of procfs and /sys/fs/cgroup.
[[nodiscard]] std::uint64_t memory_available();

/// Huge pages that this host has reserved, of its default size.
struct HugePages {
  std::uint64_t total = 0;
  std::uint64_t free = 0;  ///< Neither used nor promised.
  std::uint64_t size = 0;  ///< Of one, in bytes.
};
/// System calls: open(2), read(2) of /proc/meminfo.
[[nodiscard]] HugePages huge_pages();

}  // namespace sluice
