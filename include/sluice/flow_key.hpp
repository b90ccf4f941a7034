// SPDX-License-Identifier: Apache-2.0
// FlowKey: which flow a packet is of, as a key for tables.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <sluice/address.hpp>
#include <sluice/headers.hpp>

namespace sluice {

/// Addresses, ports and protocol of a packet: the same for all packets of a
/// flow in one direction. IPv4 addresses are mapped (::ffff:a.b.c.d). Fragments
/// have ports of zero, all of them, so that a datagram stays together. All zero
/// for what is not IP. VLAN tags do not count.
struct alignas(8) FlowKey {
  Ipv6Address source;
  Ipv6Address destination;
  be16 source_port;
  be16 destination_port;
  Protocol protocol;
  std::uint8_t version;  ///< 4 or 6.
  std::array<std::uint8_t, 2> zero;

  /// The key of the answers.
  [[nodiscard]] FlowKey reversed() const noexcept {
    return {destination, source, destination_port, source_port, protocol,
            version,     {}};
  }
  friend bool operator==(const FlowKey& a, const FlowKey& b) noexcept {
    const Words x = a.words();
    const Words y = b.words();
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) |
            (x[4] ^ y[4])) == 0;
  }
  /// 64 good bits. A secret `seed` keeps senders from choosing collisions.
  /// Source: wyhash.
  [[nodiscard]] std::uint64_t hash(std::uint64_t seed = 0) const noexcept {
    const Words w = words();
    seed = mix(seed ^ 0x2d358dccaa6c78a5, 0x8bb84b93962eacc9);
    std::uint64_t h = mix(w[0] ^ 0x4b33a62ed433d4a3, w[1] ^ seed);
    h ^= mix(w[2] ^ 0x4d5a2da51de1aa47, w[3] ^ seed ^ 0x8bb84b93962eacc9);
    return mix(h ^ 0xa0761d6478bd642f, mix(w[4] ^ 0xe7037ed1a0b428db, seed));
  }

 private:
  using Words = std::array<std::uint64_t, 5>;
  [[nodiscard]] Words words() const noexcept {
    return std::bit_cast<Words>(*this);
  }
};
static_assert(sizeof(FlowKey) == 40);

}  // namespace sluice

template <>
struct std::hash<sluice::FlowKey> {
  std::size_t operator()(const sluice::FlowKey& key) const noexcept {
    return key.hash();
  }
};
