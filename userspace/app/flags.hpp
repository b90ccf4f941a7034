// SPDX-License-Identifier: Apache-2.0
// The flags of `run`, and what they make of an engine. Private to the app wing.
#pragma once

#include <sluice/app.hpp>
#include <sluice/testing/pcap_engine.hpp>
#include <string>
#include <vector>

namespace sluice::app {

struct RunFlags {
  std::vector<std::string> interfaces;
  std::vector<std::string> ports;
  std::string queues = "all";
  std::string cpus = "auto";
  std::vector<std::string> steer;
  std::string rules;  // A file.
  std::string handler = "drop";
  std::string mode = "auto";
  std::vector<std::string> without;
  bool spin = false;
  std::uint32_t busy_poll = 0;
  bool timestamps = false;
  bool rx_hints = false;
  bool tx_offload = false;
  bool dispatcher = false;
  std::uint32_t priority = 50;
  std::uint32_t batch = 64;
  std::uint32_t ring_size = 2048;
  std::uint32_t frames_per_queue = 0;
  std::uint32_t frame_size = 2048;
  std::uint32_t bypass_flows = 0;
  std::string mirror;  // A file.
  double duration = 0;
  double heal_timeout = 30;
  double interval = 1;
  bool json = false;
  bool force = false;
  std::string prepare;  // Findings, or "wrong"; empty: nothing.
  std::string rss = "keep";
  std::string linger = "0";           // Captures only, as what follows.
  std::vector<std::string> expected;  // --expect
};

/// Names the flags to CLI11. `app` keeps references into `flags`.
void add_run_flags(CLI::App& app, RunFlags& flags);
/// --dispatcher and --priority, of `run` and `attach`.
void add_dispatcher_flags(CLI::App& app, bool& dispatcher,
                          std::uint32_t& priority);
/// Those that say what a host is to be prepared for: --queues, --cpus, --rss,
/// --busy-poll.
void add_prepared_flags(CLI::App& app, RunFlags& flags);
/// --config FILE: its keys are the flags of `command`, or of `app` itself
/// where that is null. A key that is no flag is a usage error.
void add_config_flag(CLI::App& app, CLI::App* command);

/// Fails with EINVAL where a value makes no sense.
[[nodiscard]] Result<EngineOptions> engine_options(const RunFlags& flags,
                                                   const Choice& handler);

/// A value of a flag that makes no sense.
[[nodiscard]] Error bad(const char* flag, const std::string& value,
                        std::string advice);
/// "60s", "500ms"; a number alone is seconds.
[[nodiscard]] Result<Duration> duration_of(const char* flag,
                                           const std::string& text);
/// --rules alone; or --steer, and what the handler needs.
[[nodiscard]] Result<Rules> rules_of(const RunFlags& flags,
                                     const Choice& handler);

/// A port over captures: --port NAME=pcap:IN[,OUT].
struct PcapPort {
  std::string name;
  std::string in, out;
  std::string expected;  ///< Of --expect; empty: none.
};

/// Some port is over captures.
[[nodiscard]] bool is_pcap(const RunFlags& flags);

/// EINVAL for a flag that has a meaning for captures only.
Result<void> refuse_pcap_flags(const RunFlags& flags);

/// Fails with EINVAL where a value makes no sense, and where an interface is
/// named, too.
[[nodiscard]] Result<std::vector<PcapPort>> pcap_ports(const RunFlags& flags);
[[nodiscard]] Result<testing::PcapOptions> pcap_options(
    const RunFlags& flags, const Choice& handler,
    const std::vector<PcapPort>& ports);

}  // namespace sluice::app
