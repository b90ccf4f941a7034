// SPDX-License-Identifier: Apache-2.0
// `sluice rules`: lists of rules, looked at and changed from any process.
// Private to the app wing.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace sluice::app {

/// The flags of all its commands.
struct RulesFlags {
  std::string interface;
  std::string file;
  std::string packet;
  std::string name;    // Of a rule: a label or a handle.
  std::string before;  // The same.
  std::vector<std::string> rule;
  std::string confirm;  // How long to wait for a confirmation.
  bool force = false;
  bool json = false;
  bool watch = false;
};

/// Names the commands and their flags; `app` keeps references into `flags`.
void add_rules_commands(CLI::App& app, RulesFlags& flags);

/// Does the one that was given; the exit code.
int run_rules_command(const CLI::App& app, const RulesFlags& flags);

}  // namespace sluice::app
