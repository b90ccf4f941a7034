// SPDX-License-Identifier: Apache-2.0
// Edits of a list: one rule more, one rule less, and what two lists differ in.
//
// An edit makes a list of its own; what it came from stays as it is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/result.hpp>
#include <sluice/rules.hpp>

namespace sluice {

/// Twelve hexadecimal digits that name a rule by its text: they stay the same
/// while other rules come and go, in every process and on every machine. Rules
/// of the same text have the same handle.
[[nodiscard]] std::string handle_of(const Rule& rule);

/// The index of the rule called "@label", "label" or by its handle. Of several
/// with the same text the last, which is never asked. Errors: ENOENT; ENOTUNIQ,
/// where rules of different texts have the handle.
[[nodiscard]] Result<std::size_t> find_rule(const Rules& rules,
                                            std::string_view name);

/// The list with the rule `line` in front of the rule called `before`, or at
/// its end where that is empty. Errors: as Rules::parse(), as find_rule(), and
/// EINVAL where `line` is not one rule.
[[nodiscard]] Result<Rules> with_rule(const Rules& rules, std::string_view line,
                                      std::string_view before = {});

/// The list without the rule called `name`. Errors: as find_rule().
[[nodiscard]] Result<Rules> without_rule(const Rules& rules,
                                         std::string_view name);

/// The lines of Rules::text() that make one list the other: "- LINE" goes,
/// "+ LINE" comes, in the order of the lists. A line that changes its place
/// does both. Empty: the lists do the same.
[[nodiscard]] std::vector<std::string> differences(const Rules& before,
                                                   const Rules& after);

}  // namespace sluice
