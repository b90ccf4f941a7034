// SPDX-License-Identifier: Apache-2.0
// Whose program: the identity put into a program before it is loaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <sluice/abi.h>

namespace sluice {

/// The identity of a program owned by `pid` (0: this process), frags off.
[[nodiscard]] sluice_identity own_identity(std::uint32_t pid);

/// Where the identity begins among a program's constants.
[[nodiscard]] std::optional<std::size_t> place_of_identity(
    std::span<const std::byte> data);

/// The identity in a program's read-only data, if the map is that of one of
/// Sluice's.
[[nodiscard]] std::optional<sluice_identity> identity_in_map(int map);

}  // namespace sluice
