// SPDX-License-Identifier: Apache-2.0
// Compiled into nothing: check_use_after_move.sh wants clang-tidy to refuse
// this file, once for a packet touched after it was sent.
#include <sluice/core.hpp>
#include <sluice/packet.hpp>
#include <utility>

std::size_t size_after_sending(sluice::Packet packet, sluice::Core& core) {
  core.reply(std::move(packet));
  return packet.size();  // The frame may be on the wire, or another packet's.
}
