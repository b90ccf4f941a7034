// SPDX-License-Identifier: Apache-2.0
// shrunk(): the smallest expression and packet that still disagree.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "random_packet.hpp"
#include "random_rules.hpp"

namespace sluice::testing {

struct Disagreement {
  RandomExpression expression;
  Bytes packet;

  [[nodiscard]] std::string text() const {
    return expression.text(false) +
           "\nin libpcap's words: " + expression.text(true) + "\n" +
           hex(packet);
  }
};

/// Takes away operands, then bytes from the end, then sets bytes to zero, as
/// long as `disagree` says yes.
inline Disagreement shrunk(Disagreement found,
                           const std::function<bool(const RandomExpression&,
                                                    const Bytes&)>& disagree) {
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (RandomExpression& less : found.expression.smaller()) {
      if (!disagree(less, found.packet)) continue;
      found.expression = std::move(less);
      smaller = true;
      break;
    }
  }
  while (!found.packet.empty()) {
    Bytes less(found.packet.begin(), found.packet.end() - 1);
    if (!disagree(found.expression, less)) break;
    found.packet = std::move(less);
  }
  for (std::size_t i = 0; i < found.packet.size(); ++i) {
    const std::byte before = std::exchange(found.packet[i], std::byte{0});
    if (!disagree(found.expression, found.packet)) found.packet[i] = before;
  }
  return found;
}

}  // namespace sluice::testing
