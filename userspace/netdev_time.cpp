// SPDX-License-Identifier: Apache-2.0
// What a driver offers to XDP programs, by the netdev family of generic
// netlink. Source: Documentation/netlink/specs/netdev.yaml of Linux 6.8.
#include <sluice/netdev.hpp>
#include <sluice/uapi.hpp>
#include <string>

#include "netdev_netlink.hpp"

namespace sluice {

bool has_hardware_time(int ifindex) {
  auto family = netlink::Family::open("netdev");
  if (!family) return false;
  bool has = false;
  const auto asked = family->ask(
      netdev_family::kDevGet, "netdev(DEV_GET)", std::to_string(ifindex),
      [&](netlink::Request& request) {
        request.add(netdev_family::kDevIfindex,
                    static_cast<std::uint32_t>(ifindex));
      },
      [&](std::span<const char> answer) {
        const auto bits = netlink::find(answer, netdev_family::kDevRxMetadata);
        has = bits && (bits->number() & netdev_family::kRxTimestamp) != 0;
      });
  return asked && has;
}

}  // namespace sluice
