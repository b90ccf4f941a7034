// SPDX-License-Identifier: Apache-2.0
// A packet is one frame's owner; a second one is made by copy(), out loud.
// SAYS: use of deleted function|call to implicitly-deleted copy constructor
#include <sluice/packet.hpp>
#include <utility>

void hand_over(sluice::Packet packet) {
#ifdef MISTAKE
  sluice::Packet second = packet;
#else
  sluice::Packet second = std::move(packet);
#endif
  (void)second;
}
