// SPDX-License-Identifier: Apache-2.0
// From a value and the qualifiers in front of it to an Expression.
#pragma once

#include <string_view>

#include <sluice/result.hpp>

#include "expression_parse.hpp"

namespace sluice::language {

/// The words that say what a value is. Those behind `and` and `or` that have
/// none of their own have those before: `port 53 or 80`.
struct Qualifiers {
  enum class Direction : std::uint8_t { either, source, destination, both };
  enum class Type : std::uint8_t {
    none,  ///< Nothing has been said yet.
    host,  ///< Also where only a direction is given.
    net,
    port,
    portrange,
    proto
  };
  std::string_view protocol;  ///< "tcp", or empty.
  Direction direction = Direction::either;
  Type type = Type::none;
};

[[nodiscard]] Expression primitive(const Primitive& primitive);

/// `left kind right`, with operands of the same kind taken up: and and or look
/// from left to right however they are bracketed.
[[nodiscard]] Expression combined(Expression::Kind kind, Expression left,
                                  Expression right);

/// Takes one value, with `mask` and what follows, off the line. `depth`: VLAN
/// tags in front.
[[nodiscard]] Result<Expression> parse_value(Line& line, const Sets& sets,
                                             const Qualifiers& qualifiers,
                                             std::uint8_t depth);

/// A number in any parentheses, and how many words they are; 0: it is none.
struct NumberAhead {
  std::size_t words = 0;
  std::uint32_t number = 0;
};
[[nodiscard]] NumberAhead number_ahead(const Line& line);

}  // namespace sluice::language
