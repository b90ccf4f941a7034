// SPDX-License-Identifier: Apache-2.0
// Small files of sysfs and procfs. Private to the library.
#pragma once

#include <fstream>
#include <sluice/cpu.hpp>
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

/// "0,2-3" as numbers; none for what is no such list.
inline std::vector<int> numbers_in(const std::string& text) {
  auto numbers = parse_number_list("list", text);
  return numbers ? std::move(*numbers) : std::vector<int>();
}

}  // namespace sluice
