// SPDX-License-Identifier: Apache-2.0
// What the host itself has to offer, whatever the interface.
#include <algorithm>
#include <array>
#include <sluice/cpu.hpp>

#include "doctor_checks.hpp"

namespace sluice {
namespace {

struct HostCase {
  const HostFacts& host;
  const Wanted& wanted;
  std::size_t queues;
  std::vector<int> cpus;  // Of the pollers, each once.
};

std::optional<Finding> capabilities(const HostCase& facts) {
  const auto& missing = facts.host.missing_capabilities;
  if (missing.empty()) return {};
  return Finding{
      "capabilities",
      Severity::error,
      {},
      "this process lacks " + checks::joined(missing) +
          ": no program and no socket without",
      "run as root, or: setcap cap_bpf,cap_perfmon,cap_net_admin,cap_net_raw+ep"
      " on the program",
      {}};
}

std::optional<Finding> memlock(const HostCase& facts) {
  const std::uint64_t needed = std::uint64_t{facts.wanted.frame_size} *
                               facts.wanted.frames_per_queue * facts.queues;
  if (facts.host.may_lock_memory || facts.host.memlock >= needed) return {};
  return Finding{"memlock",
                 Severity::warning,
                 {},
                 "only " + std::to_string(facts.host.memlock >> 10) +
                     " KiB of memory may be locked, and the frames take " +
                     std::to_string(needed >> 10) + " KiB",
                 "ulimit -l unlimited (of a service: LimitMEMLOCK=infinity), "
                 "or the capability CAP_IPC_LOCK",
                 {}};
}

std::optional<Finding> uring(const HostCase& facts) {
  if (facts.host.io_uring_refused.empty()) return {};
  return Finding{"io_uring",
                 Severity::advice,
                 {},
                 "there is no io_uring (" + facts.host.io_uring_refused +
                     "): a core sleeps in ppoll instead",
                 "sysctl kernel.io_uring_disabled=0; in a container its "
                 "seccomp profile",
                 {}};
}

// These are read without a system call. Source: vdso(7), arch/x86/entry/vdso.
std::optional<Finding> clock_source(const HostCase& facts) {
  constexpr std::array<std::string_view, 4> kQuick = {
      "tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"};
  const std::string& now = facts.host.clock_source;
  if (now.empty() || std::ranges::find(kQuick, now) != kQuick.end()) return {};
  return Finding{"clock-source",
                 Severity::warning,
                 {},
                 "the clock source is " + now +
                     ": each look at the clock is a system call, and each turn "
                     "of a poller takes one",
                 "echo tsc > /sys/devices/system/clocksource/clocksource0/"
                 "current_clocksource, if available_clocksource there has it",
                 {}};
}

std::optional<Finding> siblings(const HostCase& facts) {
  for (const int cpu : facts.cpus) {
    const CpuFacts* own = checks::find_cpu(facts.host, cpu);
    if (own == nullptr) continue;
    for (const int other : facts.cpus) {
      if (other <= cpu ||
          std::ranges::find(own->siblings, other) == own->siblings.end()) {
        continue;
      }
      std::vector<int> firsts;
      for (const CpuFacts& each : facts.host.cpus) {
        if (each.siblings.empty() || each.siblings.front() == each.number) {
          firsts.push_back(each.number);
        }
      }
      return Finding{
          "smt-siblings",
          Severity::warning,
          {},
          "cpus " + std::to_string(cpu) + " and " + std::to_string(other) +
              " are threads of one core, and a poller on each has "
              "half of it",
          "--cpus, with one thread of each core: " + checks::joined(firsts),
          {}};
    }
  }
  return {};
}

std::optional<Finding> isolation(const HostCase& facts) {
  if (!facts.wanted.spin) return {};
  std::vector<int> shared;
  for (const int cpu : facts.cpus) {
    const CpuFacts* own = checks::find_cpu(facts.host, cpu);
    if (own != nullptr && !own->isolated) shared.push_back(cpu);
  }
  if (shared.empty()) return {};
  const std::string list = checks::joined(shared);
  return Finding{
      "isolation",
      Severity::advice,
      {},
      "the scheduler puts other threads, too, on cpus that spin: " + list,
      "boot with isolcpus=" + list + " nohz_full=" + list +
          ", or give others other cpus (AllowedCPUs= of systemd)",
      {}};
}

}  // namespace

std::vector<Finding> diagnose_host(const HostFacts& host, const Wanted& wanted,
                                   std::size_t queues) {
  const HostCase facts{host, wanted, queues,
                       cpus_for(std::min(queues, host.allowed.size()),
                                wanted.cpus, host.allowed)};
  std::vector<Finding> findings;
  for (const auto check :
       {capabilities, memlock, uring, clock_source, siblings, isolation}) {
    if (auto finding = check(facts)) findings.push_back(std::move(*finding));
  }
  return checks::worst_first(std::move(findings));
}

}  // namespace sluice
