// SPDX-License-Identifier: Apache-2.0
#include "expression_possible.hpp"

#include <algorithm>

#include "expression_bits.hpp"

namespace sluice::language {
namespace {

using Kind = Primitive::Kind;
constexpr KindsByDepth kEvery = {kAllKinds, kAllKinds, kAllKinds};

// For which packets something can be true, and for which it can be false.
struct Outcome {
  KindsByDepth yes = {};
  KindsByDepth no = {};
};

// Both must hold: of no kind at one depth, there is no packet at all.
KindsByDepth both(const KindsByDepth& a, const KindsByDepth& b) {
  KindsByDepth common;
  for (std::size_t i = 0; i < common.size(); ++i) common[i] = a[i] & b[i];
  return std::ranges::find(common, Kinds{0}) == common.end() ? common
                                                             : KindsByDepth{};
}

KindsByDepth either(KindsByDepth a, const KindsByDepth& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] |= b[i];
  return a;
}

struct Carried {
  std::uint16_t protocol;
  Kinds ip, ip6, piece;
};
constexpr Carried kCarried[] = {
    {6, kTcp4Kind, kTcp6Kind, kPiece6Tcp},
    {17, kUdp4Kind, kUdp6Kind, kPiece6Udp},
    {132, kSctp4Kind, kSctp6Kind, kPiece6Sctp},
    {1, kIcmpKind, 0, 0},
    {58, 0, kIcmp6Kind, kPiece6Icmp6},
};

// Kinds for which it can be true, and those for which it must be.
struct Asked {
  Kinds can = 0;
  Kinds must = 0;
};

Asked exactly(Kinds kinds) { return {kinds, kinds}; }
Asked at_most(Kinds kinds) { return {kinds, 0}; }

Asked ether_type(std::uint16_t type) {
  switch (type) {
    case 0x0800:
      return exactly(kIp4Kinds);
    case 0x86dd:
      return exactly(kIp6Kinds);
    case 0x0806:
      return exactly(kArpKind);
    case 0x8035:
      return exactly(kRarpKind);
    default:
      return at_most(kOtherKind);
  }
}

Asked protocol(const Primitive& primitive) {
  const std::uint16_t number = primitive.number.first;
  const bool ip = (primitive.families & Primitive::kIp) != 0;
  const bool ip6 = (primitive.families & Primitive::kIp6) != 0;
  Asked asked;
  const auto found = std::ranges::find(kCarried, number, &Carried::protocol);
  const Carried carried =
      found != std::end(kCarried) ? *found : Carried{number, 0, 0, 0};
  const Kinds known =
      (ip ? carried.ip : 0) | (ip6 ? carried.ip6 | carried.piece : 0);
  asked = exactly(known);
  if (ip && carried.ip == 0) asked.can |= kOther4Kind;
  if (ip6 && carried.ip6 == 0) asked.can |= kOther6Kind | kPiece6Other;
  if (ip6 && number == 44) {
    asked.can |= kPiece6Kinds;
    asked.must |= kPiece6Kinds;
  }
  return asked;
}

Asked port(const Primitive& primitive) {
  const auto of = [&](std::uint8_t transport, Kinds kinds) {
    return (primitive.transports & transport) != 0 ? kinds : 0;
  };
  return at_most(of(Primitive::kTcp, kTcp4Kind | kTcp6Kind) |
                 of(Primitive::kUdp, kUdp4Kind | kUdp6Kind) |
                 of(Primitive::kSctp, kSctp4Kind | kSctp6Kind));
}

Asked address4(const Primitive& primitive) {
  const auto of = [&](std::uint8_t family, Kinds kinds) {
    return (primitive.families & family) != 0 ? kinds : 0;
  };
  return at_most(of(Primitive::kIp, kIp4Kinds) | of(Primitive::kArp, kArpKind) |
                 of(Primitive::kRarp, kRarpKind));
}

Asked asked_by(const Primitive& primitive) {
  switch (primitive.kind) {
    case Kind::ether_type:
      return ether_type(primitive.number.first);
    case Kind::protocol:
      return protocol(primitive);
    case Kind::address4:
      return address4(primitive);
    case Kind::address6:
      return at_most(kIp6Kinds);
    case Kind::port:
      return port(primitive);
    case Kind::tcp_flags:
      return at_most(kTcp4Kind);
    case Kind::icmp_type:
    case Kind::icmp_code:
      return at_most(kIcmpKind);
    case Kind::icmp6_type:
    case Kind::icmp6_code:
      return at_most(kIcmp6Kind);
    case Kind::vlan:
      return at_most(kOtherKind);
  }
  return at_most(kAllKinds);
}

Outcome outcome_of(const Primitive& primitive) {
  const Asked asked = asked_by(primitive);
  Outcome outcome{kEvery, kEvery};
  outcome.yes[primitive.depth] = asked.can;
  outcome.no[primitive.depth] &= ~asked.must;
  if (asked.can == 0) outcome.yes = {};
  return outcome;
}

bool share_a_number(const Primitive& a, const Primitive& b) {
  for (const NumberRange& one : a.numbers()) {
    for (const NumberRange& other : b.numbers()) {
      if (one.first <= other.last && other.first <= one.last) return true;
    }
  }
  return false;
}

bool overlap(const Prefix& a, const Prefix& b) {
  return begin_alike(a.address, b.address, std::min(a.length, b.length));
}

// Large sets are not looked through: what they share is not worth the time.
bool share_an_address(const Primitive& a, const Primitive& b) {
  if (a.addresses().size() * b.addresses().size() > 1000) return true;
  for (const Prefix& one : a.addresses()) {
    for (const Prefix& other : b.addresses()) {
      if (overlap(one, other)) return true;
    }
  }
  return false;
}

// Whether no packet is what both ask.
bool contradict(const Primitive& a, const Primitive& b) {
  if (a.kind != b.kind || a.side != b.side || a.depth != b.depth) return false;
  switch (a.kind) {
    case Kind::address4:
    case Kind::address6:
      return !share_an_address(a, b);
    case Kind::protocol: {
      // An IPv6 packet may be a fragment and carry something besides.
      const bool ip6 = (a.families & b.families & Primitive::kIp6) != 0;
      const auto is_piece = [](const Primitive& one) {
        return one.number.first == 44;
      };
      if (ip6 && (is_piece(a) || is_piece(b))) return false;
      return !share_a_number(a, b);
    }
    default:
      return !share_a_number(a, b);
  }
}

// Whether `part` says no of everything that `whole` says yes of.
bool excludes(const Expression& part, const Primitive& whole) {
  if (part.kind != Expression::Kind::negation ||
      part.operands.front().kind != Expression::Kind::primitive) {
    return false;
  }
  const Primitive& denied = part.operands.front().primitive;
  return denied.kind == whole.kind && denied.depth == whole.depth &&
         whole.kind >= Kind::tcp_flags && whole.kind <= Kind::icmp6_code &&
         denied.numbers().front() == NumberRange{0, 255};
}

bool is_contradiction(const Expression& conjunction) {
  const auto& operands = conjunction.operands;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (operands[i].kind != Expression::Kind::primitive) continue;
    // More of them in a row is no rule that somebody wrote.
    const std::size_t end = std::min<std::size_t>(operands.size(), i + 64);
    for (std::size_t j = i + 1; j < end; ++j) {
      if (excludes(operands[j], operands[i].primitive)) return true;
      if (operands[j].kind == Expression::Kind::primitive &&
          contradict(operands[i].primitive, operands[j].primitive)) {
        return true;
      }
    }
  }
  return false;
}

Outcome outcome_of(const Expression& expression) {
  switch (expression.kind) {
    case Expression::Kind::all:
      return {kEvery, {}};
    case Expression::Kind::primitive:
      return outcome_of(expression.primitive);
    case Expression::Kind::negation: {
      const Outcome of = outcome_of(expression.operands.front());
      return {of.no, of.yes};
    }
    case Expression::Kind::conjunction: {
      Outcome whole{kEvery, {}};
      for (const Expression& operand : expression.operands) {
        const Outcome of = outcome_of(operand);
        whole = {both(whole.yes, of.yes), either(whole.no, of.no)};
      }
      if (is_contradiction(expression)) whole.yes = {};
      return whole;
    }
    case Expression::Kind::disjunction: {
      Outcome whole{{}, kEvery};
      for (const Expression& operand : expression.operands) {
        const Outcome of = outcome_of(operand);
        whole = {either(whole.yes, of.yes), both(whole.no, of.no)};
      }
      return whole;
    }
  }
  return {kEvery, kEvery};
}

}  // namespace

KindsByDepth possible(const Expression& expression) {
  return outcome_of(expression).yes;
}

}  // namespace sluice::language
