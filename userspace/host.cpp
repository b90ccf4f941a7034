// SPDX-License-Identifier: Apache-2.0
#include <linux/capability.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <sluice/host.hpp>
#include <sluice/uring.hpp>

#include "host_files.hpp"
#include "program_advice.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::map<int, int> nodes_by_cpu() {
  std::map<int, int> nodes;
  std::error_code error;
  for (const auto& each :
       fs::directory_iterator("/sys/devices/system/node", error)) {
    const std::string name = each.path().filename();
    if (!name.starts_with("node") ||
        name.find_first_not_of("0123456789", 4) != std::string::npos) {
      continue;
    }
    for (const int cpu : numbers_in(read_line(each.path() / "cpulist"))) {
      nodes[cpu] = std::stoi(name.substr(4));
    }
  }
  return nodes;
}

std::vector<CpuFacts> read_cpus() {
  const std::string root = "/sys/devices/system/cpu/";
  const auto isolated = numbers_in(read_line(root + "isolated"));
  const auto nodes = nodes_by_cpu();
  std::vector<CpuFacts> cpus;
  for (const int number : numbers_in(read_line(root + "online"))) {
    CpuFacts cpu;
    cpu.number = number;
    if (const auto node = nodes.find(number); node != nodes.end()) {
      cpu.node = node->second;
    }
    cpu.siblings = numbers_in(read_line(root + "cpu" + std::to_string(number) +
                                        "/topology/thread_siblings_list"));
    cpu.isolated = std::ranges::find(isolated, number) != isolated.end();
    cpus.push_back(std::move(cpu));
  }
  return cpus;
}

}  // namespace

HostFacts HostFacts::read() {
  HostFacts facts;
  facts.cpus = read_cpus();
  if (auto allowed = allowed_cpus()) facts.allowed = std::move(*allowed);
  facts.clock_source = read_line(
      "/sys/devices/system/clocksource/clocksource0/current_clocksource");
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
    facts.memlock = limit.rlim_cur == RLIM_INFINITY
                        ? std::numeric_limits<std::uint64_t>::max()
                        : limit.rlim_cur;
  }
  facts.missing_capabilities = sluice::missing_capabilities();
  if (!has_capability(CAP_NET_RAW)) {
    facts.missing_capabilities.emplace_back("CAP_NET_RAW");
  }
  facts.may_lock_memory = has_capability(CAP_IPC_LOCK);
  if (auto uring = Uring::open(); !uring) {
    facts.io_uring_refused = uring.error().message();
  }
  return facts;
}

std::string Setting::name() const {
  std::string text = interface;
  for (const std::string& each : {what, key}) {
    if (!each.empty()) text += (text.empty() ? "" : " ") + each;
  }
  return text;
}

}  // namespace sluice
