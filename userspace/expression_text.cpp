// SPDX-License-Identifier: Apache-2.0
// Primitives and what they see, in words.
#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include <arpa/inet.h>

#include <sluice/expression.hpp>

#include "expression_bits.hpp"

namespace sluice {
namespace {

using Kind = Primitive::Kind;
using Named = std::pair<std::uint32_t, const char*>;

constexpr Named kTypes[] = {
    {0x0800, "ip"},   {0x86dd, "ip6"},  {0x0806, "arp"}, {0x8035, "rarp"},
    {0x8100, "vlan"}, {0x88a8, "vlan"}, {0x9100, "vlan"}};
constexpr Named kProtocols[] = {{1, "icmp"},
                                {2, "igmp"},
                                {6, "tcp"},
                                {17, "udp"},
                                {44, "fragment"},
                                {50, "esp"},
                                {51, "ah"},
                                {58, "icmp6"},
                                {103, "pim"},
                                {132, "sctp"},
                                {0, "hop-by-hop"},
                                {43, "routing"},
                                {60, "destination options"}};

const char* name_of(std::span<const Named> names, std::uint32_t number) {
  const auto found = std::ranges::find(names, number, &Named::first);
  return found == names.end() ? nullptr : found->second;
}

std::string with_name(const std::string& number, const char* name) {
  return name == nullptr ? number : number + " (" + name + ")";
}

std::string hex_of(std::uint32_t number, int digits) {
  std::string text = "0x";
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    text += "0123456789abcdef"[number >> shift & 15];
  }
  return text;
}

std::string address_text(const std::uint8_t* address, bool ip6) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(ip6 ? AF_INET6 : AF_INET, address, text, sizeof text);
  return text;
}

// The first four, and how many more.
template <class T, class F>
std::string listed(std::span<const T> values, F text_of_one) {
  constexpr std::size_t kShown = 4;
  std::string text;
  for (const T& value : values.first(std::min(values.size(), kShown))) {
    text += (text.empty() ? "" : ", ") + text_of_one(value);
  }
  if (values.size() > kShown) {
    text += " and " + std::to_string(values.size() - kShown) + " more";
  }
  return text;
}

std::string numbers_text(const Primitive& primitive) {
  return listed(primitive.numbers(), [](const NumberRange& range) {
    std::string text = std::to_string(range.first);
    if (range.last != range.first) text += "-" + std::to_string(range.last);
    return text;
  });
}

std::string side_text(const Primitive& primitive) {
  return primitive.side == Primitive::Side::source ? "src " : "dst ";
}

std::string address_words(const Primitive& primitive) {
  const bool ip6 = primitive.kind == Kind::address6;
  std::string text;
  if (primitive.families == Primitive::kIp) text = "ip ";
  if (primitive.families == Primitive::kArp) text = "arp ";
  if (primitive.families == Primitive::kRarp) text = "rarp ";
  const auto prefixes = primitive.addresses();
  const auto whole = [&](const Prefix& prefix) {
    return prefix.length == (ip6 ? 128 : 32);
  };
  text += side_text(primitive);
  text += std::ranges::all_of(prefixes, whole) ? "host " : "net ";
  return text + listed(prefixes, [&](const Prefix& prefix) {
           std::string one = address_text(prefix.address.data(), ip6);
           return whole(prefix) ? one
                                : one + "/" + std::to_string(prefix.length);
         });
}

std::string port_words(const Primitive& primitive) {
  std::string text;
  if (primitive.transports == Primitive::kTcp) text = "tcp ";
  if (primitive.transports == Primitive::kUdp) text = "udp ";
  if (primitive.transports == Primitive::kSctp) text = "sctp ";
  const bool one = primitive.numbers().size() == 1 &&
                   primitive.number.first == primitive.number.last;
  return text + side_text(primitive) + (one ? "port " : "portrange ") +
         numbers_text(primitive);
}

std::string protocol_words(const Primitive& primitive) {
  constexpr std::uint8_t kBoth = Primitive::kIp | Primitive::kIp6;
  const std::uint16_t number = primitive.number.first;
  const bool own =
      (number == 1 || number == 2) && primitive.families == Primitive::kIp;
  const bool own6 = number == 58 && primitive.families == Primitive::kIp6;
  const bool shared = primitive.families == kBoth && number != 1 &&
                      number != 2 && number != 58 && number != 44 &&
                      number != 0 && number != 43 && number != 60;
  const char* name = name_of(kProtocols, number);
  if (name != nullptr && (own || own6 || shared)) return name;
  std::string text;
  if (primitive.families == Primitive::kIp) text = "ip ";
  if (primitive.families == Primitive::kIp6) text = "ip6 ";
  return text + "proto " + std::to_string(number);
}

// What stands where a primitive looks, or what is there instead.
class View {
 public:
  View(const Primitive& primitive, std::span<const std::byte> packet)
      : primitive_(primitive), packet_(packet), tags_(primitive.depth * 4u) {}

  [[nodiscard]] std::string text() const {
    const auto type = load(12, 2);
    if (!type) return kEnds;
    std::string of_type =
        "EtherType is " + with_name(hex_of(*type, 4), name_of(kTypes, *type));
    switch (primitive_.kind) {
      case Kind::ether_type:
        return of_type;
      case Kind::protocol:
        return *type == 0x0800 || *type == 0x86dd ? protocol(*type) : of_type;
      case Kind::address4:
        return *type == 0x0800 ? address(source() ? 26 : 30, 4)
               : *type == 0x0806 || *type == 0x8035
                   ? address(source() ? 28 : 38, 4)
                   : of_type;
      case Kind::address6:
        return *type == 0x86dd ? address(source() ? 22 : 38, 16) : of_type;
      case Kind::vlan:
        return tag(*type, of_type);
      default:
        return *type == 0x0800 || *type == 0x86dd ? inner(*type) : of_type;
    }
  }

 private:
  static constexpr const char* kEnds = "the packet ends before it";

  [[nodiscard]] bool source() const {
    return primitive_.side == Primitive::Side::source;
  }

  [[nodiscard]] std::optional<std::uint32_t> load(std::size_t at,
                                                  std::size_t size) const {
    return language::number_at(packet_, at + tags_, size);
  }

  [[nodiscard]] std::string number(std::size_t at, std::size_t size) const {
    const auto value = load(at, size);
    return value ? "is " + std::to_string(*value) : kEnds;
  }

  [[nodiscard]] std::string protocol(std::uint32_t type) const {
    const auto value = load(type == 0x0800 ? 23 : 20, 1);
    if (!value) return kEnds;
    std::string text = "protocol is " + with_name(std::to_string(*value),
                                                  name_of(kProtocols, *value));
    if (type == 0x0800 || *value != 44) return text;
    const auto inside = load(54, 1);
    if (!inside) return text;
    return text + ", in it " +
           with_name(std::to_string(*inside), name_of(kProtocols, *inside));
  }

  [[nodiscard]] std::string address(std::size_t at, std::size_t size) const {
    language::Address bytes{};
    if (packet_.size() < at + tags_ + size) return kEnds;
    for (std::size_t i = 0; i < size; ++i) {
      bytes[i] = std::to_integer<std::uint8_t>(packet_[at + tags_ + i]);
    }
    return "is " + address_text(bytes.data(), size == 16);
  }

  [[nodiscard]] std::string tag(std::uint32_t type,
                                const std::string& of_type) const {
    if (type != 0x8100 && type != 0x88a8 && type != 0x9100) return of_type;
    const auto control = load(14, 2);
    return control ? "is " + std::to_string(*control & 0xfff) : kEnds;
  }

  // Ports, flags and ICMP types, behind the IP header.
  [[nodiscard]] std::string inner(std::uint32_t type) const {
    const bool ip = type == 0x0800;
    const auto carried = load(ip ? 23 : 20, 1);
    if (!carried) return kEnds;
    const bool icmp6 = primitive_.kind == Kind::icmp6_type ||
                       primitive_.kind == Kind::icmp6_code;
    const bool port = primitive_.kind == Kind::port;
    if ((!port && ip == icmp6) || !carries(*carried)) return protocol(type);
    std::size_t at = 54;
    if (ip) {
      if ((*load(20, 2) & 0x1fff) != 0) return "is in a later fragment";
      at = 14 + (*load(14, 1) & 15) * 4;
    }
    switch (primitive_.kind) {
      case Kind::port:
        return number(at + (source() ? 0 : 2), 2);
      case Kind::tcp_flags:
        return number(at + 13, 1);
      case Kind::icmp_code:
      case Kind::icmp6_code:
        return number(at + 1, 1);
      default:
        return number(at, 1);
    }
  }

  [[nodiscard]] bool carries(std::uint32_t protocol) const {
    const auto of = [&](std::uint8_t bit) {
      return (primitive_.transports & bit) != 0;
    };
    switch (primitive_.kind) {
      case Kind::port:
        return (protocol == 6 && of(Primitive::kTcp)) ||
               (protocol == 17 && of(Primitive::kUdp)) ||
               (protocol == 132 && of(Primitive::kSctp));
      case Kind::tcp_flags:
        return protocol == 6;
      case Kind::icmp_type:
      case Kind::icmp_code:
        return protocol == 1;
      default:
        return protocol == 58;
    }
  }

  const Primitive& primitive_;
  std::span<const std::byte> packet_;
  std::size_t tags_;
};

}  // namespace

std::string text_of(const Primitive& primitive) {
  switch (primitive.kind) {
    case Kind::ether_type: {
      const std::uint16_t type = primitive.number.first;
      const char* name = name_of(kTypes, type);
      if (name != nullptr && std::string_view(name) != "vlan") return name;
      return "ether proto " + hex_of(type, 4);
    }
    case Kind::protocol:
      return protocol_words(primitive);
    case Kind::address4:
    case Kind::address6:
      return address_words(primitive);
    case Kind::port:
      return port_words(primitive);
    case Kind::tcp_flags:
      return "tcp[tcpflags] " + numbers_text(primitive);
    case Kind::icmp_type:
      return "icmp[icmptype] " + numbers_text(primitive);
    case Kind::icmp_code:
      return "icmp[icmpcode] " + numbers_text(primitive);
    case Kind::icmp6_type:
      return "icmp6[icmp6type] " + numbers_text(primitive);
    case Kind::icmp6_code:
      return "icmp6[icmp6code] " + numbers_text(primitive);
    case Kind::vlan:
      if (primitive.number == kAnyVlan) return "vlan";
      return "vlan " + numbers_text(primitive);
  }
  return "?";
}

std::string value_of(const Primitive& primitive,
                     std::span<const std::byte> packet) {
  return View(primitive, packet).text();
}

}  // namespace sluice
