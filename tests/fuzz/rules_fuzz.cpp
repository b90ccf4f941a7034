// SPDX-License-Identifier: Apache-2.0
// Rule lists: whatever is read is either refused with a sentence, or means the
// same when it is written out and read again.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <sluice/rules.hpp>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto rules = sluice::Rules::parse(text);
  if (!rules) {
    if (rules.error().message().empty()) std::abort();
    return 0;
  }
  const auto again = sluice::Rules::parse(rules->text());
  if (!again || again->text() != rules->text()) std::abort();

  std::array<std::byte, 128> packet{};
  for (std::size_t i = 0; i < packet.size() && i < size; ++i) {
    packet[i] = static_cast<std::byte>(data[size - 1 - i]);
  }
  const auto one = rules->decide(packet);
  const auto other = again->decide(packet);
  if (one.rule != other.rule || one.action != other.action) std::abort();
  if (one.fragment != other.fragment ||
      rules->noted(packet, one) != again->noted(packet, other)) {
    std::abort();
  }
  if (explain(*rules, packet).text(*rules).empty()) std::abort();
  for (const auto& warning : rules->warnings()) {
    if (warning.sentence.empty()) std::abort();
  }
  return 0;
}
