// SPDX-License-Identifier: Apache-2.0
// The checks of the doctor, by what they look at. Private to the library.
#pragma once

#include <sluice/doctor.hpp>
#include <string>
#include <vector>

namespace sluice::checks {

/// What a check is told.
struct Case {
  const InterfaceFacts& interface;
  const HostFacts& host;
  const Wanted& wanted;
  std::vector<int> queues;  ///< Served, as the engine would choose.
  std::vector<int> cpus;    ///< Of each of them.

  [[nodiscard]] const std::string& name() const {
    return interface.device.name;
  }
  [[nodiscard]] bool has(const char* feature) const {
    return interface.features.contains(feature);
  }
  [[nodiscard]] bool can_change(const char* feature) const {
    return interface.changeable.contains(feature);
  }
};

using Check = std::optional<Finding> (*)(const Case&);

/// What kind of device it is, and who has it.
[[nodiscard]] std::vector<Check> device_checks();
/// Which packet comes to which queue and CPU.
[[nodiscard]] std::vector<Check> queue_checks();
/// What the NIC does to packets.
[[nodiscard]] std::vector<Check> offload_checks();

/// The worst first, else in their own order.
[[nodiscard]] std::vector<Finding> worst_first(std::vector<Finding> findings);
/// "eth0, eth1"
[[nodiscard]] std::string joined(const std::vector<std::string>& words);
/// "0-3,8"
[[nodiscard]] std::string joined(std::vector<int> numbers);
/// The facts of a CPU; null: it is not online.
[[nodiscard]] const CpuFacts* find_cpu(const HostFacts& host, int number);

/// Ntuple rules that bring what `rules` steer to `queues` in turn; nothing of
/// what can't be said that way.
struct Flows {
  std::vector<std::string> rules;       ///< "udp4 dst-port 53 queue 2"
  std::vector<std::string> impossible;  ///< The rules they were not made of.
};
[[nodiscard]] Flows flows_of(const Rules& rules,
                             const std::vector<int>& queues);

}  // namespace sluice::checks
