// SPDX-License-Identifier: Apache-2.0
// Nobody could catch what a handler throws, so it has to say that it won't.
// SAYS: static assertion failed.*noexcept
#include <sluice/poller.hpp>

struct Careless {
#ifdef MISTAKE
  void operator()(sluice::Packet, sluice::Core&) {}
#else
  void operator()(sluice::Packet, sluice::Core&) noexcept {}
#endif
};

void run(Careless& handler, sluice::Core& core, sluice::Kernel& kernel) {
  sluice::Poller<Careless> poller(handler, core, kernel);
  poller.run();
}
