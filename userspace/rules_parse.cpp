// SPDX-License-Identifier: Apache-2.0
// The language of rules: words, terms, lines, and what is wrong with them.
#include <sluice/rules.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <arpa/inet.h>

namespace sluice {
namespace {

using Kind = Term::Kind;

constexpr const char* kSupported =
    "Supported are arp, ip, ip6, tcp, udp, icmp, icmp6, dst host ADDRESS, "
    "dst port NUMBER and all, joined by 'and'";

struct Token {
  std::string_view text;
  std::size_t column = 1;
};

// Where a line stands, for errors. `line` 0: an option, not a file.
struct Place {
  std::string_view source;
  std::size_t line = 0;
};

Error refuse(int code, const Place& place, std::size_t column,
             std::string advice) {
  std::string where(place.source);
  if (place.line != 0) where += " line " + std::to_string(place.line);
  where += " column " + std::to_string(column);
  return {code, "rule", std::move(where), std::move(advice)};
}

std::string quoted(std::string_view word) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text = "'";
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return text + "'";
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || std::strchr("._:@/%-", c) != nullptr;
}

// Words, `&&` and `||`, and single characters of anything else, up to a `#`.
std::vector<Token> split(std::string_view line) {
  std::vector<Token> tokens;
  std::size_t at = 0;
  while (at < line.size() && line[at] != '#') {
    if (std::strchr(" \t\r", line[at]) != nullptr && line[at] != '\0') {
      ++at;
      continue;
    }
    std::size_t end = at + 1;
    if (line[at] != '\0' && is_word(line[at])) {
      while (end < line.size() && line[end] != '\0' && is_word(line[end])) {
        ++end;
      }
    } else if (end < line.size() && line[end] == line[at] &&
               (line[at] == '&' || line[at] == '|')) {
      ++end;
    }
    tokens.push_back({line.substr(at, end - at), at + 1});
    at = end;
  }
  return tokens;
}

std::optional<Action> action_of(std::string_view word) {
  if (word == "pass") return Action::pass;
  if (word == "drop") return Action::drop;
  if (word == "steer") return Action::steer;
  return {};
}

std::optional<Kind> protocol_of(std::string_view word) {
  constexpr std::pair<std::string_view, Kind> kWords[] = {
      {"arp", Kind::arp},    {"ip", Kind::ip},   {"ip6", Kind::ip6},
      {"udp", Kind::udp},    {"tcp", Kind::tcp}, {"icmp", Kind::icmp},
      {"icmp6", Kind::icmp6}};
  for (const auto& [text, kind] : kWords) {
    if (text == word) return kind;
  }
  return {};
}

// Stricter than libpcap, which reads 010.1.1.1 as 10.1.1.1 and 1.2.3 as a net.
std::optional<Term> host_of(std::string_view word) {
  const std::string text(word);
  Term term;
  if (inet_pton(AF_INET, text.c_str(), term.address.data()) == 1) {
    term.kind = Kind::dst_host4;
    return term;
  }
  if (inet_pton(AF_INET6, text.c_str(), term.address.data()) == 1) {
    term.kind = Kind::dst_host6;
    return term;
  }
  return {};
}

// No leading zeros: libpcap takes such a number for octal.
std::optional<Term> port_of(std::string_view word) {
  if (word.empty() || word.size() > 5) return {};
  if (word.size() > 1 && word[0] == '0') return {};
  std::uint32_t number = 0;
  for (const char c : word) {
    if (c < '0' || c > '9') return {};
    number = number * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (number > 65535) return {};
  Term term;
  term.kind = Kind::dst_port;
  term.port = static_cast<std::uint16_t>(number);
  return term;
}

// Reads the tokens of one line from left to right.
class Line {
 public:
  Line(Place place, std::string_view text)
      : place_(place), tokens_(split(text)), end_(text.size() + 1) {}

  [[nodiscard]] bool done() const { return next_ == tokens_.size(); }
  [[nodiscard]] std::string_view peek() const {
    return done() ? std::string_view{} : tokens_[next_].text;
  }
  [[nodiscard]] std::size_t column() const {
    return done() ? end_ : tokens_[next_].column;
  }
  std::string_view take() {
    const std::string_view text = peek();
    if (!done()) ++next_;
    return text;
  }
  [[nodiscard]] Error expected(std::string_view what) const {
    return refuse(EINVAL, place_, column(),
                  "Expected " + std::string(what) +
                      (done() ? std::string(" at the end of the line")
                              : ", found " + quoted(peek())));
  }
  [[nodiscard]] Error unsupported() const {
    return refuse(EOPNOTSUPP, place_, column(),
                  quoted(peek()) + " is not supported. " + kSupported);
  }
  [[nodiscard]] Error wrong(int code, std::size_t column,
                            std::string advice) const {
    return refuse(code, place_, column, std::move(advice));
  }

 private:
  Place place_;
  std::vector<Token> tokens_;
  std::size_t end_;
  std::size_t next_ = 0;
};

Result<void> read_dst(Line& line, Rule& rule) {
  const std::string_view what = line.peek();
  if (what != "host" && what != "port") {
    return line.expected("'host' or 'port' after 'dst'");
  }
  line.take();
  if (line.done()) {
    return line.expected(what == "host" ? "an address" : "a port number");
  }
  const auto term =
      what == "host" ? host_of(line.peek()) : port_of(line.peek());
  if (!term) {
    return line.wrong(
        EINVAL, line.column(),
        quoted(line.peek()) +
            (what == "host"
                 ? " is not an IPv4 or IPv6 address; names are not looked up"
                 : " is not a port number from 0 to 65535; names and leading "
                   "zeros are not supported"));
  }
  rule.expression += " dst " + std::string(what) + " ";
  rule.expression += line.take();
  rule.terms.push_back(*term);
  return {};
}

Result<void> read_term(Line& line, Rule& rule) {
  if (line.done() || line.peek() == "else" || line.peek() == "and" ||
      line.peek() == "&&") {
    return line.expected("a condition");
  }
  if (line.peek() == "dst") {
    line.take();
    return read_dst(line, rule);
  }
  const auto protocol = protocol_of(line.peek());
  if (!protocol && line.peek() != "all") return line.unsupported();
  rule.expression += " ";
  rule.expression += line.take();
  if (protocol) rule.terms.push_back({*protocol, {}, 0});
  return {};
}

// What still can be, while terms are added: one bit per kind of packet.
enum : unsigned {
  kArp = 1,
  kRarp = 2,
  kTcp4 = 4,
  kUdp4 = 8,
  kSctp4 = 16,
  kIcmp = 32,
  kOther4 = 64,
  kTcp6 = 128,
  kUdp6 = 256,
  kSctp6 = 512,
  kIcmp6 = 1024,
  kOther6 = 2048,
  kOther = 4096
};
constexpr unsigned kIp4 = kTcp4 | kUdp4 | kSctp4 | kIcmp | kOther4;
constexpr unsigned kIp6 = kTcp6 | kUdp6 | kSctp6 | kIcmp6 | kOther6;

unsigned possible(Kind kind) {
  switch (kind) {
    case Kind::arp:
      return kArp;
    case Kind::ip:
      return kIp4;
    case Kind::ip6:
      return kIp6;
    case Kind::udp:
      return kUdp4 | kUdp6;
    case Kind::tcp:
      return kTcp4 | kTcp6;
    case Kind::icmp:
      return kIcmp;
    case Kind::icmp6:
      return kIcmp6;
    case Kind::dst_host4:
      return kIp4 | kArp | kRarp;
    case Kind::dst_host6:
      return kIp6;
    case Kind::dst_port:
      return kTcp4 | kUdp4 | kSctp4 | kTcp6 | kUdp6 | kSctp6;
  }
  return 0;
}

bool can_match(const std::vector<Term>& terms) {
  unsigned left = kArp | kRarp | kIp4 | kIp6 | kOther;
  for (const Term& term : terms) {
    left &= possible(term.kind);
    for (const Term& other : terms) {
      if (other.kind != term.kind) continue;
      if (other.address != term.address || other.port != term.port) {
        return false;
      }
    }
  }
  return left != 0;
}

Result<void> read_expression(Line& line, Rule& rule) {
  const std::size_t column = line.column();
  if (!line.done() && line.peek() != "else") {
    for (;;) {
      if (auto term = read_term(line, rule); !term) return term.error();
      if (line.done() || line.peek() == "else") break;
      if (line.peek() != "and" && line.peek() != "&&") {
        if (line.peek() == "dst" || line.peek() == "all" ||
            protocol_of(line.peek())) {
          return line.expected("'and'");
        }
        return line.unsupported();
      }
      line.take();
      rule.expression += " and";
    }
  }
  if (rule.expression.empty()) rule.expression = " all";
  rule.expression.erase(0, 1);
  if (!can_match(rule.terms)) {
    return line.wrong(EINVAL, column,
                      quoted(rule.expression) + " can match no packet");
  }
  return {};
}

Result<void> read_else(Line& line, Rule& rule) {
  if (line.done()) return {};
  if (rule.action != Action::steer) {
    return line.wrong(EINVAL, line.column(),
                      "'else' belongs to steer: it says what happens where a "
                      "queue has no socket");
  }
  line.take();
  const auto otherwise = action_of(line.peek());
  if (!otherwise || *otherwise == Action::steer) {
    return line.expected("'pass' or 'drop' after 'else'");
  }
  rule.otherwise = *otherwise;
  line.take();
  if (!line.done()) return line.expected("nothing more after 'else'");
  return {};
}

Result<void> read_label(Line& line, Rule& rule) {
  if (!line.peek().starts_with('@')) return {};
  const std::string_view label = line.peek().substr(1);
  if (label.empty() || label.size() > 63 ||
      label.find_first_of("@:/%") != std::string_view::npos) {
    return line.wrong(EINVAL, line.column(),
                      quoted(line.peek()) +
                          " is not a label: @ and 1 to 63 letters, digits, "
                          "dots and dashes");
  }
  rule.label = label;
  line.take();
  return {};
}

// What follows the action.
Result<void> read_rule(Line& line, Action action, std::vector<Rule>& rules) {
  if (rules.size() == SLUICE_RULES_MAX) {
    return line.wrong(
        E2BIG, line.column(),
        "A list has at most " + std::to_string(SLUICE_RULES_MAX) + " rules");
  }
  Rule rule;
  rule.action = action;
  if (auto done = read_label(line, rule); !done) return done;
  if (auto done = read_expression(line, rule); !done) return done;
  if (auto done = read_else(line, rule); !done) return done;
  rules.push_back(std::move(rule));
  return {};
}

}  // namespace

Rules::Rules() = default;

Result<Rules> Rules::parse(std::string_view text, std::string_view source) {
  Rules rules;
  std::size_t default_line = 0;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t size = std::min(text.find('\n'), text.size());
    Line line({source, number}, text.substr(0, size));
    text.remove_prefix(std::min(size + 1, text.size()));
    if (line.done()) continue;
    const std::size_t column = line.column();
    const bool is_default = line.peek() == "default";
    if (is_default) line.take();
    const auto action = action_of(line.peek());
    if (!action) {
      return line.expected(is_default
                               ? "'steer', 'pass' or 'drop' after 'default'"
                               : "'steer', 'pass', 'drop' or 'default'");
    }
    line.take();
    if (!is_default) {
      auto added = read_rule(line, *action, rules.rules_);
      if (!added) return added.error();
      continue;
    }
    if (!line.done()) return line.expected("nothing more after the default");
    if (default_line != 0) {
      return line.wrong(
          EINVAL, column,
          "The default is already set in line " + std::to_string(default_line));
    }
    default_line = number;
    rules.default_ = *action;
  }
  return rules;
}

Result<Rules> Rules::steer(std::span<const std::string> expressions) {
  Rules rules;
  for (const std::string& expression : expressions) {
    const std::string source = "--steer " + quoted(expression);
    Line line({source, 0}, expression);
    auto added = read_rule(line, Action::steer, rules.rules_);
    if (!added) return added.error();
  }
  return rules;
}

}  // namespace sluice
