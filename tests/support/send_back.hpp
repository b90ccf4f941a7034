// SPDX-License-Identifier: Apache-2.0
// SendBack: the handler that sends back what comes, as it is.
#pragma once

#include <sluice/core.hpp>
#include <utility>

namespace sluice::testing {

struct SendBack {
  void operator()(Packet packet, Core& core) noexcept {
    core.reply(std::move(packet));
  }
};

}  // namespace sluice::testing
