// SPDX-License-Identifier: Apache-2.0
// TurnByTurn: a poller whose idling, too, is the test's business.
#pragma once

#include <sluice/poller.hpp>

namespace sluice::testing {

template <class H>
struct TurnByTurn : Poller<H> {
  using Poller<H>::Poller;
  using Poller<H>::drained;
  using Poller<H>::idle;
};

}  // namespace sluice::testing
