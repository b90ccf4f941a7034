// SPDX-License-Identifier: Apache-2.0
// Rules::List: what Rules share, and the reading of files.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <sluice/rules.hpp>

#include "expression_parse.hpp"

namespace sluice {

struct Rules::List {
  std::vector<Rule> rules;
  Action default_action = Action::pass;
  bool fragments_pass = true;
  std::vector<std::string> sources;
  language::Sets sets;

  /// A line of a source; 0: the source has no lines.
  [[nodiscard]] std::string place(std::uint32_t source, std::size_t line) const;
};

namespace language {

/// A file, wherever it is found: device and inode.
using FileId = std::pair<std::uint64_t, std::uint64_t>;

struct TextFile {
  FileId id;
  std::string text;
};

/// The whole of a file. open(2), fstat(2), read(2).
[[nodiscard]] Result<TextFile> read_file(const std::string& path);

/// Reads `{ ELEMENT, ... }`, going on to further lines with `next_line`, which
/// says no at the end of the text.
[[nodiscard]] Result<NamedSet> parse_set(
    Line& line, const std::function<bool()>& next_line);

/// The set as parse_set() reads it.
[[nodiscard]] std::string text_of(const NamedSet& set);

}  // namespace language
}  // namespace sluice
