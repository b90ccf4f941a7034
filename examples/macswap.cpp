// SPDX-License-Identifier: Apache-2.0
// macswap: sends every packet back to the host it came from.
//
//   macswap -i eth0 --steer 'udp and dst port 9'
#include <sluice/app.hpp>
#include <utility>

struct MacSwap {  // One instance per core: no locks, no atomics.
  void operator()(sluice::Packet packet, sluice::Core& core) noexcept {
    auto* eth = packet.header<sluice::Ethernet>();
    if (eth == nullptr) return;  // Too short: it dies, its frame goes home.
    eth->swap_addresses();
    core.reply(std::move(packet));  // Out of the port it came in on.
  }
};

int main(int argc, char** argv) { return sluice::run<MacSwap>(argc, argv); }
