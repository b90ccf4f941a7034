// SPDX-License-Identifier: Apache-2.0
// The reference of what expressions mean: load by load what libpcap 1.10
// compiles them to, on purpose written apart from what XDP does.
#include <sluice/expression.hpp>

#include <algorithm>
#include <optional>

#include "expression_bits.hpp"

namespace sluice {
namespace {

using Kind = Primitive::Kind;

constexpr std::uint32_t kIpType = 0x0800, kIp6Type = 0x86dd;
constexpr std::uint32_t kArpType = 0x0806, kRarpType = 0x8035;
constexpr std::uint32_t kIcmp = 1, kTcp = 6, kUdp = 17, kFragment = 44,
                        kIcmp6 = 58, kSctp = 132;

Truth truth(bool value) { return value ? Truth::yes : Truth::no; }

// One primitive, asked of one packet. Offsets are those of a packet without
// VLAN tags, from 12 on; tags move them.
class Question {
 public:
  Question(const Primitive& primitive, std::span<const std::byte> packet)
      : primitive_(primitive), packet_(packet), tags_(primitive.depth * 4u) {}

  [[nodiscard]] Truth answer() const {
    const auto type = load(12, 2);
    if (!type) return Truth::unseen;
    switch (primitive_.kind) {
      case Kind::ether_type:
        return among(type);
      case Kind::protocol:
        return protocol(*type);
      case Kind::address4:
        return address4(*type);
      case Kind::address6:
        return address6(*type);
      case Kind::port:
        return *type == kIp6Type ? port6() : port4(*type);
      case Kind::tcp_flags:
        return byte4(*type, kTcp, 13);
      case Kind::icmp_type:
        return byte4(*type, kIcmp, 0);
      case Kind::icmp_code:
        return byte4(*type, kIcmp, 1);
      case Kind::icmp6_type:
        return byte6(*type, 54);
      case Kind::icmp6_code:
        return byte6(*type, 55);
      case Kind::vlan:
        return vlan(*type);
    }
    return Truth::no;
  }

 private:
  [[nodiscard]] std::optional<std::uint32_t> load(std::size_t at,
                                                  std::size_t size) const {
    return language::number_at(packet_, at + tags_, size);
  }

  [[nodiscard]] Truth among(std::optional<std::uint32_t> value) const {
    if (!value) return Truth::unseen;
    const auto ranges = primitive_.numbers();
    const auto after = std::ranges::upper_bound(
        ranges, *value, {}, [](const NumberRange& r) { return r.first; });
    return truth(after != ranges.begin() && *value <= std::prev(after)->last);
  }

  [[nodiscard]] bool of(std::uint8_t family) const {
    return (primitive_.families & family) != 0;
  }

  [[nodiscard]] Truth protocol(std::uint32_t type) const {
    if (type == kIpType && of(Primitive::kIp)) return among(load(23, 1));
    if (type != kIp6Type || !of(Primitive::kIp6)) return Truth::no;
    const auto next = load(20, 1);
    if (among(next) != Truth::no) return among(next);
    return *next == kFragment ? among(load(54, 1)) : Truth::no;
  }

  [[nodiscard]] Truth address4(std::uint32_t type) const {
    const bool source = primitive_.side == Primitive::Side::source;
    if (type == kIpType && of(Primitive::kIp)) return in4(source ? 26 : 30);
    if ((type == kArpType && of(Primitive::kArp)) ||
        (type == kRarpType && of(Primitive::kRarp))) {
      return in4(source ? 28 : 38);
    }
    return Truth::no;
  }

  [[nodiscard]] Truth in4(std::size_t at) const {
    if (!load(at, 4)) return Truth::unseen;
    return truth(meets(at, 4));
  }

  // Word by word, even those of which no bit counts: a packet that ends inside
  // the address can only be told from it by the words it has.
  [[nodiscard]] Truth address6(std::uint32_t type) const {
    if (type != kIp6Type) return Truth::no;
    const bool source = primitive_.side == Primitive::Side::source;
    const std::size_t at = source ? 22 : 38;
    std::size_t size = 0;
    while (size < 16 && load(at + size, 4)) size += 4;
    if (!meets(at, size)) return Truth::no;
    return size == 16 ? Truth::yes : Truth::unseen;
  }

  // Whether an address that begins with these `size` bytes can be in one of the
  // prefixes. Their first and last address are in order, as the prefixes are.
  [[nodiscard]] bool meets(std::size_t at, std::size_t size) const {
    language::Address low{};
    for (std::size_t i = 0; i < size; ++i) {
      low[i] = std::to_integer<std::uint8_t>(packet_[at + tags_ + i]);
    }
    const auto prefixes = primitive_.addresses();
    const auto after =
        std::ranges::upper_bound(prefixes, low, {}, &Prefix::address);
    const auto fits = [&](const Prefix& prefix) {
      return language::begin_alike(
          prefix.address, low, std::min<std::size_t>(prefix.length, size * 8));
    };
    return (after != prefixes.begin() && fits(*std::prev(after))) ||
           (after != prefixes.end() && fits(*after));
  }

  [[nodiscard]] bool carries_ports(std::uint32_t protocol) const {
    const auto of_transport = [&](std::uint8_t bit) {
      return (primitive_.transports & bit) != 0;
    };
    return (protocol == kTcp && of_transport(Primitive::kTcp)) ||
           (protocol == kUdp && of_transport(Primitive::kUdp)) ||
           (protocol == kSctp && of_transport(Primitive::kSctp));
  }

  [[nodiscard]] std::size_t side_of_ports() const {
    return primitive_.side == Primitive::Side::source ? 0 : 2;
  }

  [[nodiscard]] Truth port6() const {
    if (!of(Primitive::kIp6)) return Truth::no;
    const auto next = load(20, 1);
    if (!next) return Truth::unseen;
    if (!carries_ports(*next)) return Truth::no;
    return among(load(54 + side_of_ports(), 2));
  }

  [[nodiscard]] Truth port4(std::uint32_t type) const {
    if (type != kIpType || !of(Primitive::kIp)) return Truth::no;
    const auto protocol = load(23, 1);
    if (!protocol) return Truth::unseen;
    if (!carries_ports(*protocol)) return Truth::no;
    return behind_ip(side_of_ports(), 2);
  }

  [[nodiscard]] Truth byte4(std::uint32_t type, std::uint32_t wanted,
                            std::size_t offset) const {
    if (type != kIpType) return Truth::no;
    const auto protocol = load(23, 1);
    if (!protocol) return Truth::unseen;
    if (*protocol != wanted) return Truth::no;
    return behind_ip(offset, 1);
  }

  // The number at `offset` of what IPv4 carries, if it begins here. The byte
  // at 23 has been seen.
  [[nodiscard]] Truth behind_ip(std::size_t offset, std::size_t size) const {
    if ((*load(20, 2) & 0x1fff) != 0) return Truth::no;
    return among(load(14 + (*load(14, 1) & 15) * 4 + offset, size));
  }

  [[nodiscard]] Truth byte6(std::uint32_t type, std::size_t at) const {
    if (type != kIp6Type) return Truth::no;
    const auto next = load(20, 1);
    if (!next) return Truth::unseen;
    return *next == kIcmp6 ? among(load(at, 1)) : Truth::no;
  }

  [[nodiscard]] Truth vlan(std::uint32_t type) const {
    if (type != 0x8100 && type != 0x88a8 && type != 0x9100) return Truth::no;
    if (primitive_.number == kAnyVlan) return Truth::yes;
    const auto control = load(14, 2);
    if (!control) return Truth::unseen;
    return among(*control & 0xfff);
  }

  const Primitive& primitive_;
  std::span<const std::byte> packet_;
  std::size_t tags_;
};

}  // namespace

Truth evaluate(const Expression& expression,
               std::span<const std::byte> packet) noexcept {
  switch (expression.kind) {
    case Expression::Kind::all:
      return Truth::yes;
    case Expression::Kind::primitive:
      return Question(expression.primitive, packet).answer();
    case Expression::Kind::negation: {
      const Truth truth = evaluate(expression.operands.front(), packet);
      if (truth == Truth::unseen) return truth;
      return truth == Truth::yes ? Truth::no : Truth::yes;
    }
    case Expression::Kind::conjunction:
      for (const Expression& operand : expression.operands) {
        const Truth truth = evaluate(operand, packet);
        if (truth != Truth::yes) return truth;
      }
      return Truth::yes;
    case Expression::Kind::disjunction:
      for (const Expression& operand : expression.operands) {
        const Truth truth = evaluate(operand, packet);
        if (truth != Truth::no) return truth;
      }
      return Truth::no;
  }
  return Truth::no;
}

}  // namespace sluice
