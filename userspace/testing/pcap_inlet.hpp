// SPDX-License-Identifier: Apache-2.0
// What a capture's packets meet before any core: private to
// userspace/testing/pcap_*.cpp.
#pragma once

#include <memory>
#include <optional>
#include <sluice/testing/pcap_engine.hpp>
#include <vector>

namespace sluice::testing {

struct PcapEngine::Inlet {
  std::unique_ptr<PacketSource> source;
  const Captured* head = nullptr;  // Read, and not yet arrived.
  Counts counts;                   // Without those of `bypass`.
  std::vector<sluice_line> bypass_memory;
  std::optional<BypassTable> bypass;
  std::uint32_t bypassing = 0;
  Count bypassed;

  void make_bypass(std::uint32_t flows) {
    if (flows == 0) return;
    bypass_memory.resize(BypassTable::bytes(flows) / sizeof(sluice_line));
    const auto bytes = std::as_writable_bytes(std::span(bypass_memory));
    BypassTable::make(bytes, flows);
    bypass.emplace(bytes, bypassing);
  }
};

}  // namespace sluice::testing
