// SPDX-License-Identifier: Apache-2.0
// The words of a line of rules, and how an error says where it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/result.hpp>

namespace sluice::language {

struct Token {
  std::string_view text;
  std::size_t column = 1;  ///< In bytes, from 1.
};

/// "'word'", with what can't be printed as \xNN, and long ones shortened.
[[nodiscard]] std::string in_quotes(std::string_view word);

/// Reads one line from left to right. The texts must outlive it.
class Line {
 public:
  /// `source` names the text in errors.
  explicit Line(std::string_view source) : source_(source) {}

  /// Goes to the first word of `text`, which is line `number`; 0: an option,
  /// not a line of a file.
  void start(std::string_view text, std::size_t number);

  [[nodiscard]] bool done() const { return next_ == tokens_.size(); }
  /// The word `ahead` words further, or empty at the end.
  [[nodiscard]] std::string_view peek(std::size_t ahead = 0) const {
    const std::size_t at = next_ + ahead;
    return at < tokens_.size() ? tokens_[at].text : std::string_view{};
  }
  [[nodiscard]] std::size_t column() const {
    return done() ? end_ : tokens_[next_].column;
  }
  std::string_view take() {
    const std::string_view text = peek();
    if (!done()) ++next_;
    return text;
  }
  /// Takes the word if it is `word`.
  bool skip(std::string_view word) {
    if (done() || peek() != word) return false;
    ++next_;
    return true;
  }
  /// Words taken so far.
  [[nodiscard]] std::size_t place() const { return next_; }
  /// The text of the words from `place` up to here, spaces squeezed.
  [[nodiscard]] std::string text_since(std::size_t place) const;
  /// What follows the words taken, comments and all.
  [[nodiscard]] std::string_view rest() const;

  [[nodiscard]] std::string_view source() const { return source_; }
  [[nodiscard]] std::size_t number() const { return number_; }

  /// EINVAL: "Expected WHAT, found ..." at the next word.
  [[nodiscard]] Error expected(std::string_view what) const;
  /// EOPNOTSUPP: "'word' is not supported: WHY" at the next word.
  [[nodiscard]] Error unsupported(std::string_view why) const;
  [[nodiscard]] Error wrong(int code, std::size_t column,
                            std::string advice) const;

 private:
  std::string_view source_;
  std::string_view text_;
  std::vector<Token> tokens_;
  std::size_t number_ = 0;
  std::size_t end_ = 1;
  std::size_t next_ = 0;
};

}  // namespace sluice::language
