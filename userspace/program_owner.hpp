// SPDX-License-Identifier: Apache-2.0
// Whose program: the identity put into a program before it is loaded.
#pragma once

#include <cstdint>

#include <sluice/abi.h>

namespace sluice {

/// The identity of a program owned by `pid` (0: this process), frags off.
[[nodiscard]] sluice_identity own_identity(std::uint32_t pid);

}  // namespace sluice
