// SPDX-License-Identifier: Apache-2.0
// Reflect: sends UDP, TCP and pings back to where they came from, with the
// addresses of Ethernet and IP and the ports swapped.
//
// Swapping keeps checksums as they are: right ones right, wrong ones wrong. One
// that a local sender left to its device is completed.
#pragma once

#include <sluice/core.hpp>
#include <sluice/packet.hpp>
#include <sluice/parse.hpp>
#include <sluice/services/answer.hpp>
#include <utility>

namespace sluice::services {

class Reflect {
 public:
  explicit Reflect(Core& core)
      : unfit_(core),
        reflected_(core.counter("reflected")),
        completed_(core.counter("checksums_completed")) {}

  void operator()(Packet packet, Core& core) noexcept {
    const Layers layers = parse(packet);
    if (layers.udp() == nullptr && layers.tcp() == nullptr &&
        !answer_ping(layers)) {
      unfit_.count(layers.shape());
      return;
    }
    layers.reverse();
    if (layers.unfinished()) {
      layers.complete_checksums();
      ++completed_;
    }
    ++reflected_;
    core.reply(std::move(packet));
  }

 private:
  Unfit unfit_;
  Counter& reflected_;
  Counter& completed_;
};

}  // namespace sluice::services
