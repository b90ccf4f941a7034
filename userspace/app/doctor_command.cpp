// SPDX-License-Identifier: Apache-2.0
#include "doctor_command.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sluice/doctor.hpp>

#include "json.hpp"
#include "prepare.hpp"
#include "run.hpp"
#include "show.hpp"

namespace sluice::app {
namespace {

// Lines for people, or for programs.
class Told {
 public:
  explicit Told(bool json) : json_(json) {}

  void interface(const InterfaceFacts& facts) {
    const Netdev& device = facts.device;
    if (json_) return;
    const char* state = !device.up        ? "down"
                        : !device.running ? "no carrier"
                                          : "up";
    put(fmt::format("{}: {}, {} queues, MTU {}, {}\n", device.name,
                    device.driver.empty() ? facts.kind : device.driver,
                    device.rx_queues, device.mtu, state));
  }
  void host() {
    if (!json_) put("host:\n");
  }
  void finding(const Finding& each) {
    ++findings_;
    if (each.severity > Severity::advice) ++wrong_;
    if (json_) {
      Json json = line("finding");
      json["interface"] = each.interface;
      json["id"] = each.id;
      json["severity"] = to_string(each.severity);
      json["sentence"] = each.sentence;
      json["remedy"] = each.remedy;
      json["fixable"] = !each.fix.empty();
      put(dumped(json));
      return;
    }
    put(fmt::format("  {} {}: {}\n", to_string(each.severity), each.id,
                    each.sentence));
    if (!each.remedy.empty()) put(fmt::format("    {}\n", each.remedy));
  }
  void change(const char* type, const Prepared::Change& each, bool back) {
    const std::string& from = back ? each.setting.value : each.before;
    const std::string& to = back ? each.before : each.setting.value;
    if (json_) {
      Json json = line(type);
      json["interface"] = each.setting.interface;
      json["what"] = each.setting.what;
      json["key"] = each.setting.key;
      json["before"] = from;
      json["after"] = to;
      put(dumped(json));
    } else {
      put(fmt::format("{}: {}: {}, was {}\n", type, each.setting.name(), to,
                      from));
    }
  }
  int ended() {
    if (json_) {
      Json json = line("doctor");
      json["findings"] = findings_;
      json["wrong"] = wrong_;
      put(dumped(json));
    } else {
      put(wrong_ == 0 ? std::string("nothing is wrong\n")
                      : fmt::format("{} wrong\n", wrong_));
    }
    return wrong_ == 0 ? kOk : kFailed;
  }

 private:
  bool json_;
  int findings_ = 0;
  int wrong_ = 0;
};

// False: something could not be mended, and was told.
bool fix(const std::string& interface, const HostFacts& host,
         const Wanted& wanted, const Chosen& chosen, Told& told) {
  auto prepared = Prepared::open(interface, Prepared::Stay::until_restored);
  if (!prepared) {
    fail(prepared.error());
    return false;
  }
  const auto before = prepared->changes();
  const Mended mended = mend(interface, host, wanted, chosen, *prepared);
  for (const auto& each : mended.failed) fail(each.error);
  for (const Prepared::Change& each : prepared->changes()) {
    const auto known =
        std::ranges::find_if(before, [&](const Prepared::Change& other) {
          return other.setting == each.setting;
        });
    if (known == before.end()) told.change("fixed", each, false);
  }
  return mended.failed.empty();
}

int restore(const std::vector<PortOptions>& ports, Told& told) {
  bool whole = true;
  for (const PortOptions& port : ports) {
    auto restored = restore_kept(port.interface);
    if (!restored) return fail(restored.error(), kFailed);
    for (const auto& each : restored->changes) {
      told.change("restored", each, true);
    }
    for (const std::string& each : restored->troubles) {
      fmt::print(stderr, "sluice: {}\n", each);
      whole = false;
    }
  }
  return whole ? kOk : kFailed;
}

}  // namespace

void add_doctor_flags(CLI::App& app, DoctorFlags& flags) {
  RunFlags& run = flags.run;
  app.add_option("-i,--interface", run.interfaces, "Interface to look at")
      ->type_name("IF")
      ->required();
  app.add_option("--fix", flags.fix,
                 "Mend what is wrong, or the findings named, with commas; it "
                 "stays until --restore")
      ->type_name("[ID,...]")
      ->expected(0, 1)
      ->default_str(kWrong);
  app.add_flag("--restore", flags.restore,
               "Put back what --fix changed, and what a killed run left");
  app.add_flag("--json", run.json, "JSON, one object a line");
  add_prepared_flags(app, run);
  app.add_option("--steer", run.steer, "What the run is to take")
      ->type_name("EXPR")
      ->expected(1)
      ->take_all();
  app.add_option("--rules", run.rules, "Or its list")->type_name("FILE");
  app.add_option("--mode", run.mode, "auto, zero-copy, copy or generic")
      ->capture_default_str();
  app.add_flag("--spin", run.spin, "It is to spin");
  app.add_option("--frame-size", run.frame_size, "2048 or 4096 bytes")
      ->capture_default_str();
  app.add_option("--ring-size", run.ring_size, "Entries of its rings")
      ->capture_default_str();
}

int doctor_command(const DoctorFlags& flags) {
  auto options = engine_options(flags.run, Choice{});
  if (!options) return fail(options.error(), kUsage);
  auto wanted = wanted_of(flags.run, *options);
  if (!wanted) return fail(wanted.error(), kUsage);
  // Without --fix nothing is mended: other flags say what is wanted.
  auto chosen =
      Chosen::parse("--fix", flags.fix,
                    flags.fix.empty() ? Chosen() : Chosen::asked_for(*wanted));
  if (!chosen) return fail(chosen.error(), kUsage);
  Told told(flags.run.json);
  if (flags.restore) return restore(options->ports, told);
  const HostFacts host = HostFacts::read();
  bool whole = true;
  std::size_t queues = 0;
  for (const PortOptions& port : options->ports) {
    if (!flags.fix.empty()) {
      whole = fix(port.interface, host, *wanted, *chosen, told) && whole;
    }
    auto facts = InterfaceFacts::read(port.interface);
    if (!facts) return fail(facts.error(), kFailed);
    queues += facts->device.served(wanted->queues).size();
    told.interface(*facts);
    for (const Finding& each : diagnose(*facts, host, *wanted)) {
      told.finding(each);
    }
  }
  const auto of_host = diagnose_host(host, *wanted, queues);
  if (!of_host.empty()) told.host();
  for (const Finding& each : of_host) told.finding(each);
  const int code = told.ended();
  return whole ? code : kFailed;
}

}  // namespace sluice::app
