// SPDX-License-Identifier: Apache-2.0
// Host: what decides, outside of this program, how well AF_XDP works: facts
// about an interface and the machine, and the settings that can be changed.
//
// Facts are plain values, so that whoever judges them can be asked about
// hardware that is not there. They come from netlink (rtnetlink and the generic
// families ethtool and netdev), from sysfs and procfs, and by ioctl where
// netlink has no answer on every kernel (the RSS table, hash fields, flow
// rules).
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <sluice/netdev.hpp>
#include <sluice/program.hpp>
#include <sluice/result.hpp>
#include <string>
#include <vector>

namespace sluice {

/// Queues of an interface, as ethtool -l has them.
struct Channels {
  std::uint32_t combined = 0, rx = 0, tx = 0;
  std::uint32_t combined_max = 0, rx_max = 0, tx_max = 0;
};

/// An interrupt of an RX queue.
struct Interrupt {
  std::uint32_t number = 0;
  std::uint32_t queue = 0;
  std::vector<int> cpus;  ///< Where it may be taken.
};

/// How long the NIC waits for more packets before it interrupts.
struct Coalescing {
  std::uint32_t rx_usecs = 0;
  bool adaptive_rx = false;
};

/// Descriptors of each RX queue, as ethtool -g has them.
struct RxRing {
  std::uint32_t size = 0, size_max = 0;
};

/// How long the kernel does without a NIC's interrupts while somebody else
/// polls its queues; either is 0: not at all.
struct InterruptDeferral {
  std::uint64_t defer_hard_irqs = 0;       ///< Polls in vain, then interrupts.
  std::uint64_t gro_flush_timeout_ns = 0;  ///< From poll to poll.
};

/// An ntuple rule: a flow that goes to a queue, whatever the RSS table says.
struct FlowRule {
  std::uint32_t location = 0;  ///< A lower one is asked before.
  std::string rule;            ///< "udp4 dst-port 53 queue 2", as far as known.
};

/// What a driver can do, as far as XDP goes. Bits: NETDEV_XDP_ACT_*.
struct XdpFeatures {
  std::uint64_t bits = 0;
  [[nodiscard]] bool native() const noexcept { return (bits & 1) != 0; }
  [[nodiscard]] bool zero_copy() const noexcept { return (bits & 8) != 0; }
  [[nodiscard]] bool multi_buffer() const noexcept { return (bits & 32) != 0; }
};

struct InterfaceFacts {
  Netdev device;
  std::string kind;   ///< "bond", "vlan", "veth", ...; empty: hardware.
  std::string lower;  ///< Below a VLAN; a veth's peer if it is here, too.
  std::vector<std::string> members;  ///< Of a bond, a team or a bridge.
  std::string master;                ///< Whose member it is itself.
  std::string master_kind;
  bool virtual_function = false;  ///< Of SR-IOV.
  std::optional<AttachedProgram> program;
  std::optional<XdpFeatures> xdp;  ///< None: the kernel does not tell.
  std::optional<Channels> channels;
  std::set<std::string> features;    ///< Active ones, as ethtool -k names them.
  std::set<std::string> changeable;  ///< Those that can be set.
  std::set<std::string> peer_features;  ///< Of a veth's peer, if it is here.
  std::vector<std::uint32_t> rss;       ///< The queue of each entry.
  std::string udp_hash;                 ///< "sdfn"; empty: not told.
  std::vector<FlowRule> flow_rules;     ///< Ntuple rules that are set.
  std::uint32_t flow_rules_max = 0;     ///< 0: the NIC has none.
  std::optional<Coalescing> coalescing;
  std::optional<RxRing> rx_ring;
  std::optional<InterruptDeferral> deferral;  ///< None: /sys does not tell.
  std::vector<Interrupt> interrupts;
  int node = -1;  ///< NUMA node; -1: none, or not told.

  /// What can't be read is left as it is here; ENODEV: no such interface.
  [[nodiscard]] static Result<InterfaceFacts> read(const std::string& name);
};

/// A CPU that is online.
struct CpuFacts {
  int number = 0;
  int node = -1;              ///< NUMA node.
  std::vector<int> siblings;  ///< Threads of the same core, itself included.
  bool isolated = false;      ///< isolcpus=
};

struct HostFacts {
  std::vector<CpuFacts> cpus;
  std::vector<int> allowed;  ///< In this process's affinity mask.
  std::string clock_source;  ///< "tsc"
  /// Bytes that may be locked; the highest number: without limit.
  std::uint64_t memlock = 0;
  std::vector<std::string> missing_capabilities;  ///< Of those that run needs.
  bool may_lock_memory = false;  ///< CAP_IPC_LOCK: `memlock` means nothing.
  std::string io_uring_refused;  ///< Why there is none; empty: there is.

  [[nodiscard]] static HostFacts read();
};

/// One thing that can be read and set, by name and as text:
///
///     feature   rx-lro       on | off
///     channels  combined     4               (or rx, tx)
///     rss       table        0 1 2 3 0 1 ... (a queue for each entry)
///     hash      udp4         sdfn            (or udp6; letters of ethtool -N)
///     ring      rx           256
///     coalesce  rx-usecs     50              (or adaptive-rx on|off)
///     mtu       bytes        1500
///     napi      defer-hard-irqs     2        (or gro-flush-timeout, in ns)
///     irq       45           0,2-3           (CPUs; no interface)
///     flow      7            udp4 dst-port 53 queue 2 | none
struct Setting {
  std::string interface;
  std::string what;
  std::string key;
  std::string value;
  friend bool operator==(const Setting&, const Setting&) = default;

  /// "eth0 feature rx-lro"
  [[nodiscard]] std::string name() const;
};

/// The value that `setting` has now; its own `value` is not looked at.
/// System calls: as InterfaceFacts::read().
[[nodiscard]] Result<std::string> read_setting(const Setting& setting);
/// Sets it, and looks whether it took. Needs CAP_NET_ADMIN; irq needs root.
Result<void> write_setting(const Setting& setting);

}  // namespace sluice
