// SPDX-License-Identifier: Apache-2.0
// Small files of sysfs and procfs. Private to the library.
#pragma once

#include <fstream>
#include <sluice/cpu.hpp>
#include <sluice/netdev.hpp>
#include <string>
#include <vector>

namespace sluice {

/// The first line; empty where there is no such file.
inline std::string read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Writes it whole. System calls: open(2), write(2).
inline Result<void> write_file(const std::string& path,
                               const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  if (file) return {};
  return Error::last("write", path);
}

/// The interface's folder in sysfs. /sys may be of another network namespace,
/// with another interface of that name; empty then.
[[nodiscard]] std::string sysfs_folder(const Netdev& device);

/// "0,2-3" as numbers; none for what is no such list.
inline std::vector<int> numbers_in(const std::string& text) {
  auto numbers = parse_number_list("list", text);
  return numbers ? std::move(*numbers) : std::vector<int>();
}

}  // namespace sluice
