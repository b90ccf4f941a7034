// SPDX-License-Identifier: Apache-2.0
// Drop: counts what arrives, and lets it die.
#pragma once

#include <sluice/core.hpp>
#include <sluice/packet.hpp>

namespace sluice::services {

class Drop {
 public:
  explicit Drop(Core& core)
      : packets_(core.counter("dropped_packets")),
        bytes_(core.counter("dropped_bytes")) {}

  void operator()(Packet packet, Core&) noexcept {
    ++packets_;
    bytes_ += packet.size();
  }  // The packet dies here: its frame goes back to the pool.

 private:
  Counter& packets_;
  Counter& bytes_;
};

}  // namespace sluice::services
