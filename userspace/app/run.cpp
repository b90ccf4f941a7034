// SPDX-License-Identifier: Apache-2.0
// The commands: run, with its signals and intervals, and status; the others are
// beside.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "attach_command.hpp"
#include "doctor_command.hpp"
#include "flags.hpp"
#include "live_rules.hpp"
#include "mirror_file.hpp"
#include "prepare.hpp"
#include "rules_command.hpp"
#include "rules_file.hpp"
#include "rules_show.hpp"
#include "run.hpp"
#include "show.hpp"
#include "signals.hpp"

namespace sluice::app {
namespace {

std::string answer_of(Engine& engine, const std::string& interface,
                      std::string_view request) {
  if (request == "status") return status_json(engine, engine.stats());
  return answer_rules(engine, interface, request)
      .value_or("{\"error\":\"unknown request\"}\n");
}

// From the first live line to the reason to stop.
std::string serve(Engine& engine, const RunFlags& flags, StopSignals& signals,
                  MirrorFile& mirror, Show& show) {
  const auto answer = [&](const std::string& interface,
                          std::string_view request) {
    return answer_of(engine, interface, request);
  };
  RulesFile file(flags.rules, engine.options().rules);
  Timetable timetable(flags);
  Stats before = engine.stats();
  std::vector<int> fds = mirror.fds();
  fds.push_back(signals.fd());
  while (true) {
    const auto served = engine.serve(timetable.next(), fds, answer);
    for (const std::string& line : engine.take_news()) show.news(line);
    mirror.copy();
    if (served == Engine::Served::readable && signals.pending()) {
      std::string signal = signals.take();
      if (signal != "SIGHUP" || flags.rules.empty()) return signal;
      for (const std::string& line : file.reload(engine)) show.news(line);
    }
    if (served == Engine::Served::gone) return "an interface is gone";
    const Time now = monotonic_now();
    if (timetable.over(now)) return "duration";
    if (timetable.take_line(now)) {
      Stats after = engine.stats();
      show.interval(before, after);
      before = std::move(after);
    }
    if (std::ferror(stdout) != 0) return "nobody reads the output";
  }
}

// Where something is to be put back at the end, SIGHUP is no way to die either.
StopSignals::Hangup hangup_of(const RunFlags& flags) {
  return flags.rules.empty() && !Preparation::wanted(flags)
             ? StopSignals::Hangup::ends
             : StopSignals::Hangup::is_told;
}

int fail_start(const Error& error, const RunFlags& flags,
               const EngineOptions& options) {
  const int code = fail(error);
  tell_causes(error, flags, options);
  return code;
}

// The engine is gone when this returns, and what it changed of the host.
int run_on(const RunFlags& flags, const Choice& handler,
           const EngineOptions& options, std::optional<StopSignals>& signals,
           const Preparation& preparation) {
  auto engine = Engine::open(options);
  if (!engine) return fail_start(engine.error(), flags, options);
  auto mirror = MirrorFile::open(flags.mirror, **engine);
  if (!mirror) return fail(mirror.error());
  if (!signals) signals.emplace(hangup_of(flags));
  if (auto started = handler.start(**engine); !started) {
    return fail_start(started.error(), flags, options);
  }
  const auto show = flags.json ? json_show() : text_show();
  show->started(Granted(**engine));
  for (const std::string& line : preparation.news()) show->news(line);
  for (const std::string& line : (*engine)->take_news()) show->news(line);
  const std::string reason = serve(**engine, flags, *signals, *mirror, *show);
  (*engine)->stop();
  const auto closed = mirror->close();
  const Stats stats = (*engine)->stats();
  show->ended(stats, (*engine)->report(), reason);
  if (!closed) return fail(closed.error());
  bool failed = false;
  if (const auto& failure = (*engine)->failure()) {
    failed = true;
    fail(*failure);
  }
  if (!stats.ledger().balanced()) {
    fmt::print(stderr, "sluice: frames do not add up: this is a bug\n");
    failed = true;
  }
  return failed ? kFailed : kOk;
}

int run(const RunFlags& flags, const Choice& handler) {
  if (is_pcap(flags)) return run_pcap(flags, handler);
  if (auto right = refuse_pcap_flags(flags); !right) {
    return fail(right.error(), kUsage);
  }
  auto options = engine_options(flags, handler);
  if (!options) return fail(options.error(), kUsage);
  // A signal during set-up ends the process, and all that was set up with it:
  // but settings of the host would stay.
  std::optional<StopSignals> signals;
  if (Preparation::wanted(flags)) signals.emplace(hangup_of(flags));
  auto preparation = Preparation::make(flags, *options);
  if (!preparation) return fail_start(preparation.error(), flags, *options);
  options->made_anew = [&prepared = *preparation](
                           std::size_t port, const std::string& interface) {
    return prepared.again(port, interface);
  };
  int code = run_on(flags, handler, *options, signals, *preparation);
  for (const std::string& trouble : preparation->restore()) {
    fmt::print(stderr, "sluice: {}\n", trouble);
    code = kFailed;
  }
  return code;
}

int status(const std::vector<std::string>& named, bool json) {
  std::vector<std::string> interfaces = named;
  if (interfaces.empty()) interfaces = interfaces_in_use();
  if (interfaces.empty()) {
    fmt::print(stderr, "sluice: nothing runs in this network namespace\n");
    return kFailed;
  }
  for (const std::string& interface : interfaces) {
    auto answer = Control::ask(interface, "status");
    if (!answer && answer.error().code == ENOENT) {
      // Nobody runs there; a program may be attached.
      auto live = read_rules(interface);
      if (!live) return fail(live.error());
      put(json ? attached_json(*live) : rules_text(*live));
      continue;
    }
    if (!answer) return fail(answer.error());
    if (json) {
      fmt::print("{}", *answer);
    } else {
      fmt::print("{}:\n{}", interface, status_text(*answer));
    }
  }
  return kOk;
}

// CLI11's sentence; but it does not say which commands there are.
std::string what_is_wrong(const CLI::App& app, const CLI::ParseError& error,
                          int argc, char** argv) {
  const CLI::App* asked = &app;
  int next = 1;  // Word of the command line.
  for (; !asked->get_subcommands().empty(); ++next) {
    asked = asked->get_subcommands().front();
  }
  std::string names;
  for (const CLI::App* each : asked->get_subcommands(
           [](const CLI::App* any) { return !any->get_name().empty(); })) {
    names += " " + each->get_name();
  }
  if (names.empty()) {
    return fmt::format("{}. `--help` names the flags.", error.what());
  }
  const bool named = next < argc && *argv[next] != '-';
  return (named ? fmt::format("'{}' is no command.", argv[next])
                : std::string("A command is missing.")) +
         " There are:" + names;
}

// Usage errors end with 2; --help and --version with 0.
int parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return -1;
  } catch (const CLI::ConfigError& error) {
    const std::string text = error.what();  // It ends with the key.
    fmt::print(stderr,
               "sluice: --config: '{}' is no flag; `--help` names them.\n",
               text.substr(text.find_last_of(" .") + 1));
    return kUsage;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    fmt::print(stderr, "sluice: {}\n", what_is_wrong(app, error, argc, argv));
    return kUsage;
  }
}

}  // namespace

int fail(const Error& error, int code) {
  fmt::print(stderr, "sluice: {}\n", error.message());
  return code;
}

int fail(const Error& error) {
  return fail(error, error.code == EINVAL ? kUsage : kFailed);
}

int run_one(int argc, char** argv, const Choice& handler) {
  CLI::App app("A Sluice handler");
  RunFlags flags;
  add_run_flags(app, flags);
  add_config_flag(app, nullptr);
  Options options(app);
  handler.options(options);
  const int parsed = parse(app, argc, argv);
  return parsed >= 0 ? parsed : run(flags, handler);
}

namespace {

// `run`, with a choice of handlers; their names, for people.
void add_run(CLI::App& app, const std::vector<Choice>& handlers,
             RunFlags& flags, std::string& names) {
  CLI::App* run_app =
      app.add_subcommand("run", "Take packets from interfaces and handle them");
  add_run_flags(*run_app, flags);
  add_config_flag(app, run_app);
  for (const Choice& each : handlers) {
    names += fmt::format("\n  {}: {}", each.name, each.summary);
    CLI::App* group = run_app->add_option_group("Handler " + each.name);
    group->set_help_flag();  // The command has one.
    Options options(*group);
    each.options(options);
    if (group->get_options().empty()) run_app->remove_subcommand(group);
  }
  run_app
      ->add_option("--handler", flags.handler, "What to do with them:" + names)
      ->capture_default_str();
}

}  // namespace

int run_command(int argc, char** argv, const std::vector<Choice>& handlers) {
  CLI::App app("Sluice: steers flows out of a NIC into AF_XDP sockets");
  app.set_version_flag("--version", "sluice " SLUICE_VERSION);
  app.require_subcommand(1);
  RunFlags flags;
  std::string names;
  add_run(app, handlers, flags, names);
  RulesFlags rules_flags;
  CLI::App* rules_app =
      app.add_subcommand("rules", "Look at the rules in force, change them");
  add_rules_commands(*rules_app, rules_flags);
  AttachFlags attach_flags;
  CLI::App* attach_app = app.add_subcommand(
      "attach", "Put the program onto an interface; it outlives the command");
  CLI::App* detach_app =
      app.add_subcommand("detach", "Take such a program off again");
  add_attach_flags(*attach_app, *detach_app, attach_flags);

  DoctorFlags doctor_flags;
  CLI::App* doctor_app = app.add_subcommand(
      "doctor", "What the host lacks for AF_XDP, why that matters, the remedy");
  add_doctor_flags(*doctor_app, doctor_flags);

  std::vector<std::string> interfaces;
  bool json = false;
  CLI::App* status_app =
      app.add_subcommand("status", "What runs in this network namespace");
  status_app->add_option("-i,--interface", interfaces, "Only this one")
      ->type_name("IF");
  status_app->add_flag("--json", json, "JSON, one object a line");

  const int parsed = parse(app, argc, argv);
  if (parsed >= 0) return parsed;
  if (status_app->parsed()) return status(interfaces, json);
  if (attach_app->parsed()) return attach_command(attach_flags);
  if (detach_app->parsed()) return detach_command(attach_flags);
  if (doctor_app->parsed()) return doctor_command(doctor_flags);
  if (rules_app->parsed()) return run_rules_command(*rules_app, rules_flags);
  for (const Choice& each : handlers) {
    if (each.name == flags.handler) return run(flags, each);
  }
  return fail({EINVAL, "--handler", "'" + flags.handler + "'",
               "It is one of:" + names});
}

}  // namespace sluice::app
