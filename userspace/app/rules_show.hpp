// SPDX-License-Identifier: Apache-2.0
// How lists of rules are told, to people and as JSON. Private to the app wing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "live_rules.hpp"

namespace sluice::app {

/// A list in force, with what each rule has counted.
[[nodiscard]] std::string rules_text(const LiveRules& live);
[[nodiscard]] std::string rules_json(const LiveRules& live);

/// `status` of a program that is attached and that no process owns.
[[nodiscard]] std::string attached_json(const LiveRules& live);

/// What `rules check` found: an error, or warnings.
[[nodiscard]] std::string check_json(const std::string& file,
                                     const Rules& rules,
                                     const std::optional<Error>& error);

/// Lines of differences(), of an interface and a file.
[[nodiscard]] std::string diff_json(const std::string& interface,
                                    const std::string& file,
                                    const std::vector<std::string>& lines);

/// What came of a change: "eth0: list 4 is in force, 12 rules".
[[nodiscard]] std::string loaded(const std::string& interface,
                                 std::uint64_t version, const Rules& rules,
                                 bool as_json);

/// One of Rules::warnings(), a line.
[[nodiscard]] std::string warning_line(const std::string& file,
                                       const Warning& warning);

/// Why a list does what it does with one packet, the `number`-th.
[[nodiscard]] std::string explanation_json(std::uint64_t number,
                                           const Rules& rules,
                                           const Explanation& explanation);

}  // namespace sluice::app
