// SPDX-License-Identifier: Apache-2.0
#include "terms.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace sluice::steering {
namespace {

constexpr std::uint32_t kLast4 = std::numeric_limits<std::uint32_t>::max();
constexpr Uint128 kLast6 = ~Uint128{0};

// The bits behind the first `length`.
Uint128 tail(unsigned length) {
  return length == 0 ? kLast6 : (Uint128{1} << (128 - length)) - 1;
}

}  // namespace

Range<Uint128> range_of(const Prefix& prefix, unsigned bits) {
  Uint128 value = 0;
  for (const std::uint8_t byte : prefix.address) value = value << 8 | byte;
  const Uint128 rest = tail(std::min<unsigned>(prefix.length, bits));
  return {value & ~rest, value | rest};
}

NumberTerm::NumberTerm(Set set) {
  if (set.empty()) {
    first_ = 1;
    last_ = 0;
    return;
  }
  first_ = set.ranges().front().first;
  last_ = set.ranges().back().last;
  if (set.ranges().size() > 1) {
    set_ = std::make_shared<const Set>(std::move(set));
  }
}

NumberTerm NumberTerm::complement() const {
  return NumberTerm(empty() ? Set(0, kNone) : set().complement(kNone));
}

NumberTerm operator&(const NumberTerm& a, const NumberTerm& b) {
  if (a.is_any()) return b;
  if (b.is_any()) return a;
  if (a.empty() || b.empty()) return NumberTerm(NumberTerm::Set());
  return NumberTerm(a.set() & b.set());
}

NumberTerm operator|(const NumberTerm& a, const NumberTerm& b) {
  if (a.is_any() || b.empty()) return a;
  if (b.is_any() || a.empty()) return b;
  return NumberTerm(a.set() | b.set());
}

bool operator==(const NumberTerm& a, const NumberTerm& b) {
  if (a.first_ != b.first_ || a.last_ != b.last_) return false;
  if (a.set_ == b.set_) return true;
  return a.set_ && b.set_ && *a.set_ == *b.set_;
}

AddressTerm::AddressTerm(AddressSet set) {
  if (set.none && set.four.is_all(kLast4) && set.six.is_all(kLast6)) return;
  kind_ = Kind::set;
  set_ = std::make_shared<const AddressSet>(std::move(set));
}

AddressTerm AddressTerm::prefix4(const Prefix& prefix) {
  AddressTerm term;
  term.kind_ = Kind::prefix4;
  term.length_ = prefix.length;
  term.value_ = range_of(prefix).first;
  return term;
}

AddressTerm AddressTerm::prefix6(const Prefix& prefix) {
  AddressTerm term = prefix4(prefix);
  term.kind_ = Kind::prefix6;
  return term;
}

AddressSet AddressTerm::set() const {
  AddressSet set;
  const Uint128 last = value_ | tail(length_);
  switch (kind_) {
    case Kind::any:
      return {{0, kLast4}, {0, kLast6}, true};
    case Kind::prefix4:
      set.four = {static_cast<std::uint32_t>(value_ >> 96),
                  static_cast<std::uint32_t>(last >> 96)};
      return set;
    case Kind::prefix6:
      set.six = {value_, last};
      return set;
    case Kind::set:
      return *set_;
  }
  return set;
}

AddressTerm AddressTerm::complement() const {
  const AddressSet all = set();
  return AddressTerm(AddressSet{all.four.complement(kLast4),
                                all.six.complement(kLast6), !all.none});
}

AddressTerm operator&(const AddressTerm& a, const AddressTerm& b) {
  if (a.is_any()) return b;
  if (b.is_any()) return a;
  if (a.kind_ == b.kind_ && a.kind_ != AddressTerm::Kind::set) {
    const AddressTerm& longer = a.length_ > b.length_ ? a : b;
    const AddressTerm& shorter = a.length_ > b.length_ ? b : a;
    const bool nested =
        ((longer.value_ ^ shorter.value_) & ~tail(shorter.length_)) == 0;
    return nested ? longer : AddressTerm(AddressSet{});
  }
  const AddressSet x = a.set();
  const AddressSet y = b.set();
  return AddressTerm(
      AddressSet{x.four & y.four, x.six & y.six, x.none && y.none});
}

AddressTerm operator|(const AddressTerm& a, const AddressTerm& b) {
  if (a.is_any()) return a;
  if (b.is_any()) return b;
  const AddressSet x = a.set();
  const AddressSet y = b.set();
  return AddressTerm(
      AddressSet{x.four | y.four, x.six | y.six, x.none || y.none});
}

bool operator==(const AddressTerm& a, const AddressTerm& b) {
  if (a.kind_ != b.kind_ || a.length_ != b.length_ || a.value_ != b.value_) {
    return false;
  }
  return a.set_ == b.set_ || (a.set_ && b.set_ && *a.set_ == *b.set_);
}

}  // namespace sluice::steering
