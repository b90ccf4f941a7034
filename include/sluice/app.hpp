// SPDX-License-Identifier: Apache-2.0
// run<Handler>: a whole program around a handler. Flags, signals, live lines,
// totals, JSON, and the control socket. Target sluice::app.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <sluice/engine.hpp>
#include <sluice/handler.hpp>
#include <sluice/headers.hpp>
#include <sluice/parse.hpp>
#include <sluice/testing/pcap_engine.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace sluice {

/// Where a handler names its own flags. The values are there when the command
/// line, and the file given with --config, have been read.
class Options {
 public:
  explicit Options(CLI::App& app) : app_(app) {}

  /// A flag with a value: "--depth". `value` keeps what it has as the default.
  /// A vector takes the flag several times, or values separated by commas.
  void add(const std::string& flag, std::string& value,
           const std::string& help);
  void add(const std::string& flag, std::uint64_t& value,
           const std::string& help);
  void add(const std::string& flag, double& value, const std::string& help);
  void add(const std::string& flag, std::vector<std::string>& value,
           const std::string& help);
  void add(const std::string& flag, std::vector<std::uint16_t>& value,
           const std::string& help);
  /// A flag without a value.
  void add(const std::string& flag, bool& value, const std::string& help);

 private:
  CLI::App& app_;
};

namespace app {

/// A handler with its type taken off: what `run` needs of it.
struct Choice {
  std::string name;
  std::string summary;
  std::uint32_t holds = 0;
  std::function<void(Options&)> options;
  /// What the handler itself needs steered, as expressions; empty where it has
  /// no such wish, and gets everything unless --steer says otherwise.
  std::function<std::vector<std::string>()> rules;
  std::function<Result<void>(Engine&)> start;
  std::function<Result<void>(testing::PcapEngine&)> start_pcap;
};

template <Handler H>
[[nodiscard]] Choice choice(std::string name, std::string summary = {}) {
  auto config = std::make_shared<handler::Config<H>>();
  Choice choice;
  choice.name = std::move(name);
  choice.summary = std::move(summary);
  choice.holds = handler::holds<H>();
  choice.options = [config](Options& options) {
    if constexpr (requires { H::Config::options(options, *config); }) {
      H::Config::options(options, *config);
    }
  };
  if constexpr (requires { H::rules(*config); }) {
    choice.rules = [config] { return H::rules(*config); };
  }
  choice.start = [config](Engine& engine) { return engine.start<H>(*config); };
  choice.start_pcap = [config](testing::PcapEngine& engine) {
    return engine.start<H>(*config);
  };
  return choice;
}

/// The flags of `sluice run` and one handler; the program of run<H>.
int run_one(int argc, char** argv, const Choice& handler);

/// The `sluice` command: run with a choice of handlers, status.
int run_command(int argc, char** argv, const std::vector<Choice>& handlers);

}  // namespace app

/// The whole of a handler's main(). 0: ended as asked; 1: failed; 2: usage.
template <class H>
int run(int argc, char** argv) {
  static_assert(Handler<H>,
                "a handler is called as void operator()(sluice::Packet, "
                "sluice::Core&) noexcept or, for a whole burst, as void "
                "operator()(sluice::Burst&, sluice::Core&) noexcept; it has "
                "one of the two");
  return app::run_one(argc, argv, app::choice<H>("handler"));
}

}  // namespace sluice
