// SPDX-License-Identifier: Apache-2.0
#include "expression_build.hpp"

#include <cerrno>
#include <optional>
#include <utility>

#include "expression_words.hpp"

namespace sluice::language {
namespace {

using Direction = Qualifiers::Direction;
using Side = Primitive::Side;
using Type = Qualifiers::Type;

// `one` of either side or of both, as the direction says.
template <class F>
Expression of_sides(Direction direction, F one) {
  if (direction == Direction::source) return one(Side::source);
  if (direction == Direction::destination) return one(Side::destination);
  return combined(direction == Direction::both ? Expression::Kind::conjunction
                                               : Expression::Kind::disjunction,
                  one(Side::source), one(Side::destination));
}

void hold(Primitive& primitive,
          const std::shared_ptr<const std::vector<Prefix>>& prefixes) {
  if (prefixes->size() == 1) {
    primitive.prefix = prefixes->front();
  } else {
    primitive.prefix_set = prefixes;
  }
}

class Value {
 public:
  Value(Line& line, const Sets& sets, const Qualifiers& qualifiers,
        std::uint8_t depth)
      : line_(line), sets_(sets), qualifiers_(qualifiers), depth_(depth) {}

  Result<Expression> parse() {
    if (line_.done()) return line_.expected(what());
    switch (qualifiers_.type) {
      case Type::none:
        return line_.expected("'port', 'host', 'net' or 'proto' before this");
      case Type::host:
      case Type::net:
        return parse_address();
      case Type::port:
      case Type::portrange:
        return parse_port();
      case Type::proto:
        return parse_protocol();
    }
    return line_.expected(what());
  }

 private:
  [[nodiscard]] const char* what() const {
    switch (qualifiers_.type) {
      case Type::port:
        return "a port number from 0 to 65535";
      case Type::portrange:
        return "a port range, FIRST-LAST";
      case Type::proto:
        return "a protocol number";
      case Type::net:
        return "an IPv4 or IPv6 prefix";
      default:
        return "an IPv4 or IPv6 address";
    }
  }

  // EINVAL for what libpcap refuses, too; names are a matter of support.
  [[nodiscard]] Error bad_value() const {
    const std::string_view word = line_.peek();
    const char first = word.empty() ? ' ' : word.front();
    const bool letter =
        (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z');
    if (letter && !is_keyword(word) && word != "else" &&
        word.find_first_of(":/%") == word.npos) {
      return line_.unsupported(std::string("names are not looked up; write ") +
                               what());
    }
    return line_.expected(what());
  }

  // The set that is named, if it is one.
  Result<const NamedSet*> named() {
    if (!line_.peek().starts_with('$')) return nullptr;
    const auto found = sets_.find(line_.peek().substr(1));
    if (found == sets_.end()) {
      return line_.wrong(
          EINVAL, line_.column(),
          in_quotes(line_.peek()) + " is not defined above; 'define " +
              std::string(line_.peek().substr(1)) + " = { ... }' does");
    }
    return &found->second;
  }

  Result<Expression> parse_address() {
    const auto set = named();
    if (!set) return set.error();
    if (*set != nullptr) return parse_set(**set);
    const std::size_t column = line_.column();
    auto written = prefix_of(line_.peek());
    if (!written) return bad_value();
    if (written->host_bits) {
      return line_.wrong(
          EINVAL, column,
          in_quotes(line_.peek()) + " has bits set behind its prefix");
    }
    const bool host = written->ip6 && written->prefix.length == 128;
    if (written->slash && !host && qualifiers_.type == Type::host) {
      return line_.wrong(EINVAL, column, "A prefix needs 'net' in front");
    }
    line_.take();
    if (line_.peek() == "mask") {
      if (auto masked = parse_mask(*written); !masked) return masked.error();
    }
    auto prefixes =
        std::make_shared<const std::vector<Prefix>>(1, written->prefix);
    NamedSet one;
    (written->ip6 ? one.prefixes6 : one.prefixes4) = std::move(prefixes);
    return addresses(one, column);
  }

  Result<void> parse_mask(WrittenPrefix& written) {
    if (written.ip6 || written.slash || qualifiers_.type != Type::net) {
      return line_.expected(
          "no 'mask' here: it follows 'net' and an IPv4 "
          "address without a length");
    }
    line_.take();
    const auto mask = prefix_of(line_.peek());
    if (!mask || mask->ip6 || mask->slash) {
      return line_.expected("an IPv4 mask");
    }
    std::uint32_t bits = 0;
    std::uint32_t address = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      bits = bits << 8 | mask->prefix.address[i];
      address = address << 8 | written.prefix.address[i];
    }
    const int length = std::countl_one(bits);
    if (length < 32 && bits << length != 0) {
      return line_.unsupported("a mask with gaps");
    }
    if ((address & ~bits) != 0) {
      return line_.expected("a mask that leaves no bit of the address out");
    }
    written.prefix.length = static_cast<std::uint8_t>(length);
    line_.take();
    return {};
  }

  Result<Expression> parse_set(const NamedSet& set) {
    const std::size_t column = line_.column();
    if (set.ports) {
      return line_.wrong(
          EINVAL, column,
          in_quotes(line_.peek()) + " holds ports, not addresses");
    }
    line_.take();
    return addresses(set, column);
  }

  Result<Expression> addresses(const NamedSet& set, std::size_t column) const {
    const std::string_view protocol = qualifiers_.protocol;
    std::uint8_t families = Primitive::kIp | Primitive::kArp | Primitive::kRarp;
    if (protocol == "ip") families = Primitive::kIp;
    if (protocol == "arp") families = Primitive::kArp;
    if (protocol == "rarp") families = Primitive::kRarp;
    if (protocol == "ip6") families = Primitive::kIp6;
    const bool any = protocol.empty();
    if (!any &&
        families == (Primitive::kIp | Primitive::kArp | Primitive::kRarp)) {
      return line_.wrong(EINVAL, column,
                         in_quotes(protocol) +
                             " has no addresses of its own; "
                             "write '" +
                             std::string(protocol) + " and host'");
    }
    if (!any && (set.prefixes4 || families != Primitive::kIp6) &&
        (set.prefixes6 || families == Primitive::kIp6)) {
      return line_.wrong(
          EINVAL, column,
          in_quotes(protocol) + " has no such addresses, or not only such");
    }
    return of_sides(qualifiers_.direction, [&](Side side) {
      Primitive four;
      four.kind = Primitive::Kind::address4;
      four.side = side;
      four.families = families;
      four.depth = depth_;
      Primitive six = four;
      six.kind = Primitive::Kind::address6;
      six.families = Primitive::kIp6;
      if (set.prefixes4) hold(four, set.prefixes4);
      if (set.prefixes6) hold(six, set.prefixes6);
      if (!set.prefixes4) return primitive(six);
      if (!set.prefixes6) return primitive(four);
      return combined(Expression::Kind::disjunction, primitive(four),
                      primitive(six));
    });
  }

  Result<Expression> parse_port() {
    Primitive port;
    port.kind = Primitive::Kind::port;
    port.families = Primitive::kIp | Primitive::kIp6;
    port.depth = depth_;
    const std::string_view protocol = qualifiers_.protocol;
    const bool any = protocol.empty();
    if (any || protocol == "tcp") port.transports |= Primitive::kTcp;
    if (any || protocol == "udp") port.transports |= Primitive::kUdp;
    if (any || protocol == "sctp") port.transports |= Primitive::kSctp;
    if (port.transports == 0) {
      return line_.wrong(EINVAL, line_.column(),
                         in_quotes(protocol) + " has no ports");
    }
    const auto set = named();
    if (!set) return set.error();
    if (*set != nullptr) {
      if (!(*set)->ports) {
        return line_.wrong(
            EINVAL, line_.column(),
            in_quotes(line_.peek()) + " holds addresses, not ports");
      }
      line_.take();
      if ((*set)->ports->size() == 1) {
        port.number = (*set)->ports->front();
      } else {
        port.number_set = (*set)->ports;
      }
    } else {
      const auto range = take_range();
      if (!range) return bad_value();
      port.number = *range;
    }
    return of_sides(qualifiers_.direction, [&](Side side) {
      port.side = side;
      return primitive(port);
    });
  }

  std::optional<NumberRange> take_range() {
    const NumberAhead ahead = number_ahead(line_);
    if (ahead.words != 0) {
      if (ahead.number > 65535) return {};
      for (std::size_t i = 0; i < ahead.words; ++i) line_.take();
      const auto port = static_cast<std::uint16_t>(ahead.number);
      return NumberRange{port, port};
    }
    if (qualifiers_.type != Type::portrange) return {};
    const auto range = range_of(line_.peek());
    if (range) line_.take();
    return range;
  }

  Result<Expression> parse_protocol() {
    const std::string_view protocol = qualifiers_.protocol;
    Primitive wanted;
    wanted.depth = depth_;
    wanted.kind = Primitive::Kind::protocol;
    const bool ether = protocol == "ether";
    if (ether) wanted.kind = Primitive::Kind::ether_type;
    if (protocol.empty() || protocol == "ip") wanted.families = Primitive::kIp;
    if (protocol.empty() || protocol == "ip6") {
      wanted.families |= Primitive::kIp6;
    }
    if (!ether && wanted.families == 0) {
      return line_.wrong(EINVAL, line_.column(),
                         in_quotes(protocol) + " carries no protocol");
    }
    NumberAhead ahead = number_ahead(line_);
    if (ahead.words == 0) {
      if (!line_.peek().starts_with('\\')) return bad_value();
      const std::string_view name = line_.peek().substr(1);
      const auto number = ether ? ether_type_of(name) : ip_protocol_of(name);
      if (!number) return line_.unsupported("write the number");
      ahead = {1, *number};
    }
    if (ahead.number > (ether ? 65535u : 255u)) {
      return line_.expected(ether ? "an EtherType" : what());
    }
    // libpcap takes these for LLC, or for SNAP besides.
    if (ether && (ahead.number <= 1500 || ahead.number == 0x809b ||
                  ahead.number == 0x80f3)) {
      return line_.unsupported(
          "only EtherTypes from 1501 on, and not those "
          "of AppleTalk");
    }
    for (std::size_t i = 0; i < ahead.words; ++i) line_.take();
    wanted.number.first = static_cast<std::uint16_t>(ahead.number);
    wanted.number.last = wanted.number.first;
    return primitive(wanted);
  }

  Line& line_;
  const Sets& sets_;
  const Qualifiers& qualifiers_;
  std::uint8_t depth_;
};

}  // namespace

Expression primitive(const Primitive& primitive) {
  return {Expression::Kind::primitive, primitive, {}};
}

Expression combined(Expression::Kind kind, Expression left, Expression right) {
  Expression whole;
  whole.kind = kind;
  const auto take_up = [&](Expression operand) {
    if (operand.kind != kind) {
      whole.operands.push_back(std::move(operand));
      return;
    }
    for (Expression& inner : operand.operands) {
      whole.operands.push_back(std::move(inner));
    }
  };
  if (left.kind == kind) {
    whole.operands = std::move(left.operands);
  } else {
    take_up(std::move(left));
  }
  take_up(std::move(right));
  return whole;
}

NumberAhead number_ahead(const Line& line) {
  std::size_t open = 0;
  while (open <= kNestingMax && line.peek(open) == "(") ++open;
  const auto number = number_of(line.peek(open));
  if (!number) return {};
  for (std::size_t i = 1; i <= open; ++i) {
    if (line.peek(open + i) != ")") return {};
  }
  return {2 * open + 1, *number};
}

Result<Expression> parse_value(Line& line, const Sets& sets,
                               const Qualifiers& qualifiers,
                               std::uint8_t depth) {
  return Value(line, sets, qualifiers, depth).parse();
}

}  // namespace sluice::language
