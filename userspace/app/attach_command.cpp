// SPDX-License-Identifier: Apache-2.0
#include "attach_command.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <sluice/control.hpp>
#include <sluice/netdev.hpp>
#include <sluice/packet.hpp>
#include <sluice/program.hpp>

#include "json.hpp"
#include "live_rules.hpp"
#include "run.hpp"
#include "show.hpp"

namespace sluice::app {
namespace {

// Packets that a run's frames of 2048 bytes hold need no multi-buffer.
bool needs_frags(const Netdev& device) {
  return device.mtu > Packet::mtu_of(2048);
}

Result<std::vector<AttachMode>> rungs_of(const std::string& mode) {
  if (mode == "native") return std::vector{AttachMode::native};
  if (mode == "generic") return std::vector{AttachMode::generic};
  if (mode == "auto") {
    return std::vector{AttachMode::native, AttachMode::generic};
  }
  return bad("--mode", mode, "It is auto, native or generic.");
}

struct Attached {
  AttachMode mode = AttachMode::native;
  RxHints hints;  // That the driver is asked for.
};

Result<AttachMode> climb(Program& program, const Netdev& device,
                         const std::vector<AttachMode>& rungs) {
  Result<void> attached = Error{EOPNOTSUPP, "attach", device.name};
  for (const AttachMode mode : rungs) {
    attached = program.attach(device.index, mode);
    if (attached) return mode;
    if (!other_mode_may_work(attached.error().code)) break;
  }
  return attached.error();
}

// What has a program already keeps it.
Result<void> refuse_second(const Netdev& device) {
  auto there = Program::open_pinned(device.index);
  if (there && !*there) return {};
  const int error = there ? EBUSY : there.error().code;
  if (error != EBUSY) return there.error();
  return Error{EBUSY, "attach", device.name,
               "Sluice is attached there: `sluice rules` changes its list, "
               "`sluice detach` takes it off."};
}

// What the driver is to be asked of packets.
Result<RxHints> hints_of(const AttachFlags& flags, const Netdev& device,
                         const std::vector<AttachMode>& rungs) {
  const RxHints wanted{flags.timestamps, flags.rx_hints, flags.rx_hints};
  if (wanted == RxHints{}) return wanted;
  if (flags.dispatcher) {
    return bad(flags.timestamps ? "--timestamps" : "--rx-hints", "--dispatcher",
               "A program that a dispatcher calls is bound to no device.");
  }
  RxHints offered;
  if (rungs.front() == AttachMode::native) {
    offered = wanted & driver_rx_hints(device.index);
  }
  if (flags.timestamps && !offered.time) {
    return Error{EOPNOTSUPP, "--timestamps", device.name,
                 "Hardware times take the native mode and a driver that tells "
                 "them to XDP programs. `sluice run --timestamps` gives the "
                 "kernel's without this."};
  }
  if (flags.rx_hints && !offered.hash && !offered.vlan_tag) {
    return Error{EOPNOTSUPP, "--rx-hints", device.name,
                 "They take the native mode and a driver that tells them to "
                 "XDP programs."};
  }
  return offered;
}

Result<Attached> attach(const AttachFlags& flags, const Rules& rules,
                        std::vector<AttachMode> rungs) {
  if (auto bpffs = check_bpffs(); !bpffs) return bpffs.error();
  auto device = Netdev::read(flags.interface);
  if (!device) return device.error();
  auto claim = Control::claim(flags.interface);  // While it is being set up.
  if (!claim) return claim.error();
  if (auto first = refuse_second(*device); !first) return first.error();
  auto hints = hints_of(flags, *device, rungs);
  if (!hints) return hints.error();
  if (*hints != RxHints{}) rungs = {AttachMode::native};
  if (!flags.force) {
    auto safe = check_cut_off(flags.interface, rules);
    if (!safe) return safe.error();
  }
  ProgramOptions options;
  options.rules = rules;
  options.frags = needs_frags(*device);
  options.bypass_flows = flags.bypass_flows;
  options.dispatcher = flags.dispatcher;
  options.priority = flags.priority;
  options.rx_hints = *hints;
  options.bound_to = device->index;
  auto program = Program::load(options);
  if (!program) return program.error();
  auto mode = climb(*program, *device, rungs);
  if (!mode) return mode.error();
  if (auto pinned = program->pin(); !pinned) return pinned.error();
  return Attached{*mode, *hints};
}

Result<void> detach(const std::string& interface) {
  auto device = Netdev::read(interface);
  if (!device) return device.error();
  auto claim = Control::claim(interface);
  if (!claim) return claim.error();
  auto gone = Program::detach_pinned(device->index, Program::kPatience);
  if (!gone) return gone.error();
  if (*gone) return {};
  if (auto bpffs = check_bpffs(); !bpffs) return bpffs.error();
  return Error{ENOENT, "detach", interface, "Sluice is not attached there."};
}

void tell(const AttachFlags& flags, Json json, const std::string& text) {
  put(flags.json ? dumped(json) : text);
}

Json line_of(const char* type, const std::string& interface, const char* mode) {
  Json json = line(type);
  json["interface"] = interface;
  json["mode"] = mode;
  return json;
}

}  // namespace

void add_attach_flags(CLI::App& attach, CLI::App& detach, AttachFlags& flags) {
  for (CLI::App* each : {&attach, &detach}) {
    each->add_option(
            "IF,-i,--interface", flags.interface,
            each == &attach ? "Where" : "Where; not needed if there is one")
        ->type_name("IF");
    each->add_flag("--json", flags.json, "JSON, one object a line");
  }
  attach.get_option("--interface")->required();
  attach
      .add_option("--rules", flags.rules,
                  "The list; without it everything passes")
      ->type_name("FILE");
  attach.add_option("--mode", flags.mode, "auto, native or generic")
      ->capture_default_str();
  attach
      .add_option("--bypass-flows", flags.bypass_flows,
                  "Flows that runs may leave to the program: 128 bytes of "
                  "memory each")
      ->capture_default_str();
  add_dispatcher_flags(attach, flags.dispatcher, flags.priority);
  attach.add_flag("--timestamps", flags.timestamps,
                  "Bind it to the device, so that runs with --timestamps get "
                  "the NIC's times; native mode only");
  attach.add_flag("--rx-hints", flags.rx_hints,
                  "Bind it to the device, so that runs with --rx-hints get the "
                  "NIC's hashes and VLAN tags; native mode only");
  attach.add_flag("--force", flags.force,
                  "Even if the rules cut this host off from its own addresses");
}

int attach_command(const AttachFlags& flags) {
  auto rungs = rungs_of(flags.mode);
  if (!rungs) return fail(rungs.error(), kUsage);
  Rules rules;
  if (!flags.rules.empty()) {
    auto read = Rules::load(flags.rules);
    if (!read) return fail(read.error(), kUsage);
    rules = std::move(*read);
  }
  auto attached = attach(flags, rules, *rungs);
  if (!attached) return fail(attached.error(), kFailed);
  const char* const mode = to_string(attached->mode);
  Json json = line_of("attached", flags.interface, mode);
  json["rx_hints"] = of(attached->hints);
  tell(flags, json,
       fmt::format("{}: attached, {}{}, {} rules; it stays until `sluice "
                   "detach {}`\n",
                   flags.interface, mode, hints_text(attached->hints),
                   rules.size(), flags.interface));
  return kOk;
}

int detach_command(const AttachFlags& flags) {
  auto interface = interface_of(flags.interface);
  if (!interface) return fail(interface.error());
  if (auto gone = detach(*interface); !gone) return fail(gone.error(), kFailed);
  tell(flags, line_of("detached", *interface, "none"),
       fmt::format("{}: detached\n", *interface));
  return kOk;
}

}  // namespace sluice::app
