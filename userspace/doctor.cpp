// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cerrno>
#include <sluice/cpu.hpp>
#include <sluice/doctor.hpp>

#include "doctor_checks.hpp"

namespace sluice {
namespace checks {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& each : words) {
    text += (text.empty() ? "" : ", ") + each;
  }
  return text;
}

std::string joined(std::vector<int> numbers) {
  std::ranges::sort(numbers);
  std::string text;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    std::size_t last = i;
    while (last + 1 < numbers.size() &&
           numbers[last + 1] == numbers[last] + 1) {
      ++last;
    }
    text += (text.empty() ? "" : ",") + std::to_string(numbers[i]);
    if (last > i) text += "-" + std::to_string(numbers[last]);
    i = last;
  }
  return text;
}

const CpuFacts* find_cpu(const HostFacts& host, int number) {
  const auto found = std::ranges::find(host.cpus, number, &CpuFacts::number);
  return found == host.cpus.end() ? nullptr : &*found;
}

// In their own order where they are alike.
std::vector<Finding> worst_first(std::vector<Finding> findings) {
  std::vector<Finding> sorted;
  for (const Severity severity :
       {Severity::error, Severity::warning, Severity::advice}) {
    for (Finding& each : findings) {
      if (each.severity == severity) sorted.push_back(std::move(each));
    }
  }
  return sorted;
}

}  // namespace checks

namespace {

using checks::Case;
using checks::Check;

Case case_of(const InterfaceFacts& interface, const HostFacts& host,
             const Wanted& wanted) {
  auto queues = interface.device.served(wanted.queues);
  auto cpus = cpus_for(queues.size(), wanted.cpus, host.allowed);
  return {interface, host, wanted, std::move(queues), std::move(cpus)};
}

}  // namespace

const char* to_string(Severity severity) noexcept {
  switch (severity) {
    case Severity::advice:
      return "advice";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
  }
  return "?";
}

std::vector<Finding> diagnose(const InterfaceFacts& interface,
                              const HostFacts& host, const Wanted& wanted) {
  const Case facts = case_of(interface, host, wanted);
  std::vector<Finding> findings;
  for (const auto& list : {checks::device_checks(), checks::queue_checks(),
                           checks::offload_checks()}) {
    for (const Check check : list) {
      if (auto finding = check(facts)) {
        finding->interface = interface.device.name;
        findings.push_back(std::move(*finding));
      }
    }
  }
  return checks::worst_first(std::move(findings));
}

bool concerns(const Finding& finding, int code) noexcept {
  struct Concern {
    std::string_view id;
    std::array<int, 3> codes;
  };
  constexpr Concern kConcerns[] = {
      {"capabilities", {EPERM, EACCES}},
      {"memlock", {ENOBUFS, ENOMEM, EPERM}},
      {"other-program", {EBUSY, EEXIST}},
      {"link-down", {ENETDOWN}},
      {"bond", {EOPNOTSUPP, EINVAL, EBUSY}},
      {"bond-member", {EOPNOTSUPP, EBUSY}},
      {"bridge", {EOPNOTSUPP, EINVAL}},
      {"vlan-device", {EOPNOTSUPP, EINVAL}},
      {"virtual-function", {EOPNOTSUPP, EINVAL}},
      {"native-xdp", {EOPNOTSUPP}},
      {"zero-copy", {EOPNOTSUPP, EINVAL, ENOENT}},
      {"lro", {EOPNOTSUPP, EINVAL}},
      {"mtu", {EINVAL, ERANGE, EOPNOTSUPP}},
      {"channels-limit", {EINVAL, EOPNOTSUPP, ENOSPC}},
      {"ntuple", {EOPNOTSUPP, EINVAL, ENOSPC}},
  };
  return std::ranges::any_of(kConcerns, [&](const Concern& each) {
    return each.id == finding.id &&
           std::ranges::find(each.codes, code) != each.codes.end();
  });
}

}  // namespace sluice
