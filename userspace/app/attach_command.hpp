// SPDX-License-Identifier: Apache-2.0
// `sluice attach` and `sluice detach`: a program that outlives its process.
// Private to the app wing.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace sluice::app {

struct AttachFlags {
  std::string interface;
  std::string rules;  // A file.
  std::string mode = "auto";
  std::uint32_t bypass_flows = 0;
  bool timestamps = false;
  bool rx_hints = false;
  bool dispatcher = false;
  std::uint32_t priority = 50;
  bool force = false;
  bool json = false;
};

/// Names their flags; `attach` and `detach` keep references into `flags`.
void add_attach_flags(CLI::App& attach, CLI::App& detach, AttachFlags& flags);

/// The exit codes.
int attach_command(const AttachFlags& flags);
int detach_command(const AttachFlags& flags);

}  // namespace sluice::app
