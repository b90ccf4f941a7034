// SPDX-License-Identifier: Apache-2.0
#include "exact.hpp"

#include <algorithm>
#include <cstring>

namespace sluice::steering {
namespace {

std::uint64_t high(Uint128 value) {
  return static_cast<std::uint64_t>(value >> 64);
}
std::uint64_t low(Uint128 value) { return static_cast<std::uint64_t>(value); }

Prefix prefix_of(const __u64 (&words)[2], unsigned length) {
  Prefix prefix;
  prefix.length = static_cast<std::uint8_t>(length);
  for (std::size_t i = 0; i < 16; ++i) {
    prefix.address[i] =
        static_cast<std::uint8_t>(words[i / 8] >> (56 - 8 * (i % 8)));
  }
  return prefix;
}

}  // namespace

bool Shape::is_flow() const {
  const auto whole = [this](std::size_t side) {
    return length[side] ==
           (family[side] == AddressTerm::Kind::prefix4 ? 32 : 128);
  };
  return whole(0) && whole(1) && ports[0] && ports[1];
}

sluice_key Shape::mask() const {
  sluice_key mask{};
  __u64* const words[2] = {mask.source, mask.destination};
  for (std::size_t side = 0; side < 2; ++side) {
    if (length[side] == 0) continue;
    const Uint128 bits = ~Uint128{0} << (128 - length[side]);
    words[side][0] = high(bits);
    words[side][1] = low(bits);
  }
  if (ports[0]) mask.source_port = 0xffff;
  if (ports[1]) mask.destination_port = 0xffff;
  return mask;
}

bool take_exact(const Clause& clause, Shape& shape, sluice_key& key) {
  shape = {.kinds = clause.kinds, .protos = clause.protos};
  key = {};
  __u64* const words[2] = {key.source, key.destination};
  bool names = false;
  for (std::size_t side = 0; side < 2; ++side) {
    const AddressTerm& term = clause.addresses[side];
    if (term.kind() == AddressTerm::Kind::set) return false;
    if (term.is_any()) continue;
    if (term.length() == 0) return false;
    names = true;
    shape.family[side] = term.kind();
    shape.length[side] = static_cast<std::uint8_t>(term.length());
    words[side][0] = high(term.value());
    words[side][1] = low(term.value());
  }
  for (std::size_t i = 0; i < clause.numbers.size(); ++i) {
    const NumberTerm& term = clause.numbers[i];
    if (term.is_any()) continue;
    if (i >= kExactNumbers || !term.is_single() ||
        term.first() == NumberTerm::kNone) {
      return false;
    }
    names = true;
    shape.ports[i] = true;
    (i == 0 ? key.source_port : key.destination_port) =
        static_cast<std::uint16_t>(term.first());
  }
  return names;
}

Clause clause_of(const Shape& shape, const sluice_key& key) {
  Clause clause;
  clause.kinds = shape.kinds;
  clause.protos = shape.protos;
  for (std::size_t side = 0; side < 2; ++side) {
    const auto& words = side == 0 ? key.source : key.destination;
    const Prefix prefix = prefix_of(words, shape.length[side]);
    if (shape.family[side] == AddressTerm::Kind::prefix4) {
      clause.addresses[side] = AddressTerm::prefix4(prefix);
    } else if (shape.family[side] == AddressTerm::Kind::prefix6) {
      clause.addresses[side] = AddressTerm::prefix6(prefix);
    }
  }
  for (std::size_t i = 0; i < kExactNumbers; ++i) {
    if (!shape.ports[i]) continue;
    const std::uint32_t port = i == 0 ? key.source_port : key.destination_port;
    clause.numbers[i] = NumberTerm(NumberTerm::Set(port, port));
  }
  return clause;
}

std::uint64_t hash_of(const sluice_key& key, std::span<const __u64, 5> odd) {
  std::uint64_t words[5];
  static_assert(sizeof words == sizeof key);
  std::memcpy(words, &key, sizeof key);
  std::uint64_t hash = (words[4] ^ words[4] >> 32) * odd[4];
  for (std::size_t i = 0; i < 4; ++i) hash += words[i] * odd[i];
  return hash;
}

std::vector<Place> place_rows(std::span<const Exact> rows,
                              std::span<const __u64, 5> odd,
                              sluice_table& table) {
  struct Hashed {
    std::uint64_t hash;
    std::uint32_t row;
  };
  std::vector<Hashed> order;
  order.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    order.push_back({hash_of(rows[i].key, odd), static_cast<std::uint32_t>(i)});
  }
  // Rows are in the order of their rules: of one key, the first rule is first.
  std::ranges::sort(order, {}, [](const Hashed& each) {
    return std::pair(each.hash, each.row);
  });
  const auto same = [&](const Hashed& a, const Hashed& b) {
    return std::memcmp(&rows[a.row].key, &rows[b.row].key,
                       sizeof rows[a.row].key) == 0;
  };
  order.erase(std::unique(order.begin(), order.end(), same), order.end());
  table.size = static_cast<std::uint32_t>(order.size() * 8 / 5 + 1);
  for (;; table.size += table.size / 2) {
    std::vector<Place> places;
    places.reserve(order.size());
    std::uint32_t free = table.base;
    for (const Hashed& each : order) {
      const std::uint32_t home =
          table.base +
          static_cast<std::uint32_t>((each.hash >> 32) * table.size >> 32);
      free = std::max(free, home);
      if (free - home >= SLUICE_PROBES) break;
      places.push_back({each.row, free++});
    }
    if (places.size() == order.size()) return places;
  }
}

}  // namespace sluice::steering
