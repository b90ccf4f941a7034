// SPDX-License-Identifier: Apache-2.0
// The error says how a handler is called, not how a concept failed.
// SAYS: static assertion failed.*a handler is called as
#include <sluice/poller.hpp>

struct Almost {
#ifdef MISTAKE
  void operator()(sluice::Packet&, sluice::Core&) noexcept {}
#else
  void operator()(sluice::Packet, sluice::Core&) noexcept {}
#endif
};

void run(Almost& handler, sluice::Core& core, sluice::Kernel& kernel) {
  sluice::Poller<Almost> poller(handler, core, kernel);
  poller.run();
}
