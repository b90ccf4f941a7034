// SPDX-License-Identifier: Apache-2.0
// Forward: a wire between two ports. No byte is moved or changed.
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <sluice/core.hpp>
#include <sluice/packet.hpp>
#include <utility>

namespace sluice::services {

class Forward {
 public:
  explicit Forward(Core& core)
      : outlets_{core.port(std::size_t{0}), core.port(core.port_count() - 1)} {
    if (core.port_count() == 2) return;
    core.fail({EINVAL, "forward",
               "with " + std::to_string(core.port_count()) + " port(s)",
               "Name two: --port a=INTERFACE --port b=INTERFACE."});
  }

  void operator()(Packet packet, Core&) noexcept {
    const std::size_t other = packet.port() ^ 1u;
    outlets_[other].send(std::move(packet));
  }

 private:
  std::array<Outlet, 2> outlets_;
};

}  // namespace sluice::services
