// SPDX-License-Identifier: Apache-2.0
// What primitives are compared with: numbers of a packet, bits of addresses.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace sluice::language {

/// The number of `size` bytes, 4 at most, that begins at `at`; none, if the
/// packet ends before its end.
[[nodiscard]] inline std::optional<std::uint32_t> number_at(
    std::span<const std::byte> packet, std::size_t at, std::size_t size) {
  if (packet.size() < at + size) return {};
  std::uint32_t value = 0;
  for (const std::byte byte : packet.subspan(at, size)) {
    value = value << 8 | std::to_integer<std::uint32_t>(byte);
  }
  return value;
}

using Address = std::array<std::uint8_t, 16>;

/// Whether two addresses have their first `bits` bits in common.
[[nodiscard]] inline bool begin_alike(const Address& a, const Address& b,
                                      std::size_t bits) {
  const std::size_t whole = bits / 8;
  const std::size_t left = bits % 8;
  return std::equal(a.begin(), a.begin() + whole, b.begin()) &&
         (left == 0 || (a[whole] ^ b[whole]) >> (8 - left) == 0);
}

}  // namespace sluice::language
