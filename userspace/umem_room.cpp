// SPDX-License-Identifier: Apache-2.0
#include "umem_room.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "host_files.hpp"

namespace sluice {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

// Nothing for what is no number: "max".
std::optional<std::uint64_t> number_in(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return std::nullopt;
  text.remove_prefix(first);
  std::uint64_t number = 0;
  const auto parsed =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc()) return std::nullopt;
  return number;
}

// The number behind `name` and a separator, in a file of such lines.
std::optional<std::uint64_t> field(const std::string& path,
                                   std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name)) {
      return number_in(std::string_view(line).substr(name.size()));
    }
  }
  return std::nullopt;
}

// What one group leaves: the cache of files that nobody uses counts as free.
std::uint64_t left_in(const std::string& group) {
  const auto limit = number_in(read_line(group + "/memory.max"));
  const auto used = number_in(read_line(group + "/memory.current"));
  if (!limit || !used) return kUnlimited;
  const std::uint64_t cache =
      field(group + "/memory.stat", "inactive_file ").value_or(0);
  const std::uint64_t kept = *used - std::min(*used, cache);
  return *limit - std::min(*limit, kept);
}

// What the host has available, or less where a group allows less.
std::uint64_t memory_available() {
  std::uint64_t least = kUnlimited;
  if (const auto kib = field("/proc/meminfo", "MemAvailable:")) {
    least = *kib * 1024;
  }
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    constexpr std::string_view kVersion2 = "0::";
    if (!line.starts_with(kVersion2)) continue;
    // A group has no more than those that it is in.
    for (std::string path = line.substr(kVersion2.size()); !path.empty();
         path.resize(path.rfind('/'))) {
      least = std::min(least, left_in("/sys/fs/cgroup" + path));
    }
  }
  return least;
}

// Huge pages that this host has reserved, of its default size.
struct HugePages {
  std::uint64_t total = 0;
  std::uint64_t free = 0;  // Neither used nor promised.
  std::uint64_t size = 0;  // Of one, in bytes.
};

HugePages huge_pages() {
  const std::string path = "/proc/meminfo";
  HugePages pages;
  pages.total = field(path, "HugePages_Total:").value_or(0);
  const auto free = field(path, "HugePages_Free:").value_or(0);
  const auto promised = field(path, "HugePages_Rsvd:").value_or(0);
  pages.free = free - std::min(free, promised);
  pages.size = field(path, "Hugepagesize:").value_or(0) * 1024;
  return pages;
}

std::string mebibytes(std::uint64_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

}  // namespace

Result<void> check_room(std::size_t size, const std::string& what) {
  const std::uint64_t available = memory_available();
  if (size <= available) return {};
  return Error{ENOMEM, "memory", what,
               mebibytes(size) + " are asked for, and " + mebibytes(available) +
                   " can be had: lower --frames-per-queue or --ring-size."};
}

Error why_not_huge(std::size_t size, const std::string& what) {
  const HugePages pages = huge_pages();
  if (pages.total == 0) return {};
  if (size % kHugePage != 0) {
    return {EINVAL, "huge pages", what,
            "These are no whole huge pages: choose another number with "
            "--frames-per-queue."};
  }
  return {ENOMEM, "huge pages", what,
          mebibytes(size) + " are needed, and " +
              mebibytes(pages.free * pages.size) + " of the " +
              mebibytes(pages.total * pages.size) +
              " reserved are free: reserve more (sysctl vm.nr_hugepages)."};
}

}  // namespace sluice
