// SPDX-License-Identifier: Apache-2.0
// What kind of device it is, and who has it.
#include <algorithm>
#include <array>
#include <bit>
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

// It asks FILL for as many frames as its ring lacks. If it gets fewer, it does
// not mark the end of those it gave to the NIC, and the two no longer agree on
// their place. Source: igb_alloc_rx_buffers_zc() of Linux 6.18 and 7.3.
std::optional<Finding> fill_ring(const Case& facts) {
  const Netdev& device = facts.interface.device;
  const auto& xdp = facts.interface.xdp;
  const auto& ring = facts.interface.rx_ring;
  const std::uint32_t fill = facts.wanted.ring_size;
  if (device.driver != "igb" || !ring || fill > ring->size || !xdp ||
      !xdp->zero_copy() || facts.wanted.generic || facts.wanted.copy ||
      too_small_for_zero_copy(device, facts.wanted.frame_size)) {
    return {};
  }
  const std::string now = std::to_string(ring->size);
  Finding finding{
      "fill-ring",
      Severity::warning,
      {},
      "in zero-copy the driver igb loses its place in the RX ring "
      "of a queue for good if FILL (--ring-size " +
          std::to_string(fill) + ") is not larger than that (" + now +
          "): the queue stands still, or packets come twice",
      "--ring-size " + std::to_string(std::bit_ceil(ring->size + 1)),
      {}};
  constexpr std::uint32_t kRingMin = 64;  // IGB_MIN_RXD
  const std::uint32_t smaller = fill / 2;
  if (smaller < kRingMin) return finding;
  finding.remedy +=
      ", or ethtool -G " + facts.name() + " rx " + std::to_string(smaller);
  finding.fix.push_back({facts.name(), "ring", "rx", std::to_string(smaller)});
  return finding;
}

}  // namespace

std::vector<Check> device_checks() {
  return {link_down,  stacked,   bond_member, virtual_function, other_program,
          native_xdp, zero_copy, link_drops,  fill_ring};
}

}  // namespace sluice::checks
