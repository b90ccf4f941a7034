// SPDX-License-Identifier: Apache-2.0
// The flags of `run`, and what they make of an engine. Private to the app wing.
#pragma once

#include <sluice/app.hpp>
#include <string>
#include <vector>

namespace sluice::app {

struct RunFlags {
  std::vector<std::string> interfaces;
  std::vector<std::string> ports;
  std::string queues = "all";
  std::string cpus = "auto";
  std::vector<std::string> steer;
  std::string handler = "drop";
  std::string mode = "auto";
  std::vector<std::string> without;
  bool spin = false;
  std::uint32_t batch = 64;
  std::uint32_t ring_size = 2048;
  std::uint32_t frames_per_queue = 0;
  std::uint32_t frame_size = 2048;
  double duration = 0;
  double interval = 1;
  bool json = false;
  bool force = false;
};

/// Names the flags to CLI11. `app` keeps references into `flags`.
void add_run_flags(CLI::App& app, RunFlags& flags);

/// Fails with EINVAL where a value makes no sense.
[[nodiscard]] Result<EngineOptions> engine_options(const RunFlags& flags,
                                                   const Choice& handler);

}  // namespace sluice::app
