// SPDX-License-Identifier: Apache-2.0
// Terms: which values of one field a clause allows.
//
// A packet that lacks the field is a value of its own, "none", so that a term
// and its complement together are all packets. The common terms, everything and
// one range or prefix, are held in place; only others are sets elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/expression.hpp>

#include "range_set.hpp"

namespace sluice::steering {

/// The addresses that agree with a prefix in its first `bits` bits, or its
/// length if that is less. IPv4 is in the highest 32 bits, then anything.
Range<Uint128> range_of(const Prefix& prefix, unsigned bits = 128);

/// A number of 16 bits, or none.
class NumberTerm {
 public:
  static constexpr std::uint32_t kNone = 65536;
  using Set = RangeSet<std::uint32_t>;

  NumberTerm() = default;  // Everything.
  explicit NumberTerm(Set set);

  [[nodiscard]] bool is_any() const {
    return !set_ && first_ == 0 && last_ == kNone;
  }
  [[nodiscard]] bool is_single() const { return !set_ && first_ == last_; }
  [[nodiscard]] std::uint32_t first() const { return first_; }
  [[nodiscard]] bool empty() const { return first_ > last_; }
  [[nodiscard]] Set set() const { return set_ ? *set_ : Set(first_, last_); }
  [[nodiscard]] NumberTerm complement() const;

  friend NumberTerm operator&(const NumberTerm& a, const NumberTerm& b);
  friend NumberTerm operator|(const NumberTerm& a, const NumberTerm& b);
  friend bool operator==(const NumberTerm& a, const NumberTerm& b);

 private:
  std::uint32_t first_ = 0;  // Bounds, also of a set.
  std::uint32_t last_ = kNone;
  std::shared_ptr<const Set> set_;
};

/// IPv4 and IPv6 addresses, and none.
struct AddressSet {
  RangeSet<std::uint32_t> four;
  RangeSet<Uint128> six;
  bool none = false;
  friend bool operator==(const AddressSet&, const AddressSet&) = default;
};

class AddressTerm {
 public:
  AddressTerm() = default;  // Everything.
  explicit AddressTerm(AddressSet set);
  static AddressTerm prefix4(const Prefix& prefix);
  static AddressTerm prefix6(const Prefix& prefix);

  enum class Kind : std::uint8_t { any, prefix4, prefix6, set };
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool is_any() const { return kind_ == Kind::any; }
  [[nodiscard]] bool empty() const {
    return kind_ == Kind::set && set_->four.empty() && set_->six.empty() &&
           !set_->none;
  }
  // Of a prefix: bits, and the first address, IPv4 in the highest 32 bits.
  [[nodiscard]] unsigned length() const { return length_; }
  [[nodiscard]] Uint128 value() const { return value_; }
  [[nodiscard]] AddressSet set() const;
  [[nodiscard]] AddressTerm complement() const;

  friend AddressTerm operator&(const AddressTerm& a, const AddressTerm& b);
  friend AddressTerm operator|(const AddressTerm& a, const AddressTerm& b);
  friend bool operator==(const AddressTerm& a, const AddressTerm& b);

 private:
  Kind kind_ = Kind::any;
  std::uint8_t length_ = 0;
  Uint128 value_ = 0;
  std::shared_ptr<const AddressSet> set_;
};

}  // namespace sluice::steering
