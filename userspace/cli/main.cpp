// SPDX-License-Identifier: Apache-2.0
// sluice: the command line.
#include <sluice/app.hpp>
#include <sluice/services/drop.hpp>
#include <sluice/services/echo.hpp>
#include <sluice/services/forward.hpp>
#include <sluice/services/macswap.hpp>
#include <sluice/services/reflect.hpp>

int main(int argc, char** argv) {
  using namespace sluice;
  return app::run_command(
      argc, argv,
      {app::choice<services::Drop>("drop", "count them"),
       app::choice<services::MacSwap>("macswap",
                                      "swap the Ethernet addresses, send back"),
       app::choice<services::Reflect>("reflect",
                                      "swap Ethernet, IP and ports, send back"),
       app::choice<services::Echo>(
           "echo", "be a host for --address: ARP, ND, ping, UDP echo"),
       app::choice<services::Forward>("forward", "a wire between two ports")});
}
