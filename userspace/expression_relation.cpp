// SPDX-License-Identifier: Apache-2.0
// Comparisons of the bytes that pcap-filter(7) has names for. Every one comes
// down to which of the 256 values such a byte may have.
#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "expression_parse.hpp"
#include "expression_words.hpp"

namespace sluice::language {
namespace {

using Kind = Primitive::Kind;

constexpr const char* kNoArithmetic =
    "only a byte, or 'byte & (mask)', is compared with numbers";

bool is_comparison(std::string_view word) {
  return word == "=" || word == "==" || word == "!=" || word == "<" ||
         word == ">" || word == "<=" || word == ">=";
}

bool compare(std::uint32_t byte, std::string_view word, std::uint32_t number) {
  if (word == "!=") return byte != number;
  if (word == "<") return byte < number;
  if (word == ">") return byte > number;
  if (word == "<=") return byte <= number;
  if (word == ">=") return byte >= number;
  return byte == number;
}

bool is_arithmetic(std::string_view word) {
  constexpr std::string_view kOperators[] = {"+",  "*",  "^", "|", "&",
                                             "<<", ">>", "/", "%"};
  return std::ranges::find(kOperators, word) != std::end(kOperators) ||
         word.starts_with('-');
}

std::optional<Kind> byte_of(std::string_view protocol, std::uint32_t index) {
  if (protocol == "tcp" && index == 13) return Kind::tcp_flags;
  if (protocol == "icmp" && index == 0) return Kind::icmp_type;
  if (protocol == "icmp" && index == 1) return Kind::icmp_code;
  if (protocol == "icmp6" && index == 0) return Kind::icmp6_type;
  if (protocol == "icmp6" && index == 1) return Kind::icmp6_code;
  return {};
}

class Relation {
 public:
  explicit Relation(Line& line) : line_(line) {}

  Result<Expression> parse(std::uint8_t depth) {
    if (!left(0)) return *error_;
    if (is_arithmetic(line_.peek())) return line_.unsupported(kNoArithmetic);
    if (!is_comparison(line_.peek())) return line_.expected("a comparison");
    const std::string_view comparison = line_.take();
    std::uint32_t number = 0;
    if (!constant(number, 0)) return *error_;
    if (is_arithmetic(line_.peek())) return line_.unsupported(kNoArithmetic);
    return expression(depth, comparison, number);
  }

 private:
  bool fail(Error error) {
    error_ = std::move(error);
    return false;
  }

  bool close() {
    if (line_.skip(")")) return true;
    if (is_arithmetic(line_.peek())) {
      return fail(line_.unsupported(kNoArithmetic));
    }
    return fail(line_.expected("')'"));
  }

  // The byte and its masks: `(tcp[tcpflags] & tcp-syn)`.
  bool left(std::size_t nesting) {
    if (line_.peek() != "(") {
      if (!byte()) return false;
    } else {
      if (nesting == kNestingMax) return too_deep();
      line_.take();
      if (!left(nesting + 1) || !close()) return false;
    }
    while (line_.skip("&")) {
      std::uint32_t mask = 0;
      if (!operand(mask, nesting)) return false;
      mask_ &= mask;
    }
    return true;
  }

  bool byte() {
    const std::string_view protocol = line_.take();
    line_.take();  // The bracket; at_relation() has seen it.
    const std::size_t column = line_.column();
    const std::string_view word = line_.take();
    auto index = number_of(word);
    if (!index) index = constant_of(word);
    const auto kind = index ? byte_of(protocol, *index) : std::nullopt;
    if (!kind || line_.peek() != "]") {
      return fail(line_.wrong(
          EOPNOTSUPP, column,
          "Of bytes, only tcp[tcpflags], icmp[icmptype], icmp[icmpcode], "
          "icmp6[icmp6type] and icmp6[icmp6code] are supported"));
    }
    line_.take();
    kind_ = *kind;
    return true;
  }

  bool too_deep() {
    return fail(line_.wrong(E2BIG, line_.column(), "Nested too deeply"));
  }

  // A number, a constant, or an expression of them in parentheses.
  bool operand(std::uint32_t& value, std::size_t nesting) {
    if (line_.peek() == "(") {
      if (nesting == kNestingMax) return too_deep();
      line_.take();
      return constant(value, nesting + 1) && close();
    }
    auto number = number_of(line_.peek());
    if (!number) number = constant_of(line_.peek());
    if (!number) return fail(line_.expected("a number or a constant"));
    line_.take();
    value = *number;
    return true;
  }

  // `&` binds closer than `|`.
  bool constant(std::uint32_t& value, std::size_t nesting) {
    value = 0;
    do {
      std::uint32_t all = 0xffffffff;
      do {
        std::uint32_t next = 0;
        if (!operand(next, nesting)) return false;
        all &= next;
      } while (line_.skip("&"));
      value |= all;
    } while (line_.skip("|"));
    return true;
  }

  Expression expression(std::uint8_t depth, std::string_view comparison,
                        std::uint32_t number) const {
    std::vector<NumberRange> ranges;
    for (std::uint16_t byte = 0; byte < 256; ++byte) {
      if (!compare(byte & mask_, comparison, number)) continue;
      if (!ranges.empty() && ranges.back().last + 1 == byte) {
        ranges.back().last = byte;
      } else {
        ranges.push_back({byte, byte});
      }
    }
    Expression whole;
    whole.kind = Expression::Kind::primitive;
    whole.primitive.kind = kind_;
    whole.primitive.depth = depth;
    if (ranges.size() > 1) {
      whole.primitive.number_set =
          std::make_shared<const std::vector<NumberRange>>(std::move(ranges));
      return whole;
    }
    whole.primitive.number = ranges.empty() ? NumberRange{0, 255} : ranges[0];
    if (!ranges.empty()) return whole;
    // No value will do, and yet the byte is looked at: any, and not any.
    Expression negation{Expression::Kind::negation, {}, {whole}};
    return {Expression::Kind::conjunction, {}, {whole, negation}};
  }

  Line& line_;
  std::optional<Error> error_;
  Kind kind_ = Kind::tcp_flags;
  std::uint32_t mask_ = 0xffffffff;
};

}  // namespace

bool at_relation(const Line& line) {
  std::size_t open = 0;
  while (open <= kNestingMax && line.peek(open) == "(") ++open;
  if (line.peek(open + 1) != "[") return false;
  // Parentheses around a whole comparison are the parser's.
  std::size_t inside = open == 0 ? 0 : 1;
  for (std::size_t at = 1; inside != 0; ++at) {
    const std::string_view word = line.peek(at);
    if (word.empty() || is_comparison(word) || word == "and" || word == "or" ||
        word == "&&" || word == "||") {
      return false;
    }
    if (word == "(") ++inside;
    if (word == ")") --inside;
  }
  return true;
}

Result<Expression> parse_relation(Line& line, std::uint8_t depth) {
  return Relation(line).parse(depth);
}

}  // namespace sluice::language
