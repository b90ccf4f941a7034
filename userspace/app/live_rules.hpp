// SPDX-License-Identifier: Apache-2.0
// LiveRules: the list in force on an interface, asked of the process that runs
// there, or read from its pins where there is none; and changed in the same
// way. Private to the app wing.
#pragma once

#include <cstdint>
#include <optional>
#include <sluice/engine.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::app {

/// A list in force, and what it has counted.
struct LiveRules {
  std::string interface;
  std::optional<int> owner;  ///< The process that runs there; none: pinned.
  std::uint64_t version = 0;
  Rules rules;
  Counts counts;
};

/// Of this network namespace: owned by a process, or with a pinned program.
[[nodiscard]] std::vector<std::string> interfaces_in_use();

/// The interface meant: the one named, or the only one that has a list.
[[nodiscard]] Result<std::string> interface_of(const std::string& named);

/// ENOENT: Sluice is not on that interface.
[[nodiscard]] Result<LiveRules> read_rules(const std::string& interface);

/// A list to be put into force.
struct Proposal {
  Rules rules;
  /// Only in place of this version: EAGAIN if another is in force by now.
  std::optional<std::uint64_t> instead_of;
  bool force = false;  ///< Even if it cuts this host off.
};

/// Puts a list into force, at once; its version. Every change of a list in
/// force, whatever the command, comes this way: the lock-out guard, then the
/// exchange as a whole. EPERM: the guard.
[[nodiscard]] Result<std::uint64_t> propose_rules(const std::string& interface,
                                                  const Proposal& proposal);

/// The owner's side: answers read_rules() and propose_rules(). Nothing: the
/// request is neither.
[[nodiscard]] std::optional<std::string> answer_rules(
    Engine& engine, const std::string& interface, std::string_view request);

}  // namespace sluice::app
