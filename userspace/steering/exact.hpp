// SPDX-License-Identifier: Apache-2.0
// Exact: clauses that name single values, or prefixes of one length, of the
// same fields, so that a hash of those fields finds them.
#pragma once

#include <sluice/abi.h>
#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "clause.hpp"

namespace sluice::steering {

constexpr std::size_t kExactNumbers = 2;  // Ports; VLAN ids are not keys.

// What the clauses of an exact table have in common.
struct Shape {
  Kinds::Id kinds = 0;
  Protos::Id protos = 0;
  std::array<AddressTerm::Kind, 2> family{};
  std::array<std::uint8_t, 2> length{};  // Bits of the addresses; 0: any.
  std::array<bool, kExactNumbers> ports{};
  friend auto operator<=>(const Shape&, const Shape&) = default;

  // Names a whole flow, which arrives on one queue.
  [[nodiscard]] bool is_flow() const;
  [[nodiscard]] sluice_key mask() const;
};

struct Exact {
  std::uint32_t rule;
  sluice_key key;
};

// Whether a clause is exact, and then what it comes to.
bool take_exact(const Clause& clause, Shape& shape, sluice_key& key);

// The way back.
Clause clause_of(const Shape& shape, const sluice_key& key);

// As the program hashes.
std::uint64_t hash_of(const sluice_key& key, std::span<const __u64, 5> odd);

// Where the rows of a table come to stand.
struct Place {
  std::uint32_t row;
  std::uint32_t line;
};

// In the order of the hashes, each as near to its own line as can be, so that
// the farthest is not far; without rows of a key that an earlier rule has.
// Makes the table larger until all are near enough.
std::vector<Place> place_rows(std::span<const Exact> rows,
                              std::span<const __u64, 5> odd,
                              sluice_table& table);

}  // namespace sluice::steering
