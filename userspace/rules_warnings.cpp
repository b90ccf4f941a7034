// SPDX-License-Identifier: Apache-2.0
// What may surprise who wrote a list.
#include <algorithm>
#include <map>
#include <optional>

#include "expression_line.hpp"
#include "expression_possible.hpp"
#include "rules_list.hpp"

namespace sluice {
namespace {

using language::in_quotes;
using language::KindsByDepth;
using Kind = Primitive::Kind;

constexpr std::size_t kImpossibleMax = 100;

template <class F>
bool any_primitive(const Expression& expression, const F& is) {
  if (expression.kind == Expression::Kind::primitive) {
    return is(expression.primitive);
  }
  return std::ranges::any_of(expression.operands, [&](const Expression& each) {
    return any_primitive(each, is);
  });
}

bool is_vlan(const Primitive& primitive) {
  return primitive.kind == Kind::vlan;
}

// Asked behind the IPv6 header, where extension headers come first.
bool is_behind_ip6(const Primitive& primitive) {
  switch (primitive.kind) {
    case Kind::port:
    case Kind::protocol:
      return (primitive.families & Primitive::kIp6) != 0;
    case Kind::icmp6_type:
    case Kind::icmp6_code:
      return true;
    default:
      return false;
  }
}

bool is_in_arp(const Primitive& primitive) {
  return primitive.kind == Kind::address4 && primitive.families != 0 &&
         (primitive.families & Primitive::kIp) != 0 &&
         (primitive.families & Primitive::kArp) != 0;
}

// A surprise that many rules may hold, told once.
struct Surprise {
  std::optional<std::size_t> first;
  std::size_t rules = 0;

  void note(std::size_t rule) {
    if (!first) first = rule;
    ++rules;
  }
};

class Looking {
 public:
  explicit Looking(const Rules& rules) : rules_(rules) {}

  std::vector<Warning> take() {
    for (std::size_t i = 0; i < rules_.size(); ++i) look_at(i);
    tell(untagged_,
         "looks at packets without VLAN tags only; behind a tag look 'vlan and "
         "...' and 'vlan ID and ...'");
    tell(tagged_,
         "matches nothing where the NIC takes VLAN tags off before XDP sees "
         "the packet: 'ethtool -K DEVICE rxvlan off' leaves them on");
    tell(behind_ip6_,
         "finds what IPv6 carries only right behind the IPv6 header (a "
         "protocol also behind one fragment header), not behind other "
         "extension headers");
    tell(arp_,
         "takes ARP from the Linux stack, too: an IPv4 address is also looked "
         "for in ARP and RARP; 'ip host' and 'ip net' are not");
    never_asked();
    std::vector<Warning> warnings;
    for (auto& [rule, each] : found_) warnings.push_back(std::move(each));
    return warnings;
  }

 private:
  void look_at(std::size_t i) {
    const Rule& rule = rules_[i];
    if (rule.match.kind == Expression::Kind::all) {
      if (is_final(rule.action) && !everything_) everything_ = i;
      return;
    }
    const KindsByDepth kinds = language::possible(rule.match);
    if (kinds == KindsByDepth{}) return impossible(i);
    (any_primitive(rule.match, is_vlan) ? tagged_ : untagged_).note(i);
    // Only where the rest of the expression leaves such packets.
    const auto asks = [&](bool (*is)(const Primitive&), language::Kinds left) {
      return any_primitive(rule.match, [&](const Primitive& primitive) {
        return is(primitive) && (kinds[primitive.depth] & left) != 0;
      });
    };
    if (asks(is_behind_ip6, language::kIp6Kinds)) behind_ip6_.note(i);
    const bool takes = is_final(rule.action) && rule.action != Action::pass;
    if (takes && asks(is_in_arp, language::kArpKind)) arp_.note(i);
  }

  void impossible(std::size_t i) {
    if (++impossible_ > kImpossibleMax) return;
    add(i, in_quotes(rules_[i].expression) + " can match no packet");
  }

  void never_asked() {
    if (!everything_ || *everything_ + 1 == rules_.size()) return;
    const std::size_t more = rules_.size() - *everything_ - 2;
    std::string sentence = "is never asked";
    if (more != 0) {
      sentence += ", nor " +
                  (more == 1 ? "is the rule"
                             : "are the " + std::to_string(more) + " rules") +
                  " behind it";
    }
    add(*everything_ + 1,
        sentence + ": " + rules_.place(*everything_) + " takes every packet");
  }

  void tell(const Surprise& surprise, const char* sentence) {
    if (!surprise.first) return;
    std::string text = in_quotes(rules_[*surprise.first].expression) + " ";
    if (surprise.rules > 1) {
      text += "(and " + std::to_string(surprise.rules - 1) + " more) ";
    }
    add(*surprise.first, text + sentence);
  }

  void add(std::size_t rule, std::string sentence) {
    found_.emplace(rule, Warning{rules_.place(rule), std::move(sentence)});
  }

  const Rules& rules_;
  std::multimap<std::size_t, Warning> found_;  // By rule.
  Surprise untagged_, tagged_, behind_ip6_, arp_;
  std::size_t impossible_ = 0;
  std::optional<std::size_t> everything_;
};

}  // namespace

std::vector<Warning> Rules::warnings() const { return Looking(*this).take(); }

}  // namespace sluice
