// SPDX-License-Identifier: Apache-2.0
// A host that nothing is wrong with, to be spoilt by a test.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <sluice/doctor.hpp>
#include <string>
#include <vector>

namespace sluice::testing {

/// Four CPUs without SMT at one node, all of them allowed.
inline HostFacts good_host() {
  HostFacts host;
  for (int cpu = 0; cpu < 4; ++cpu) {
    host.cpus.push_back({cpu, 0, {cpu}, false});
    host.allowed.push_back(cpu);
  }
  host.clock_source = "tsc";
  host.memlock = std::numeric_limits<std::uint64_t>::max();
  return host;
}

/// eth0 with four queues, an RSS table over all, and interrupts at their CPUs.
inline InterfaceFacts good_nic() {
  InterfaceFacts nic;
  nic.device.name = "eth0";
  nic.device.index = 2;
  nic.device.driver = "ice";
  nic.device.mtu = 1500;
  nic.device.up = nic.device.running = true;
  nic.device.rx_queues = nic.device.tx_queues = 4;
  nic.xdp = XdpFeatures{0xff};
  nic.channels = Channels{4, 0, 0, 4, 0, 0};
  for (std::uint32_t i = 0; i < 8; ++i) nic.rss.push_back(i % 4);
  nic.udp_hash = "sdfn";
  nic.features = {"rx-ntuple-filter"};
  nic.flow_rules_max = 16;
  nic.coalescing = Coalescing{3, false};
  for (std::uint32_t q = 0; q < 4; ++q) {
    nic.interrupts.push_back({40 + q, q, {static_cast<int>(q)}});
  }
  nic.node = 0;
  return nic;
}

/// What is wrong with the NIC on a good host.
inline std::vector<Finding> said_of(const InterfaceFacts& nic,
                                    const Wanted& wanted = {}) {
  return diagnose(nic, good_host(), wanted);
}

/// The settings that mend a finding, a line each: see fix_of().
using Fix = std::vector<std::string>;

/// The one of that id, if there is one.
inline std::optional<Finding> find(const std::vector<Finding>& findings,
                                   const std::string& id) {
  for (const Finding& each : findings) {
    if (each.id == id) return each;
  }
  return std::nullopt;
}

/// That there is a finding, how bad it is, and what its sentence and its remedy
/// say.
inline void expect_finding(const std::vector<Finding>& findings,
                           const std::string& id, Severity severity,
                           const std::vector<std::string>& said) {
  const auto found = find(findings, id);
  ASSERT_TRUE(found) << "no finding " << id;
  EXPECT_EQ(found->severity, severity) << id;
  const std::string text = found->sentence + "\n" + found->remedy;
  for (const std::string& each : said) {
    EXPECT_NE(text.find(each), std::string::npos)
        << "\"" << each << "\" is not in: " << text;
  }
}

/// "eth0 feature rx-lro off" of each setting.
inline std::vector<std::string> fix_of(const std::vector<Finding>& findings,
                                       const std::string& id) {
  std::vector<std::string> fix;
  const auto found = find(findings, id);
  if (!found) return fix;
  for (const Setting& each : found->fix) {
    fix.push_back(each.name() + " " + each.value);
  }
  return fix;
}

}  // namespace sluice::testing
