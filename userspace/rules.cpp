// SPDX-License-Identifier: Apache-2.0
#include <sluice/rules.hpp>

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>

namespace sluice {
namespace {

using Kind = Term::Kind;
using Bytes = std::span<const std::byte>;

// The reference of what a term means: byte by byte what libpcap 1.10 compiles
// it to, on purpose written apart from bpf/parse.h.

// A load as in classic BPF. Behind the end there is no value, and a comparison
// with no value fails, which ends the match as libpcap's loads do.
std::optional<unsigned> byte_at(Bytes packet, std::size_t offset) {
  if (offset >= packet.size()) return {};
  return std::to_integer<unsigned>(packet[offset]);
}

std::optional<unsigned> half_at(Bytes packet, std::size_t offset) {
  const auto high = byte_at(packet, offset);
  const auto low = byte_at(packet, offset + 1);
  if (!high || !low) return {};
  return *high << 8 | *low;
}

bool address_at(Bytes packet, std::size_t offset, Bytes address) {
  return packet.size() >= offset + address.size() &&
         std::ranges::equal(packet.subspan(offset, address.size()), address);
}

bool is_ip(Bytes packet) { return half_at(packet, 12) == 0x0800u; }
bool is_ip6(Bytes packet) { return half_at(packet, 12) == 0x86ddu; }
bool is_arp(Bytes packet) { return half_at(packet, 12) == 0x0806u; }
bool is_rarp(Bytes packet) { return half_at(packet, 12) == 0x8035u; }

bool ip_protocol(Bytes packet, unsigned protocol) {
  return is_ip(packet) && byte_at(packet, 23) == protocol;
}

bool ip6_protocol(Bytes packet, unsigned protocol) {
  if (!is_ip6(packet)) return false;
  if (byte_at(packet, 20) == protocol) return true;
  return byte_at(packet, 20) == 44u && byte_at(packet, 54) == protocol;
}

bool has_ports(std::optional<unsigned> protocol) {
  return protocol == 6u || protocol == 17u || protocol == 132u;
}

bool dst_port(Bytes packet, unsigned port) {
  if (is_ip6(packet)) {
    return has_ports(byte_at(packet, 20)) && half_at(packet, 56) == port;
  }
  if (!is_ip(packet) || !has_ports(byte_at(packet, 23))) return false;
  const auto fragment = half_at(packet, 20);
  if (!fragment || (*fragment & 0x1fff) != 0) return false;
  const std::size_t header = (*byte_at(packet, 14) & 0xf) * 4u;
  return half_at(packet, 14 + header + 2) == port;
}

bool holds(const Term& term, Bytes packet) {
  const Bytes address = term.address;
  switch (term.kind) {
    case Kind::arp:
      return is_arp(packet);
    case Kind::ip:
      return is_ip(packet);
    case Kind::ip6:
      return is_ip6(packet);
    case Kind::udp:
      return ip_protocol(packet, 17) || ip6_protocol(packet, 17);
    case Kind::tcp:
      return ip_protocol(packet, 6) || ip6_protocol(packet, 6);
    case Kind::icmp:
      return ip_protocol(packet, 1);
    case Kind::icmp6:
      return ip6_protocol(packet, 58);
    case Kind::dst_host4:
      if (is_ip(packet)) return address_at(packet, 30, address.first(4));
      return (is_arp(packet) || is_rarp(packet)) &&
             address_at(packet, 38, address.first(4));
    case Kind::dst_host6:
      return is_ip6(packet) && address_at(packet, 38, address);
    case Kind::dst_port:
      return dst_port(packet, term.port);
  }
  return false;
}

}  // namespace

const char* to_string(Action action) noexcept {
  switch (action) {
    case Action::pass:
      return "pass";
    case Action::drop:
      return "drop";
    case Action::steer:
      return "steer";
  }
  return "?";
}

std::string Rule::text() const {
  std::string line = to_string(action);
  if (!label.empty()) line += " @" + label;
  line += " " + expression;
  if (otherwise == Action::drop) line += " else drop";
  return line;
}

std::string Rules::text() const {
  std::string text;
  for (const Rule& rule : rules_) text += rule.text() + "\n";
  return text + "default " + to_string(default_) + "\n";
}

sluice_rule_list Rules::compiled() const noexcept {
  sluice_rule_list list{};
  list.version = SLUICE_ABI_VERSION;
  list.default_action = static_cast<__u32>(default_);
  for (const Rule& rule : rules_) {
    sluice_rule& out = list.rules[list.count];
    out.action = static_cast<__u8>(rule.action);
    out.otherwise = static_cast<__u8>(rule.otherwise);
    out.handle = list.count++;
    for (const Term& term : rule.terms) {
      out.need |= 1u << static_cast<unsigned>(term.kind);
      if (term.kind == Kind::dst_port) out.dst_port = htons(term.port);
      if (term.kind == Kind::dst_host4 || term.kind == Kind::dst_host6) {
        std::memcpy(out.dst, term.address.data(), sizeof out.dst);
      }
    }
  }
  return list;
}

// compiled() turns a kind into the bit of its fact.
static_assert(SLUICE_IS_ARP == 1u << static_cast<unsigned>(Kind::arp));
static_assert(SLUICE_IS_ICMP6 == 1u << static_cast<unsigned>(Kind::icmp6));
static_assert(SLUICE_HAS_DST4 == 1u << static_cast<unsigned>(Kind::dst_host4));
static_assert(SLUICE_HAS_DST6 == 1u << static_cast<unsigned>(Kind::dst_host6));
static_assert(SLUICE_HAS_DST_PORT ==
              1u << static_cast<unsigned>(Kind::dst_port));

Rules::Decision Rules::decide(Bytes packet) const noexcept {
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const auto& terms = rules_[i].terms;
    const auto applies = [&](const Term& term) { return holds(term, packet); };
    if (std::ranges::all_of(terms, applies)) {
      return {i, rules_[i].action, rules_[i].otherwise};
    }
  }
  return {std::nullopt, default_, Action::pass};
}

}  // namespace sluice
