// SPDX-License-Identifier: Apache-2.0
// What kind of device it is, and who has it.
#include <algorithm>
#include <array>
#include <string_view>

#include "doctor_checks.hpp"

namespace sluice::checks {
namespace {

std::optional<Finding> link_down(const Case& facts) {
  const Netdev& device = facts.interface.device;
  if (device.up && device.running) return {};
  if (device.up) {
    return Finding{"no-carrier",
                   Severity::warning,
                   {},
                   facts.name() + " has no carrier: no packet comes or goes",
                   "the cable, or the other end",
                   {}};
  }
  return Finding{"link-down",
                 Severity::error,
                 {},
                 facts.name() + " is down: no packet comes or goes",
                 "ip link set dev " + facts.name() + " up",
                 {}};
}

std::optional<Finding> stacked(const Case& facts) {
  const std::string& kind = facts.interface.kind;
  const std::string& name = facts.name();
  const std::string members = joined(facts.interface.members);
  if (kind == "bond" || kind == "team") {
    return Finding{"bond",
                   Severity::warning,
                   {},
                   name + " is a " + kind + ": use its members " + members,
                   "a port for each member: -i MEMBER, for each of: " + members,
                   {}};
  }
  if (kind == "bridge") {
    return Finding{
        "bridge",
        Severity::warning,
        {},
        name +
            " is a bridge: what it forwards never comes by here. "
            "Use its ports " +
            members,
        "a port for each of the bridge's: -i PORT, for each of: " + members,
        {}};
  }
  if (kind == "vlan" || kind == "macvlan" || kind == "ipvlan") {
    const std::string below =
        facts.interface.lower.empty() ? "what is below" : facts.interface.lower;
    return Finding{"vlan-device",
                   Severity::warning,
                   {},
                   name + " is a " + kind + " on " + below +
                       ": generic mode only, and the driver's work is done by "
                       "then. Use " +
                       below,
                   "-i " + below + ", and rules that say `vlan`",
                   {}};
  }
  return {};
}

std::optional<Finding> bond_member(const Case& facts) {
  const std::string& kind = facts.interface.master_kind;
  if (kind != "bond" && kind != "team") return {};
  return Finding{"bond-member",
                 Severity::advice,
                 {},
                 facts.name() + " is a member of " + facts.interface.master +
                     ": its other members' packets do not come by here",
                 "a port for each member",
                 {}};
}

std::optional<Finding> virtual_function(const Case& facts) {
  if (!facts.interface.virtual_function) return {};
  return Finding{"virtual-function",
                 Severity::advice,
                 {},
                 facts.name() +
                     " is a virtual function: the physical function decides on "
                     "its queues, MAC addresses and VLANs",
                 "on the host: ip link set dev PF vf N spoofchk off trust on",
                 {}};
}

std::optional<Finding> other_program(const Case& facts) {
  const auto& there = facts.interface.program;
  if (!there) return {};
  if (there->identity) {
    return Finding{"other-program",
                   Severity::advice,
                   {},
                   facts.name() + " is Sluice's already: " + there->text(),
                   there->owner_alive ? "sluice status -i " + facts.name()
                                      : "sluice detach " + facts.name(),
                   {}};
  }
  return Finding{"other-program",
                 Severity::error,
                 {},
                 facts.name() + " has another XDP program: " + there->text(),
                 "stop its owner, or detach it with the tool that attached it",
                 {}};
}

std::optional<Finding> native_xdp(const Case& facts) {
  const auto& xdp = facts.interface.xdp;
  if (!xdp || xdp->native() || facts.wanted.generic) return {};
  if (stacked(facts)) return {};  // Says it better.
  const std::string& driver = facts.interface.device.driver;
  if (facts.interface.kind == "veth") {
    return Finding{"native-xdp",
                   Severity::warning,
                   {},
                   facts.name() +
                       " has no XDP as long as its peer has more TX queues "
                       "than it has RX queues: generic mode only",
                   "ethtool -L " + facts.name() +
                       " rx N, with the peer's number of TX queues",
                   {}};
  }
  return Finding{"native-xdp",
                 Severity::warning,
                 {},
                 "the driver" + (driver.empty() ? "" : " " + driver) +
                     " has no XDP: generic mode works, behind the stack's "
                     "allocations, and slower",
                 "a NIC whose driver has XDP, or --mode generic to accept it",
                 {}};
}

std::optional<Finding> zero_copy(const Case& facts) {
  const auto& xdp = facts.interface.xdp;
  if (!xdp || !xdp->native() || xdp->zero_copy() || facts.wanted.generic) {
    return {};
  }
  return Finding{"zero-copy",
                 Severity::advice,
                 {},
                 "the driver " + facts.interface.device.driver +
                     " has no zero-copy on this kernel: each packet is copied "
                     "once",
                 {},
                 {}};
}

// They stop and start the device to change to the memory layout of XDP.
std::optional<Finding> link_drops(const Case& facts) {
  constexpr std::array<std::string_view, 5> kDrivers = {"ena", "i40e", "igb",
                                                        "igc", "ixgbe"};
  const std::string& driver = facts.interface.device.driver;
  if (facts.wanted.generic ||
      std::ranges::find(kDrivers, driver) == kDrivers.end()) {
    return {};
  }
  return Finding{"link-drops",
                 Severity::advice,
                 {},
                 "the driver " + driver +
                     " restarts the link when a program comes or goes: nothing "
                     "passes for up to some seconds",
                 "`sluice attach` once; runs adopt that program",
                 {}};
}

}  // namespace

std::vector<Check> device_checks() {
  return {link_down,     stacked,    bond_member, virtual_function,
          other_program, native_xdp, zero_copy,   link_drops};
}

}  // namespace sluice::checks
