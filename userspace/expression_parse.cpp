// SPDX-License-Identifier: Apache-2.0
// The grammar of pcap-filter(7). `and` and `or` bind alike and to the left.
// Source: grammar.y of libpcap 1.10.
#include "expression_parse.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "expression_build.hpp"
#include "expression_words.hpp"

namespace sluice::language {
namespace {

using Direction = Qualifiers::Direction;
using Type = Qualifiers::Type;

constexpr const char* kAskFor =
    "ask for EtherType, VLAN id, protocol, address, port, TCP flags or ICMP "
    "type";

struct Abbreviation {
  std::string_view word;
  Primitive::Kind kind;
  std::uint8_t families;
  std::uint16_t number;
};
constexpr std::uint8_t kBoth = Primitive::kIp | Primitive::kIp6;
constexpr Abbreviation kAbbreviations[] = {
    {"tcp", Primitive::Kind::protocol, kBoth, 6},
    {"udp", Primitive::Kind::protocol, kBoth, 17},
    {"ip", Primitive::Kind::ether_type, 0, 0x0800},
    {"ip6", Primitive::Kind::ether_type, 0, 0x86dd},
    {"arp", Primitive::Kind::ether_type, 0, 0x0806},
    {"icmp", Primitive::Kind::protocol, Primitive::kIp, 1},
    {"icmp6", Primitive::Kind::protocol, Primitive::kIp6, 58},
    {"sctp", Primitive::Kind::protocol, kBoth, 132},
    {"rarp", Primitive::Kind::ether_type, 0, 0x8035},
    {"igmp", Primitive::Kind::protocol, Primitive::kIp, 2},
    {"esp", Primitive::Kind::protocol, kBoth, 50},
    {"ah", Primitive::Kind::protocol, kBoth, 51},
    {"pim", Primitive::Kind::protocol, kBoth, 103}};

const Abbreviation* abbreviation(std::string_view word) {
  const auto found =
      std::ranges::find(kAbbreviations, word, &Abbreviation::word);
  return found == std::end(kAbbreviations) ? nullptr : found;
}

std::optional<Expression::Kind> joint(std::string_view word) {
  if (word == "and" || word == "&&") return Expression::Kind::conjunction;
  if (word == "or" || word == "||") return Expression::Kind::disjunction;
  return {};
}

std::optional<Type> type_of(std::string_view word) {
  if (word == "host") return Type::host;
  if (word == "net") return Type::net;
  if (word == "port") return Type::port;
  if (word == "portrange") return Type::portrange;
  return {};
}

// A part of the expression, and what a value behind it inherits.
struct Node {
  Expression expression;
  std::size_t levels = 1;  // Of the tree.
  Qualifiers qualifiers = {};
};

class Parser {
 public:
  Parser(Line& line, const Sets& sets) : line_(line), sets_(sets) {}

  Result<Expression> parse() {
    Node node;
    if (!expression(node, {})) return *error_;
    if (!line_.done() && line_.peek() != "else") return unexpected();
    if (!vlans_.empty() && !check_vlans(node.expression)) return *error_;
    fit(node.expression);
    return std::move(node.expression);
  }

 private:
  bool fail(Error error) {
    error_ = std::move(error);
    return false;
  }

  // Lists are long: no memory is kept for operands that never come.
  static void fit(Expression& expression) {
    expression.operands.shrink_to_fit();
    for (Expression& operand : expression.operands) fit(operand);
  }

  // What can't be where it is.
  [[nodiscard]] Error unexpected() const {
    const std::string_view word = line_.peek();
    if (is_unsupported(word)) return line_.unsupported(kAskFor);
    if (word == ")") return line_.expected("no ')', none is open");
    return line_.expected("'and' or 'or'");
  }

  bool expression(Node& out, const Qualifiers& around) {
    if (!operand(out, around, false)) return false;
    while (const auto kind = joint(line_.peek())) {
      const std::size_t column = line_.column();
      line_.take();
      Node right;
      if (!operand(right, out.qualifiers, true)) return false;
      if (!join(*kind, out, std::move(right), column)) return false;
    }
    return true;
  }

  bool join(Expression::Kind kind, Node& left, Node right, std::size_t column) {
    // Operands of the same kind become one's own.
    const auto levels = [&](const Node& node) {
      return node.expression.kind == kind ? node.levels : node.levels + 1;
    };
    left.levels = std::max(levels(left), levels(right));
    if (left.levels > kNestingMax) return too_deep(column);
    left.expression =
        combined(kind, std::move(left.expression), std::move(right.expression));
    left.qualifiers = right.qualifiers;
    return true;
  }

  bool too_deep(std::size_t column) {
    return fail(line_.wrong(E2BIG, column,
                            "Nested deeper than " +
                                std::to_string(kNestingMax) +
                                " levels; 'and' and 'or' in turns nest, too"));
  }

  // `value`: one without qualifiers of its own may stand here; it takes those
  // of `before`.
  bool operand(Node& out, const Qualifiers& before, bool value) {
    if (line_.peek() == "not" || line_.peek() == "!") {
      return negation(
          out, [&](Node& inner) { return operand(inner, before, value); });
    }
    if (value && at_value()) return list(out, before);
    if (at_relation(line_)) return take(out, parse_relation(line_, depth()));
    if (line_.peek() != "(") return term(out);
    const std::size_t column = line_.column();
    if (++nesting_ > kNestingMax) return too_deep(column);
    line_.take();
    if (!expression(out, before)) return false;
    --nesting_;
    out.qualifiers = before;
    return close();
  }

  bool close() {
    if (line_.skip(")")) return true;
    if (is_unsupported(line_.peek())) return fail(unexpected());
    return fail(line_.expected("'and', 'or' or ')'"));
  }

  template <class F>
  bool negation(Node& out, F read) {
    const std::size_t column = line_.column();
    if (++nesting_ > kNestingMax) return too_deep(column);
    line_.take();
    Node inner;
    if (!read(inner)) return false;
    --nesting_;
    out.levels = inner.levels + 1;
    if (out.levels > kNestingMax) return too_deep(column);
    out.expression.kind = Expression::Kind::negation;
    out.expression.operands.push_back(std::move(inner.expression));
    out.qualifiers = inner.qualifiers;
    return true;
  }

  [[nodiscard]] std::uint8_t depth() const {
    return static_cast<std::uint8_t>(vlans_.size());
  }

  bool take(Node& out, Result<Expression> parsed) {
    if (!parsed) return fail(parsed.error());
    out.expression = *std::move(parsed);
    // Of one value: sides, families.
    out.levels = out.expression.kind == Expression::Kind::primitive ? 1 : 3;
    return true;
  }

  // Whether the next word is a value, or a list of values begins.
  [[nodiscard]] bool at_value() const {
    if (number_ahead(line_).words != 0) return true;
    const std::size_t at = line_.peek() == "(" ? 1 : 0;
    const std::string_view word = line_.peek(at);
    if (word.empty() || word == "else" || is_keyword(word) ||
        is_unsupported(word)) {
      return false;
    }
    if (line_.peek(at + 1) == "[") return false;
    const char first = word.front();
    return first == '$' || first == '\\' || first == ':' ||
           (first >= '0' && first <= '9') || (first >= 'a' && first <= 'z') ||
           (first >= 'A' && first <= 'Z');
  }

  // A value, or values in parentheses joined by and, or, not.
  bool list(Node& out, const Qualifiers& qualifiers) {
    if (line_.peek() == "not" || line_.peek() == "!") {
      return negation(out,
                      [&](Node& inner) { return list(inner, qualifiers); });
    }
    out.qualifiers = qualifiers;
    if (line_.peek() != "(" || number_ahead(line_).words != 0) {
      return take(out, parse_value(line_, sets_, qualifiers, depth()));
    }
    if (++nesting_ > kNestingMax) return too_deep(line_.column());
    line_.take();
    // The first may be `not`, but not in parentheses of its own.
    const bool no = line_.peek() == "not" || line_.peek() == "!";
    if (no ? !list(out, qualifiers)
           : !take(out, parse_value(line_, sets_, qualifiers, depth()))) {
      return false;
    }
    while (const auto kind = joint(line_.peek())) {
      const std::size_t column = line_.column();
      line_.take();
      Node right;
      if (!list(right, qualifiers)) return false;
      if (!join(*kind, out, std::move(right), column)) return false;
    }
    --nesting_;
    return close();
  }

  bool term(Node& out) {
    const std::string_view word = line_.peek();
    if (word == "vlan") return vlan(out);
    const Abbreviation* protocol = abbreviation(word);
    if (protocol != nullptr || word == "ether") {
      line_.take();
      out.qualifiers.protocol = word;
    }
    const std::string_view next = line_.peek();
    if (next == "src" || next == "dst" || next == "proto" || type_of(next)) {
      return head(out);
    }
    if (protocol == nullptr || is_unsupported(next)) return no_term(word);
    Primitive asked;
    asked.kind = protocol->kind;
    asked.families = protocol->families;
    asked.number = {protocol->number, protocol->number};
    asked.depth = depth();
    out.qualifiers = {};
    out.expression = primitive(asked);
    return true;
  }

  bool no_term(std::string_view word) {
    if (is_unsupported(line_.peek())) return fail(unexpected());
    if (word == "ether") return fail(line_.expected("'proto' after 'ether'"));
    return fail(line_.expected("a condition"));
  }

  // What is in front of a value: PROTOCOL DIRECTION TYPE.
  bool head(Node& out) {
    Qualifiers& qualifiers = out.qualifiers;
    const bool ether = qualifiers.protocol == "ether";
    if (ether && line_.peek() != "proto") {
      return fail(line_.unsupported(kAskFor));
    }
    if (line_.skip("proto")) {
      qualifiers.type = Type::proto;
      return list(out, Qualifiers(qualifiers));
    }
    qualifiers.type = Type::host;
    direction(qualifiers);
    if (const auto type = type_of(line_.peek())) {
      qualifiers.type = *type;
      line_.take();
    } else if (is_unsupported(line_.peek())) {
      return fail(unexpected());
    } else if (!is_address_like(line_.peek())) {
      return fail(line_.expected("'host', 'net', 'port' or 'portrange'"));
    }
    return list(out, Qualifiers(qualifiers));
  }

  [[nodiscard]] bool is_address_like(std::string_view word) const {
    return !word.empty() && !is_keyword(word) && word != "else" &&
           word != ")" && !number_of(word);
  }

  void direction(Qualifiers& qualifiers) {
    const bool source = line_.peek() == "src";
    if (!source && line_.peek() != "dst") return;
    line_.take();
    qualifiers.direction = source ? Direction::source : Direction::destination;
    const auto kind = joint(line_.peek());
    if (!kind || line_.peek(1) != (source ? "dst" : "src")) return;
    line_.take();
    line_.take();
    qualifiers.direction = *kind == Expression::Kind::conjunction
                               ? Direction::both
                               : Direction::either;
  }

  bool vlan(Node& out) {
    if (vlans_.size() == 2) {
      return fail(line_.unsupported("more than two VLAN tags"));
    }
    Primitive asked;
    asked.kind = Primitive::Kind::vlan;
    asked.depth = depth();
    asked.number = kAnyVlan;
    vlans_.push_back(line_.column());
    line_.take();
    if (const NumberAhead id = number_ahead(line_); id.words != 0) {
      if (id.number > 4095) {
        return fail(line_.expected("a VLAN id from 0 to 4095"));
      }
      for (std::size_t i = 0; i < id.words; ++i) line_.take();
      asked.number.first = static_cast<std::uint16_t>(id.number);
      asked.number.last = asked.number.first;
    }
    out.expression = primitive(asked);
    return true;
  }

  // What follows `vlan` looks behind the tag, matched or not. That makes sense
  // where everything that follows depends on it.
  bool check_vlans(const Expression& whole) {
    std::size_t seen = 0;
    if (whole.kind != Expression::Kind::conjunction) {
      return check_link(whole, true, seen);
    }
    for (const Expression& operand : whole.operands) {
      const bool last = &operand == &whole.operands.back();
      if (!check_link(operand, last, seen)) return false;
    }
    return true;
  }

  static bool is_vlan(const Expression& expression) {
    return expression.kind == Expression::Kind::primitive &&
           expression.primitive.kind == Primitive::Kind::vlan;
  }

  static bool has_vlan(const Expression& expression) {
    return is_vlan(expression) ||
           std::ranges::any_of(expression.operands, has_vlan);
  }

  bool check_link(const Expression& link, bool last, std::size_t& seen) {
    if (is_vlan(link)) {
      ++seen;
      return true;
    }
    if (!has_vlan(link) || (last && link.kind == Expression::Kind::negation &&
                            is_vlan(link.operands.front()))) {
      return true;
    }
    return fail(line_.wrong(
        EOPNOTSUPP, vlans_[seen],
        "'vlan' is not supported in 'or', nor in 'not' unless that comes "
        "last: what follows would look behind a tag that may not be there"));
  }

  Line& line_;
  const Sets& sets_;
  std::optional<Error> error_;
  std::vector<std::size_t> vlans_;  // Columns.
  std::size_t nesting_ = 0;
};

}  // namespace

Result<Expression> parse_expression(Line& line, const Sets& sets) {
  if (line.done() || line.peek() == "else") return Expression{};
  if (line.peek() == "all" &&
      (line.peek(1).empty() || line.peek(1) == "else")) {
    line.take();
    return Expression{};
  }
  return Parser(line, sets).parse();
}

}  // namespace sluice::language
