// SPDX-License-Identifier: Apache-2.0
#include "flags.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <sluice/cpu.hpp>

namespace sluice {

void Options::add(const std::string& flag, std::string& value,
                  const std::string& help) {
  app_.add_option(flag, value, help)->capture_default_str();
}
void Options::add(const std::string& flag, std::uint64_t& value,
                  const std::string& help) {
  app_.add_option(flag, value, help)->capture_default_str();
}
void Options::add(const std::string& flag, double& value,
                  const std::string& help) {
  app_.add_option(flag, value, help)->capture_default_str();
}
void Options::add(const std::string& flag, std::vector<std::string>& value,
                  const std::string& help) {
  app_.add_option(flag, value, help)->delimiter(',')->expected(1)->take_all();
}
void Options::add(const std::string& flag, std::vector<std::uint16_t>& value,
                  const std::string& help) {
  app_.add_option(flag, value, help)->delimiter(',')->expected(1)->take_all();
}
void Options::add(const std::string& flag, bool& value,
                  const std::string& help) {
  app_.add_flag(flag, value, help);
}

namespace app {
namespace {

// -i IF is a port named after its interface; --port NAME=IF names it.
Result<std::vector<PortOptions>> ports_of(const RunFlags& flags) {
  std::vector<PortOptions> ports;
  for (const std::string& name : flags.interfaces) {
    ports.push_back({name, name});
  }
  for (const std::string& port : flags.ports) {
    const auto equals = port.find('=');
    if (equals == 0 || equals == std::string::npos ||
        equals + 1 == port.size()) {
      return bad("--port", port, "Write NAME=INTERFACE or NAME=pcap:IN[,OUT].");
    }
    ports.push_back({port.substr(0, equals), port.substr(equals + 1)});
  }
  if (ports.empty()) {
    return Error{EINVAL, "run", "without an interface",
                 "Name one with -i IF or --port NAME=IF."};
  }
  return ports;
}

Result<Mode> mode_of(const std::string& name) {
  for (const Mode mode :
       {Mode::automatic, Mode::zero_copy, Mode::copy, Mode::generic}) {
    if (name == to_string(mode)) return mode;
  }
  return bad("--mode", name, "It is auto, zero-copy, copy or generic.");
}

Result<Masked> masked_of(const std::vector<std::string>& names) {
  Masked masked;
  const std::pair<const char*, bool*> rungs[] = {
      {"zero-copy", &masked.zero_copy},
      {"native", &masked.native},
      {"multi-buffer", &masked.multi_buffer},
      {"tx-budget", &masked.tx_budget},
      {"huge-pages", &masked.huge_pages},
      {"io_uring", &masked.io_uring},
      {"hardware-time", &masked.hardware_time},
      {"tx-metadata", &masked.tx_metadata}};
  for (const std::string& name : names) {
    bool known = false;
    for (const auto& [rung, flag] : rungs) {
      if (name == rung) *flag = known = true;
    }
    if (!known) {
      return bad("--without", name,
                 "It is zero-copy, native, multi-buffer, tx-budget, "
                 "huge-pages, io_uring, hardware-time or tx-metadata.");
    }
  }
  return masked;
}

// What is taken, and by whom.
void add_traffic_flags(CLI::App& app, RunFlags& flags) {
  app.add_option("-i,--interface", flags.interfaces,
                 "Interface to take packets from; names a port after it")
      ->type_name("IF");
  app.add_option("--port", flags.ports,
                 "A port with a name of its own: an interface, or captures; "
                 "what is sent goes to OUT")
      ->type_name("NAME=IF|NAME=pcap:IN[,OUT]");
  add_prepared_flags(app, flags);
  app.add_option(
         "--prepare", flags.prepare,
         "Mend what `sluice doctor` finds wrong, or the findings named, "
         "with commas, until the run ends")
      ->type_name("[ID,...]")
      ->expected(0, 1)
      ->default_str("wrong");
  app.add_option("--steer", flags.steer,
                 "Take only what matches, as tcpdump writes it; several are "
                 "alternatives. Without it: everything")
      ->type_name("EXPR")
      ->expected(1)
      ->take_all();
  app.add_option("--rules", flags.rules,
                 "The whole list of rules, from a file; SIGHUP reads it again")
      ->type_name("FILE");
  app.add_option("--mirror", flags.mirror,
                 "Write what mirror rules copy into a capture")
      ->type_name("FILE");
  app.add_flag("--force", flags.force,
               "Even if the rules cut this host off from its own addresses");
}

// How it gets to the handler.
void add_path_flags(CLI::App& app, RunFlags& flags) {
  app.add_option("--mode", flags.mode, "auto, zero-copy, copy or generic")
      ->capture_default_str();
  app.add_option("--without", flags.without,
                 "Rungs not to try: zero-copy, native, multi-buffer, "
                 "tx-budget, huge-pages, io_uring, hardware-time, "
                 "tx-metadata")
      ->delimiter(',')
      ->type_name("RUNG");
  app.add_flag("--timestamps", flags.timestamps,
               "Packets come with the time: the NIC's, where its driver tells, "
               "else by CLOCK_MONOTONIC");
  app.add_flag("--rx-hints", flags.rx_hints,
               "Packets come with the NIC's RSS hash and the VLAN tag that it "
               "took out, where its driver tells");
  app.add_flag("--tx-offload", flags.tx_offload,
               "What handlers ask for as they send (checksums, timestamps, "
               "launch times) is the NIC's work, where it offers it");
  add_dispatcher_flags(app, flags.dispatcher, flags.priority);
  app.add_flag("--spin", flags.spin, "Never sleep: a whole CPU for a queue");
  app.add_option("--batch", flags.batch, "Most packets to a turn, 1 to 256")
      ->capture_default_str();
  app.add_option("--ring-size", flags.ring_size,
                 "Entries of RX and TX: a power of two, 64 to 32768")
      ->capture_default_str();
  app.add_option("--frames-per-queue", flags.frames_per_queue,
                 "Frames of each core; 0: as many as it takes")
      ->capture_default_str();
  app.add_option("--frame-size", flags.frame_size, "2048 or 4096 bytes")
      ->capture_default_str();
  app.add_option("--bypass-flows", flags.bypass_flows,
                 "Flows that handlers may leave to the XDP program: 128 bytes "
                 "of memory each, for every port")
      ->capture_default_str();
}

// How long, and what is told meanwhile.
void add_output_flags(CLI::App& app, RunFlags& flags) {
  app.add_option("--duration", flags.duration,
                 "Stop after so many seconds; 0: run until a signal")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--heal-timeout", flags.heal_timeout,
                 "End with an error when an interface that went is not back "
                 "after so many seconds; 0: at once")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  app.add_option("--interval", flags.interval,
                 "Seconds between live lines; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--json", flags.json, "JSON, one object a line");
}

// For ports that are captures.
void add_capture_flags(CLI::App& app, RunFlags& flags) {
  app.add_option("--linger", flags.linger,
                 "Captures: timers go on so long after the last packet: 500ms, "
                 "60s, 2m, 1h")
      ->capture_default_str();
  app.add_option("--expect", flags.expected,
                 "Captures: fail at the first packet sent that is not that of "
                 "this capture; times do not count")
      ->type_name("[NAME=]FILE")
      ->expected(1)
      ->take_all();
}

}  // namespace

Error bad(const char* flag, const std::string& value, std::string advice) {
  return {EINVAL, flag, "'" + value + "'", std::move(advice)};
}

Result<Rules> rules_of(const RunFlags& flags, const Choice& handler) {
  if (!flags.rules.empty()) {
    if (flags.steer.empty()) return Rules::load(flags.rules);
    return bad("--steer", flags.steer.front(),
               "--rules is the whole list: write it there.");
  }
  std::vector<std::string> steer = flags.steer;
  if (handler.rules) {
    const std::vector<std::string> own = handler.rules();
    steer.insert(steer.begin(), own.begin(), own.end());
  } else if (steer.empty()) {
    steer.emplace_back("all");
  }
  return Rules::steer(steer);
}

void add_dispatcher_flags(CLI::App& app, bool& dispatcher,
                          std::uint32_t& priority) {
  auto* const flag = app.add_flag(
      "--dispatcher", dispatcher,
      "Attach through libxdp's dispatcher, beside other XDP programs");
  app.add_option("--priority", priority,
                 "With --dispatcher: the lowest is asked first")
      ->needs(flag)
      ->capture_default_str();
}

void add_prepared_flags(CLI::App& app, RunFlags& flags) {
  app.add_option(
         "--queues", flags.queues,
         "Queues to serve, a core each: all, or 0,2-3; of captures: how "
         "many")
      ->capture_default_str();
  app.add_option("--cpus", flags.cpus, "One for each queue: auto, or 0,2-3")
      ->capture_default_str();
  app.add_option("--rss", flags.rss,
                 "The NIC's RSS table: keep; spread: all over the queues "
                 "served; dedicated: over the others, and ntuple rules bring "
                 "what is steered")
      ->capture_default_str();
  app.add_flag("--busy-poll{64}", flags.busy_poll,
               "Pollers drive the NIC: their own calls move packets, a budget "
               "of 64 at a time, and interrupts are held back")
      ->type_name("[=BUDGET]")
      // In a file it is true or false, or a number.
      ->transform([](const std::string& text) {
        return std::string(text == "true"    ? "64"
                           : text == "false" ? "0"
                                             : text);
      });
}

void add_run_flags(CLI::App& app, RunFlags& flags) {
  add_traffic_flags(app, flags);
  add_path_flags(app, flags);
  add_output_flags(app, flags);
  add_capture_flags(app, flags);
}

namespace {

// The keys of a file are the flags of one command; CLI11 wants to be told.
class KeysOf : public CLI::ConfigTOML {
 public:
  explicit KeysOf(std::string command) : command_(std::move(command)) {}
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    auto keys = CLI::ConfigTOML::from_config(input);
    for (CLI::ConfigItem& item : keys) {
      item.parents.insert(item.parents.begin(), command_);
    }
    return keys;
  }

 private:
  std::string command_;
};

}  // namespace

void add_config_flag(CLI::App& app, CLI::App* command) {
  app.set_config("--config", "", "A TOML file that says what flags say");
  app.allow_config_extras(CLI::config_extras_mode::error);
  if (command == nullptr) return;
  app.config_formatter(std::make_shared<KeysOf>(command->get_name()));
  command->allow_config_extras(CLI::config_extras_mode::error);
  command->fallthrough();  // Given behind the command, it is the program's.
  command->footer("--config FILE names a TOML file that says what flags say.");
}

Result<EngineOptions> engine_options(const RunFlags& flags,
                                     const Choice& handler) {
  EngineOptions options;
  auto ports = ports_of(flags);
  if (!ports) return ports.error();
  options.ports = std::move(*ports);
  if (flags.queues != "all") {
    auto queues = parse_number_list("--queues", flags.queues);
    if (!queues) return queues.error();
    options.queues = std::move(*queues);
  }
  if (flags.cpus != "auto") {
    auto cpus = parse_number_list("--cpus", flags.cpus);
    if (!cpus) return cpus.error();
    options.cpus = std::move(*cpus);
  }
  auto rules = rules_of(flags, handler);
  if (!rules) return rules.error();
  options.rules = std::move(*rules);
  // Nobody said what to take: the program that is there knows.
  options.keep_attached =
      flags.rules.empty() && flags.steer.empty() && !handler.rules;
  auto mode = mode_of(flags.mode);
  if (!mode) return mode.error();
  options.mode = *mode;
  auto masked = masked_of(flags.without);
  if (!masked) return masked.error();
  options.masked = *masked;
  options.poller.spin = flags.spin;
  options.poller.batch = flags.batch;
  options.ring_size = flags.ring_size;
  options.frames_per_queue = flags.frames_per_queue;
  options.frame_size = flags.frame_size;
  options.bypass_flows = flags.bypass_flows;
  options.holds = handler.holds;
  options.force = flags.force;
  options.busy_poll = flags.busy_poll;
  options.timestamps = flags.timestamps;
  options.rx_hints = flags.rx_hints;
  options.tx_offload = flags.tx_offload;
  options.dispatcher = flags.dispatcher;
  options.priority = flags.priority;
  options.heal_timeout =
      Duration(static_cast<std::int64_t>(flags.heal_timeout * 1e9));
  return options;
}

}  // namespace app
}  // namespace sluice
