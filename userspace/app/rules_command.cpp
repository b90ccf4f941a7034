// SPDX-License-Identifier: Apache-2.0
#include "rules_command.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <sluice/rules_edit.hpp>

#include "packet_text.hpp"
#include "rules_confirm.hpp"
#include "rules_show.hpp"
#include "run.hpp"
#include "save_file.hpp"
#include "show.hpp"
#include "signals.hpp"

namespace sluice::app {
namespace {

int check(const RulesFlags& flags) {
  auto rules = Rules::load(flags.file);
  std::optional<Error> error;
  if (!rules) error = rules.error();
  if (rules) {
    if (auto fits = check_fits(*rules); !fits) error = fits.error();
  }
  if (flags.json) {
    put(check_json(flags.file, rules ? *rules : Rules(), error));
    return error ? kFailed : kOk;
  }
  if (error) return fail(*error, kFailed);
  for (const Warning& each : rules->warnings()) {
    put(warning_line(flags.file, each));
  }
  put(fmt::format("{}: {} rules\n", flags.file, rules->size()));
  return kOk;
}

// Shows it once, or every second until a signal.
int show(const RulesFlags& flags, const std::string& interface) {
  std::optional<StopSignals> signals;
  if (flags.watch) signals.emplace();
  const bool clears = flags.watch && !flags.json && ::isatty(STDOUT_FILENO);
  pollfd stop = {signals ? signals->fd() : -1, POLLIN, 0};
  do {
    auto live = read_rules(interface);
    if (!live) return fail(live.error(), kFailed);
    if (clears) put("\033[H\033[2J");
    put(flags.json ? rules_json(*live) : rules_text(*live));
    if (std::ferror(stdout) != 0) return kFailed;
  } while (flags.watch && ::poll(&stop, 1, 1000) == 0);
  return kOk;
}

int propose(const RulesFlags& flags, const std::string& interface,
            const Proposal& proposal) {
  auto version = propose_rules(interface, proposal);
  if (!version) return fail(version.error(), kFailed);
  put(loaded(interface, *version, proposal.rules, flags.json));
  return kOk;
}

int load(const RulesFlags& flags, const std::string& interface) {
  auto rules = Rules::load(flags.file);
  if (!rules) return fail(rules.error(), kFailed);
  if (!flags.json) {
    for (const Warning& each : rules->warnings()) {
      fmt::print(stderr, "{}", warning_line(flags.file, each));
    }
  }
  const Proposal proposal{std::move(*rules), {}, flags.force};
  if (flags.confirm.empty()) return propose(flags, interface, proposal);
  auto patience = duration_of("--confirm", flags.confirm);
  if (!patience) return fail(patience.error(), kUsage);
  return load_unless_unconfirmed(interface, proposal, *patience, flags.json);
}

// Edits what is in force; anew, if somebody else was faster.
template <class Edit>
int edit(const RulesFlags& flags, const std::string& interface,
         const Edit& edited) {
  constexpr int kTries = 10;
  for (int attempt = 1;; ++attempt) {
    auto live = read_rules(interface);
    if (!live) return fail(live.error(), kFailed);
    auto rules = edited(live->rules);
    if (!rules) {
      return fail(rules.error(),
                  rules.error().code == ENOENT ? kFailed : kUsage);
    }
    const Proposal proposal{std::move(*rules), live->version, flags.force};
    auto version = propose_rules(interface, proposal);
    if (version) {
      put(loaded(interface, *version, proposal.rules, flags.json));
      return kOk;
    }
    if (version.error().code != EAGAIN || attempt == kTries) {
      return fail(version.error(), kFailed);
    }
  }
}

int add(const RulesFlags& flags, const std::string& interface) {
  std::string line;
  for (const std::string& word : flags.rule) {
    line += (line.empty() ? "" : " ") + word;
  }
  return edit(flags, interface, [&](const Rules& rules) {
    return with_rule(rules, line, flags.before);
  });
}

int save(const RulesFlags& flags, const std::string& interface) {
  auto live = read_rules(interface);
  if (!live) return fail(live.error(), kFailed);
  if (flags.file.empty() || flags.file == "-") {
    put(live->rules.text());
    return kOk;
  }
  auto saved = save_file(flags.file, live->rules.text());
  return saved ? kOk : fail(saved.error(), kFailed);
}

int diff(const RulesFlags& flags, const std::string& interface) {
  auto rules = Rules::load(flags.file);
  if (!rules) return fail(rules.error(), kUsage);
  auto live = read_rules(interface);
  if (!live) return fail(live.error(), kUsage);
  const auto lines = differences(live->rules, *rules);
  if (flags.json) {
    put(diff_json(interface, flags.file, lines));
  } else {
    for (const std::string& each : lines) put(each + "\n");
  }
  return lines.empty() ? kOk : kFailed;
}

void explain_one(const RulesFlags& flags, const Rules& rules,
                 std::uint64_t number, std::span<const std::byte> packet) {
  const Explanation explanation = explain(rules, packet);
  if (flags.json) return put(explanation_json(number, rules, explanation));
  put(fmt::format("packet {}:\n{}", number, explanation.text(rules)));
}

int explain_command(const RulesFlags& flags) {
  Rules rules;
  if (!flags.file.empty()) {
    auto read = Rules::load(flags.file);
    if (!read) return fail(read.error(), kFailed);
    rules = std::move(*read);
  } else {
    auto interface = interface_of(flags.interface);
    if (!interface) return fail(interface.error());
    auto live = read_rules(*interface);
    if (!live) return fail(live.error(), kFailed);
    rules = std::move(live->rules);
  }
  if (is_packet_text(flags.packet)) {
    auto packet = packet_of(flags.packet);
    if (!packet) return fail(packet.error(), kUsage);
    explain_one(flags, rules, 1, *packet);
    return kOk;
  }
  auto reader = testing::PcapReader::open(flags.packet);
  if (!reader) return fail(reader.error(), kFailed);
  std::uint64_t number = 0;
  while (const testing::Captured* each = (*reader)->next()) {
    explain_one(flags, rules, ++number, each->bytes);
    if (std::ferror(stdout) != 0) return kFailed;
  }
  return (*reader)->error() ? fail(*(*reader)->error(), kFailed) : kOk;
}

CLI::App* command(CLI::App& app, const char* name, const char* help,
                  RulesFlags& flags) {
  CLI::App* made = app.add_subcommand(name, help);
  made->add_flag("--json", flags.json, "JSON, one object a line");
  return made;
}

CLI::App* live_command(CLI::App& app, const char* name, const char* help,
                       RulesFlags& flags) {
  CLI::App* made = command(app, name, help, flags);
  made->add_option("-i,--interface", flags.interface,
                   "Where the list is in force; not needed if there is one")
      ->type_name("IF");
  return made;
}

CLI::App* changing(CLI::App* made, RulesFlags& flags) {
  made->add_flag("--force", flags.force,
                 "Even if the list cuts this host off from its own addresses");
  return made;
}

void add_edit_commands(CLI::App& app, RulesFlags& flags) {
  CLI::App* add = changing(
      live_command(app, "add", "One rule more, at the end", flags), flags);
  add->add_option("RULE", flags.rule, "ACTION [@label] EXPRESSION [else drop]")
      ->required();
  add->add_option("--before", flags.before,
                  "In front of the rule of that label or handle")
      ->type_name("NAME");
  CLI::App* gone =
      changing(live_command(app, "delete", "One rule less", flags), flags);
  gone->add_option("NAME", flags.name, "Its label, or its handle")->required();
  changing(live_command(app, "flush", "All rules go: everything passes", flags),
           flags);
}

}  // namespace

void add_rules_commands(CLI::App& app, RulesFlags& flags) {
  app.require_subcommand(1);
  command(app, "check", "Whether a file is a list, and what may surprise",
          flags)
      ->add_option("FILE", flags.file)
      ->required();
  CLI::App* load = changing(
      live_command(app, "load", "Puts a file into force", flags), flags);
  load->add_option("FILE", flags.file)->required();
  load->add_option("--confirm", flags.confirm,
                   "Back to the list before, unless Enter is pressed in time: "
                   "30s, 2m")
      ->type_name("TIME");
  live_command(app, "show", "The list in force, and what its rules count",
               flags)
      ->add_flag("--watch", flags.watch, "Again every second");
  add_edit_commands(app, flags);
  live_command(app, "save", "Writes the list in force", flags)
      ->add_option("FILE", flags.file, "Standard output, if not given");
  live_command(app, "diff",
               "What FILE would change; exit code 0: nothing, 1: something",
               flags)
      ->add_option("FILE", flags.file)
      ->required();
  CLI::App* explain =
      live_command(app, "explain",
                   "Which rule decides on a packet, and why no other", flags);
  explain
      ->add_option("PACKET", flags.packet,
                   "'udp 192.0.2.1:5 > 10.0.0.1:53', or a capture")
      ->required();
  explain->add_option("--rules", flags.file, "By this list, in force or not")
      ->type_name("FILE");
}

int run_rules_command(const CLI::App& app, const RulesFlags& flags) {
  const std::string name = app.get_subcommands().front()->get_name();
  if (name == "check") return check(flags);
  if (name == "explain") return explain_command(flags);
  auto interface = interface_of(flags.interface);
  if (!interface) return fail(interface.error());
  if (name == "show") return show(flags, *interface);
  if (name == "load") return load(flags, *interface);
  if (name == "add") return add(flags, *interface);
  if (name == "save") return save(flags, *interface);
  if (name == "diff") return diff(flags, *interface);
  if (name == "flush") {
    return propose(flags, *interface, {Rules(), {}, flags.force});
  }
  return edit(flags, *interface, [&](const Rules& rules) {
    return without_rule(rules, flags.name);
  });
}

}  // namespace sluice::app
