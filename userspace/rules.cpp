// SPDX-License-Identifier: Apache-2.0
#include <sluice/rules.hpp>

#include "rules_list.hpp"

namespace sluice {
namespace {

using Bytes = std::span<const std::byte>;

// Big-endian. REQUIRES: it is there.
unsigned half(Bytes packet, std::size_t at) {
  return std::to_integer<unsigned>(packet[at]) << 8 |
         std::to_integer<unsigned>(packet[at + 1]);
}

// `at`: of the first header behind the IPv6 header, which is of type `next`.
bool is_fragment6(Bytes packet, std::size_t at, unsigned next) {
  constexpr unsigned kHopByHop = 0, kRouting = 43, kFragment = 44,
                     kAuthentication = 51, kDestination = 60;
  for (int headers = 0; headers < 8; ++headers) {
    if (packet.size() < at + 4) return false;
    const auto length = std::to_integer<std::size_t>(packet[at + 1]);
    switch (next) {
      case kFragment:  // Offset, two reserved bits, more to come.
        return (half(packet, at + 2) & 0xfff9) != 0;
      case kHopByHop:
      case kRouting:
      case kDestination:
        next = std::to_integer<unsigned>(packet[at]);
        at += 8 + length * 8;
        break;
      case kAuthentication:
        next = std::to_integer<unsigned>(packet[at]);
        at += 8 + length * 4;
        break;
      default:
        return false;
    }
  }
  return false;
}

}  // namespace

bool is_fragment(Bytes packet) noexcept {
  std::size_t at = 12;
  for (int tags = 0; tags < 2 && packet.size() >= at + 2; ++tags) {
    const unsigned type = half(packet, at);
    if (type != 0x8100 && type != 0x88a8 && type != 0x9100) break;
    at += 4;
  }
  if (packet.size() < at + 10) return false;
  const unsigned type = half(packet, at);
  const std::size_t network = at + 2;
  // More fragments, or an offset.
  if (type == 0x0800) return (half(packet, network + 6) & 0x3fff) != 0;
  if (type != 0x86dd) return false;
  return is_fragment6(packet, network + 40,
                      std::to_integer<unsigned>(packet[network + 6]));
}

const char* to_string(Action action) noexcept {
  switch (action) {
    case Action::pass:
      return "pass";
    case Action::drop:
      return "drop";
    case Action::steer:
      return "steer";
    case Action::reflect:
      return "reflect";
    case Action::mirror:
      return "mirror";
    case Action::count:
      return "count";
  }
  return "?";
}

std::string Rule::text() const {
  std::string text = to_string(action);
  if (!label.empty()) text += " @" + label;
  text += " " + expression;
  if (otherwise == Action::drop) text += " else drop";
  return text;
}

Rules::Rules() : list_(std::make_shared<const List>()) {}

std::size_t Rules::size() const noexcept { return list_->rules.size(); }

const Rule& Rules::operator[](std::size_t index) const {
  return list_->rules[index];
}

std::span<const Rule> Rules::list() const noexcept { return list_->rules; }

Action Rules::default_action() const noexcept { return list_->default_action; }

bool Rules::fragments_pass() const noexcept { return list_->fragments_pass; }

const std::string& Rules::source(std::uint32_t index) const {
  return list_->sources[index];
}

std::string Rules::place(std::size_t rule) const {
  const Rule& at = list_->rules[rule];
  return list_->place(at.source, at.line);
}

std::string Rules::List::place(std::uint32_t source, std::size_t line) const {
  if (line == 0) return sources[source];
  return sources[source] + " line " + std::to_string(line);
}

std::string Rules::text() const {
  std::string text;
  for (const auto& [name, set] : list_->sets) {
    text += "define " + name + " = " + language::text_of(set) + "\n";
  }
  if (!list_->fragments_pass) text += "fragments match\n";
  for (const Rule& rule : list_->rules) text += rule.text() + "\n";
  return text + "default " + to_string(list_->default_action) + "\n";
}

Rules::Decision Rules::decide(Bytes packet) const noexcept {
  if (list_->fragments_pass && is_fragment(packet)) {
    return {std::nullopt, Action::pass, Action::pass, true};
  }
  for (std::size_t i = 0; i < size(); ++i) {
    const Rule& rule = list_->rules[i];
    if (!is_final(rule.action)) continue;
    if (evaluate(rule.match, packet) == Truth::yes) {
      return {i, rule.action, rule.otherwise, false};
    }
  }
  return {std::nullopt, list_->default_action, Action::pass, false};
}

std::vector<std::size_t> Rules::noted(Bytes packet,
                                      const Decision& decision) const {
  std::vector<std::size_t> noted;
  if (decision.fragment) return noted;
  const std::size_t end = decision.rule.value_or(size());
  for (std::size_t i = 0; i < end; ++i) {
    const Rule& rule = list_->rules[i];
    if (!is_final(rule.action) && evaluate(rule.match, packet) == Truth::yes) {
      noted.push_back(i);
    }
  }
  return noted;
}

}  // namespace sluice
