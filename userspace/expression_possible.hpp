// SPDX-License-Identifier: Apache-2.0
// Which kinds of packets an expression can match. Leaves out some that it
// can't, never one that it can.
#pragma once

#include <array>
#include <cstdint>

#include <sluice/expression.hpp>

namespace sluice::language {

/// A bit for each kind of packet that libpcap's questions tell apart.
using Kinds = std::uint32_t;
inline constexpr Kinds kArpKind = 1, kRarpKind = 2, kTcp4Kind = 4,
                       kUdp4Kind = 8, kSctp4Kind = 16, kIcmpKind = 32,
                       kOther4Kind = 64, kTcp6Kind = 128, kUdp6Kind = 256,
                       kSctp6Kind = 512, kIcmp6Kind = 1024, kOther6Kind = 2048;
/// IPv6 with a fragment header, and in it...
inline constexpr Kinds kPiece6Tcp = 1 << 12, kPiece6Udp = 1 << 13,
                       kPiece6Sctp = 1 << 14, kPiece6Icmp6 = 1 << 15,
                       kPiece6Other = 1 << 16;
inline constexpr Kinds kOtherKind = 1 << 17;  ///< Tags, too.
inline constexpr Kinds kIp4Kinds =
    kTcp4Kind | kUdp4Kind | kSctp4Kind | kIcmpKind | kOther4Kind;
inline constexpr Kinds kPiece6Kinds =
    kPiece6Tcp | kPiece6Udp | kPiece6Sctp | kPiece6Icmp6 | kPiece6Other;
inline constexpr Kinds kIp6Kinds = kTcp6Kind | kUdp6Kind | kSctp6Kind |
                                   kIcmp6Kind | kOther6Kind | kPiece6Kinds;
inline constexpr Kinds kAllKinds = (1 << 18) - 1;

/// The kinds as seen behind 0, 1 and 2 VLAN tags. All zero: none.
using KindsByDepth = std::array<Kinds, 3>;

/// The packets for which the expression can be true.
[[nodiscard]] KindsByDepth possible(const Expression& expression);

}  // namespace sluice::language
