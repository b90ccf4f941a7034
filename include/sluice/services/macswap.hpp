// SPDX-License-Identifier: Apache-2.0
// MacSwap: sends every packet back with its Ethernet addresses swapped.
#pragma once

#include <sluice/core.hpp>
#include <sluice/headers.hpp>
#include <sluice/packet.hpp>
#include <utility>

namespace sluice::services {

class MacSwap {
 public:
  explicit MacSwap(Core& core)
      : swapped_(core.counter("swapped")),
        truncated_(core.counter("dropped_truncated")) {}

  void operator()(Packet packet, Core& core) noexcept {
    auto* eth = packet.header<Ethernet>();
    if (eth == nullptr) {
      ++truncated_;
      return;
    }
    eth->swap_addresses();
    ++swapped_;
    core.reply(std::move(packet));
  }

 private:
  Counter& swapped_;
  Counter& truncated_;
};

}  // namespace sluice::services
