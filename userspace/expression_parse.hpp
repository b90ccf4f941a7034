// SPDX-License-Identifier: Apache-2.0
// From the words of a line to an Expression.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <sluice/expression.hpp>
#include <sluice/result.hpp>

#include "expression_line.hpp"

namespace sluice::language {

/// What `define` gave a name to: addresses and prefixes, or ports. Null where
/// there are none of a kind.
struct NamedSet {
  std::shared_ptr<const std::vector<Prefix>> prefixes4;
  std::shared_ptr<const std::vector<Prefix>> prefixes6;
  std::shared_ptr<const std::vector<NumberRange>> ports;
};
using Sets = std::map<std::string, NamedSet, std::less<>>;

/// Deepest nesting, of what is written and of the tree that comes of it.
inline constexpr std::size_t kNestingMax = 64;

/// Reads up to `else` or the end of the line. Nothing, or "all": every packet.
[[nodiscard]] Result<Expression> parse_expression(Line& line, const Sets& sets);

/// Whether a comparison of a byte is next: `tcp[tcpflags] & 2 != 0`, also with
/// its left side in parentheses.
[[nodiscard]] bool at_relation(const Line& line);

/// Reads it. `depth`: VLAN tags in front.
[[nodiscard]] Result<Expression> parse_relation(Line& line, std::uint8_t depth);

}  // namespace sluice::language
