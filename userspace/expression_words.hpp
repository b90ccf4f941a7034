// SPDX-License-Identifier: Apache-2.0
// The vocabulary of expressions: keywords, constants, numbers, addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <sluice/expression.hpp>

namespace sluice::language {

/// An IPv4 or IPv6 prefix as it is written.
struct WrittenPrefix {
  Prefix prefix;
  bool ip6 = false;
  bool slash = false;      ///< With a length behind it.
  bool host_bits = false;  ///< Bits behind the length were set; they are not.
};

/// Decimal without leading zeros (libpcap would take them for octal), or 0x.
[[nodiscard]] std::optional<std::uint32_t> number_of(std::string_view word);

/// "5-10", in either order as libpcap has it, or "5".
[[nodiscard]] std::optional<NumberRange> range_of(std::string_view word);

/// "192.0.2.1", "192.0.2.0/24", "2001:db8::/32". Four numbers, not fewer.
[[nodiscard]] std::optional<WrittenPrefix> prefix_of(std::string_view word);

/// Values by name, as in `tcp-syn` and `icmp6-echo`.
[[nodiscard]] std::optional<std::uint32_t> constant_of(std::string_view word);

/// Protocol numbers by name, as in `ip proto \udp`.
[[nodiscard]] std::optional<std::uint32_t> ip_protocol_of(
    std::string_view name);

/// EtherTypes by name, as in `ether proto \arp`.
[[nodiscard]] std::optional<std::uint32_t> ether_type_of(std::string_view name);

/// A word of pcap-filter(7) that is understood here.
[[nodiscard]] bool is_keyword(std::string_view word);

/// A word of pcap-filter(7) that is not.
[[nodiscard]] bool is_unsupported(std::string_view word);

}  // namespace sluice::language
