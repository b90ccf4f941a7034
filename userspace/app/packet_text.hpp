// SPDX-License-Identifier: Apache-2.0
// Packets that a person writes: 'udp 192.0.2.1:5 > 10.0.0.1:53'. Private to the
// app wing.
#pragma once

#include <cstddef>
#include <sluice/result.hpp>
#include <string>
#include <vector>

namespace sluice::app {

/// Whether it is meant to be a packet, and not the path of a capture.
[[nodiscard]] bool is_packet_text(const std::string& text);

/// The Ethernet packet of
///
///     [vlan ID]... udp|tcp|sctp ADDRESS:PORT > ADDRESS:PORT
///     [vlan ID]... icmp|icmp6|arp ADDRESS > ADDRESS
///
/// IPv6 with a port is [ADDRESS]:PORT. TCP is a SYN, ICMP an echo request, ARP
/// a request. Errors: EINVAL.
[[nodiscard]] Result<std::vector<std::byte>> packet_of(const std::string& text);

}  // namespace sluice::app
