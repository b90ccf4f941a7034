// SPDX-License-Identifier: Apache-2.0
// Parts: for which packets a primitive is true, is false, and has an answer.
#pragma once

#include <sluice/abi.h>
#include <bitset>
#include <cstdint>
#include <functional>
#include <sluice/expression.hpp>
#include <vector>

namespace sluice::steering {

// Packets of these kinds and protos, and of which values of the field.
struct PrimitivePart {
  enum class Values : std::uint8_t {
    all,
    inside,   // What the primitive asks for.
    outside,  // All but that, packets without the field included.
  };
  std::bitset<SLUICE_KINDS> kinds;
  std::bitset<SLUICE_PROTOS> protos;
  Values values = Values::all;
  // outside, for an IPv6 address of which only so many words are there: those
  // that differ within them. 0: all of it is there.
  unsigned words = 0;
};

struct PrimitiveParts {
  std::vector<PrimitivePart> yes, no, seen;
};

// What is asked of the values is not looked at, but for types and protocols,
// which are kinds and protos themselves.
PrimitiveParts parts_of(const Primitive& primitive);

}  // namespace sluice::steering
