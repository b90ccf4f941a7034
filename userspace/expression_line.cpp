// SPDX-License-Identifier: Apache-2.0
#include "expression_line.hpp"

#include <array>
#include <cerrno>
#include <utility>

namespace sluice::language {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

constexpr auto kWordBytes = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (const char c : {'.', '_', ':', '@', '/', '%', '-', '$', '\\'}) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}();

bool is_word(char c) { return kWordBytes[static_cast<unsigned char>(c)]; }

// Whether `first` and `second` are one word: `&&`, `==`, `!=`, `<<`.
bool are_one(char first, char second) {
  constexpr std::string_view kTwins = "&|=<>";
  if (first == second && kTwins.find(first) != kTwins.npos) return true;
  return second == '=' && (first == '!' || first == '<' || first == '>');
}

}  // namespace

std::string in_quotes(std::string_view word) {
  constexpr char kHex[] = "0123456789abcdef";
  constexpr std::size_t kShown = 60;
  std::string text = "'";
  for (const char c : word.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return text + (word.size() > kShown ? "...'" : "'");
}

void Line::start(std::string_view text, std::size_t number) {
  text_ = text;
  number_ = number;
  end_ = text.size() + 1;
  next_ = 0;
  tokens_.clear();
  std::size_t at = 0;
  while (at < text.size() && text[at] != '#') {
    if (is_space(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at + 1;
    if (is_word(text[at])) {
      while (end < text.size() && is_word(text[end])) ++end;
    } else if (end < text.size() && are_one(text[at], text[end])) {
      ++end;
    }
    tokens_.push_back({text.substr(at, end - at), at + 1});
    at = end;
  }
}

std::string Line::text_since(std::size_t place) const {
  std::string squeezed;
  if (place == next_) return squeezed;
  const Token& last = tokens_[next_ - 1];
  const std::size_t from = tokens_[place].column - 1;
  const std::size_t to = last.column - 1 + last.text.size();
  squeezed.reserve(to - from);
  for (const char c : text_.substr(from, to - from)) {
    if (!is_space(c)) {
      squeezed += c;
    } else if (squeezed.back() != ' ') {
      squeezed += ' ';
    }
  }
  return squeezed;
}

std::string_view Line::rest() const {
  return text_.substr(std::min(column() - 1, text_.size()));
}

Error Line::expected(std::string_view what) const {
  return wrong(EINVAL, column(),
               "Expected " + std::string(what) +
                   (done() ? std::string(" at the end of the line")
                           : ", found " + in_quotes(peek())));
}

Error Line::unsupported(std::string_view why) const {
  return wrong(EOPNOTSUPP, column(),
               in_quotes(peek()) + " is not supported: " + std::string(why));
}

Error Line::wrong(int code, std::size_t column, std::string advice) const {
  std::string where(source_);
  if (number_ != 0) where += " line " + std::to_string(number_);
  where += " column " + std::to_string(column);
  return {code, "rule", std::move(where), std::move(advice)};
}

}  // namespace sluice::language
