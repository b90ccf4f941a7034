// SPDX-License-Identifier: Apache-2.0
// Checksum: the Internet checksum, whole and by difference.
//
// Ones' complement sums do not care about byte order: memory is added as host
// numbers, and the result is stored as it is (RFC 1071, 2B). Nothing here is
// swapped.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sluice/headers.hpp>
#include <span>

namespace sluice {

/// A ones' complement sum under way. Source: RFC 1071.
class Sum {
 public:
  /// Appends bytes: the sum of two parts is that of the whole, also when the
  /// first has an odd size. Any size, any alignment.
  Sum& add(std::span<const std::byte> bytes) noexcept {
    const std::uint64_t part = of(bytes);
    // A part that begins in the middle of a word has its bytes the wrong way
    // round (RFC 1071, 2B).
    accumulate(odd_ ? __builtin_bswap16(fold(part)) : part);
    odd_ ^= (bytes.size() & 1) != 0;
    return *this;
  }
  /// Adds a number without regard to where the bytes before it ended.
  Sum& add(be16 value) noexcept {
    accumulate(value.wire());
    return *this;
  }
  Sum& add(be32 value) noexcept {
    accumulate(value.wire());
    return *this;
  }
  /// Adds what another sum holds.
  Sum& add(const Sum& other) noexcept {
    accumulate(other.value_);
    return *this;
  }
  /// Takes away what another sum holds: adds its complement (RFC 1624, 3).
  Sum& subtract(const Sum& other) noexcept {
    accumulate(static_cast<std::uint16_t>(~fold(other.value_)));
    return *this;
  }
  /// The next bytes added begin in the middle of a word, as the second byte.
  Sum& start_odd(bool odd) noexcept {
    odd_ = odd;
    return *this;
  }

  /// The sum itself: what an unfinished checksum field holds. It is 0xffff over
  /// data that include a right checksum.
  [[nodiscard]] be16 folded() const noexcept {
    return be16::from_wire(fold(value_));
  }
  /// Its complement: what a checksum field holds.
  [[nodiscard]] be16 checksum() const noexcept {
    return be16::from_wire(static_cast<std::uint16_t>(~fold(value_)));
  }
  /// The same for UDP, where zero would mean none. Source: RFC 768.
  [[nodiscard]] be16 udp_checksum() const noexcept {
    const be16 sum = checksum();
    return sum == 0 ? be16{0xffff} : sum;
  }

 private:
  static std::uint64_t add_carry(std::uint64_t a, std::uint64_t b) noexcept {
    std::uint64_t sum = 0;
    const bool carry = __builtin_add_overflow(a, b, &sum);
    return sum + carry;  // Cannot carry again: sum is below 2^64 - 1 then.
  }
  void accumulate(std::uint64_t part) noexcept {
    value_ = add_carry(value_, part);
  }
  template <class T>
  static std::uint64_t load(const std::byte* at) noexcept {
    T word;
    std::memcpy(&word, at, sizeof(word));
    return word;
  }
  static std::uint64_t of(std::span<const std::byte> bytes) noexcept {
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    std::uint64_t even = 0;
    std::uint64_t odd = 0;  // Two chains of carries run side by side.
    for (; left >= 32; left -= 32, at += 32) {
      even = add_carry(even, load<std::uint64_t>(at));
      odd = add_carry(odd, load<std::uint64_t>(at + 8));
      even = add_carry(even, load<std::uint64_t>(at + 16));
      odd = add_carry(odd, load<std::uint64_t>(at + 24));
    }
    for (; left >= 8; left -= 8, at += 8) {
      even = add_carry(even, load<std::uint64_t>(at));
    }
    if ((left & 4) != 0) {
      odd = add_carry(odd, load<std::uint32_t>(at));
      at += 4;
    }
    if ((left & 2) != 0) {
      odd = add_carry(odd, load<std::uint16_t>(at));
      at += 2;
    }
    if ((left & 1) != 0) {
      // The last byte is the first of a word whose other half is zero.
      const auto last = std::to_integer<std::uint64_t>(*at);
      constexpr bool kBig = std::endian::native == std::endian::big;
      odd = add_carry(odd, kBig ? last << 8 : last);
    }
    return add_carry(even, odd);
  }
  static std::uint16_t fold(std::uint64_t value) noexcept {
    value = (value & 0xffffffff) + (value >> 32);
    value = (value & 0xffffffff) + (value >> 32);
    value = (value & 0xffff) + (value >> 16);
    value = (value & 0xffff) + (value >> 16);
    return static_cast<std::uint16_t>(value);
  }

  std::uint64_t value_ = 0;
  bool odd_ = false;  // An odd number of bytes was added.
};

/// The sum of some bytes.
[[nodiscard]] inline Sum sum_of(std::span<const std::byte> bytes) noexcept {
  return Sum().add(bytes);
}
/// The sum of a header or an address.
template <HeaderView T>
[[nodiscard]] Sum sum_of(const T& header) noexcept {
  return Sum().add(std::as_bytes(std::span(&header, 1)));
}

/// The sum of a pseudo-header. `length`: bytes of layer 4, header included.
/// Source: RFC 9293, 3.1 (IPv4); RFC 8200, 8.1 (IPv6).
template <class Address>
[[nodiscard]] Sum pseudo_header_sum(const Address& source,
                                    const Address& destination,
                                    Protocol protocol,
                                    std::uint32_t length) noexcept {
  return sum_of(source)
      .add(sum_of(destination))
      .add(be32(length))
      .add(be16(static_cast<std::uint8_t>(protocol)));
}

/// Mends a checksum after bytes that summed to `before` became bytes that sum
/// to `after`: HC' = ~(~HC + ~m + m'). The shorter form of RFC 1141 may leave
/// 0xffff where a full sum gives 0x0000. Source: RFC 1624, 3, equation 3.
inline void mend_checksum(be16& checksum, const Sum& before,
                          const Sum& after) noexcept {
  const auto rest = static_cast<std::uint16_t>(~checksum);
  checksum = Sum().add(be16{rest}).subtract(before).add(after).checksum();
}
/// The same for UDP: none stays none, and a sum of zero is written as ones.
inline void mend_udp_checksum(be16& checksum, const Sum& before,
                              const Sum& after) noexcept {
  if (checksum == 0) return;
  mend_checksum(checksum, before, after);
  if (checksum == 0) checksum = 0xffff;
}

}  // namespace sluice
