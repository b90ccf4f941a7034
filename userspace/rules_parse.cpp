// SPDX-License-Identifier: Apache-2.0
// Lists of rules, line by line.
#include <algorithm>
#include <cerrno>
#include <unordered_map>
#include <utility>

#include <sluice/metadata.hpp>

#include "rules_list.hpp"

namespace sluice {
namespace {

using language::FileId;
using language::in_quotes;
using language::Line;

constexpr std::size_t kIncludeDepthMax = 8;
constexpr std::size_t kIncludesMax = 10'000;

std::optional<Action> action_of(std::string_view word) {
  constexpr Action kActions[] = {Action::pass,   Action::drop,
                                 Action::steer,  Action::reflect,
                                 Action::mirror, Action::count};
  for (const Action action : kActions) {
    if (word == to_string(action)) return action;
  }
  return {};
}

bool is_name(std::string_view word) {
  return !word.empty() && word.size() <= 63 &&
         word.find_first_of("@:/%$\\") == std::string_view::npos;
}

constexpr const char* kNameIs =
    "1 to 63 letters, digits, dots, dashes and underscores";

// Fills a list from texts.
class Lists {
 public:
  explicit Lists(Rules::List& list) : list_(list) {}

  Result<void> read_text(std::string_view text, std::string_view source);
  Result<void> read_option(const std::string& expression);
  Result<void> read_file(const std::string& path);

 private:
  // A text that is being read.
  struct Text {
    std::string_view rest;
    Line line;
    std::uint32_t source;  // Of Rules::source().
    std::size_t number = 0;

    bool next() {
      if (rest.empty()) return false;
      const std::size_t size = std::min(rest.find('\n'), rest.size());
      line.start(rest.substr(0, size), ++number);
      rest.remove_prefix(std::min(size + 1, rest.size()));
      return true;
    }
  };

  Text begin(std::string_view text, std::string_view source);
  Result<void> read_file(const language::TextFile& file,
                         const std::string& path);
  Result<void> read_lines(Text& text);
  Result<void> read_line(Text& text);
  Result<void> read_rule(Line& line, std::uint32_t source, Action action);
  Result<void> read_label(Line& line, Rule& rule);
  Result<void> read_else(Line& line, Rule& rule);
  Result<void> read_default(Text& text);
  Result<void> read_fragments(Text& text);
  Result<void> read_define(Text& text);
  Result<void> read_include(Text& text);

  Rules::List& list_;
  std::unordered_map<std::uint32_t, std::size_t> labels_;  // Rules, by id.
  std::vector<FileId> open_;  // Files inside one another; none: no file.
  std::size_t includes_ = 0;
  std::string default_at_, fragments_at_;  // Where they are said.
};

Result<void> end_of(const Line& line, const char* what) {
  if (line.done()) return {};
  return line.expected(std::string("nothing more after ") + what);
}

Lists::Text Lists::begin(std::string_view text, std::string_view source) {
  list_.sources.emplace_back(source);
  // Rules are large: moving them costs more than counting lines.
  const auto lines = std::ranges::count(text, '\n') + 1;
  const std::size_t rules = std::min<std::size_t>(
      list_.rules.size() + static_cast<std::size_t>(lines), Rules::kMax);
  if (rules > list_.rules.capacity()) list_.rules.reserve(rules);
  return {text, Line(source),
          static_cast<std::uint32_t>(list_.sources.size() - 1)};
}

Result<void> Lists::read_text(std::string_view text, std::string_view source) {
  Text reading = begin(text, source);
  return read_lines(reading);
}

Result<void> Lists::read_lines(Text& text) {
  while (text.next()) {
    if (text.line.done()) continue;
    if (auto done = read_line(text); !done) return done;
  }
  return {};
}

Result<void> Lists::read_option(const std::string& expression) {
  const std::string source = "--steer " + in_quotes(expression);
  list_.sources.push_back(source);
  Line line(source);
  line.start(expression, 0);
  return read_rule(line, static_cast<std::uint32_t>(list_.sources.size() - 1),
                   Action::steer);
}

Result<void> Lists::read_file(const std::string& path) {
  const auto file = language::read_file(path);
  if (!file) return file.error();
  return read_file(*file, path);
}

Result<void> Lists::read_file(const language::TextFile& file,
                              const std::string& path) {
  Text reading = begin(file.text, path);
  open_.push_back(file.id);
  auto done = read_lines(reading);
  open_.pop_back();
  return done;
}

Result<void> Lists::read_line(Text& text) {
  Line& line = text.line;
  if (const auto action = action_of(line.peek())) {
    line.take();
    return read_rule(line, text.source, *action);
  }
  if (line.peek() == "default") return read_default(text);
  if (line.peek() == "define") return read_define(text);
  if (line.peek() == "fragments") return read_fragments(text);
  if (line.peek() == "include") return read_include(text);
  return line.expected(
      "an action (steer, pass, drop, reflect, mirror, count), 'define', "
      "'include', 'fragments' or 'default'");
}

// What follows the action.
Result<void> Lists::read_rule(Line& line, std::uint32_t source, Action action) {
  if (list_.rules.size() == Rules::kMax) {
    return line.wrong(
        E2BIG, line.column(),
        "A list has at most " + std::to_string(Rules::kMax) + " rules");
  }
  Rule& rule = list_.rules.emplace_back();
  rule.action = action;
  rule.source = source;
  rule.line = static_cast<std::uint32_t>(line.number());
  if (auto done = read_label(line, rule); !done) return done;
  const std::size_t place = line.place();
  auto match = language::parse_expression(line, list_.sets);
  if (!match) return match.error();
  rule.match = *std::move(match);
  rule.expression = line.text_since(place);
  if (rule.expression.empty()) rule.expression = "all";
  return read_else(line, rule);
}

Result<void> Lists::read_label(Line& line, Rule& rule) {
  if (!line.peek().starts_with('@')) return {};
  const std::string_view label = line.peek().substr(1);
  if (!is_name(label)) {
    return line.wrong(
        EINVAL, line.column(),
        in_quotes(line.peek()) + " is not a label: @ and " + kNameIs);
  }
  const auto [other, fresh] =
      labels_.try_emplace(rule_id(label).value, list_.rules.size() - 1);
  if (!fresh) {
    const Rule& first = list_.rules[other->second];
    const std::string place = list_.place(first.source, first.line);
    if (first.label == label) {
      return line.wrong(EINVAL, line.column(),
                        "The label " + in_quotes(line.peek()) +
                            " is already that of " + place);
    }
    return line.wrong(EINVAL, line.column(),
                      "The label " + in_quotes(line.peek()) +
                          " has the same id " + "as " +
                          in_quotes("@" + first.label) + " of " + place +
                          ": change one of them");
  }
  rule.label = label;
  line.take();
  return {};
}

Result<void> Lists::read_else(Line& line, Rule& rule) {
  if (line.done()) return {};
  if (rule.action != Action::steer) {
    return line.wrong(EINVAL, line.column(),
                      "'else' belongs to steer: it says what happens where a "
                      "queue has no socket");
  }
  line.take();
  const auto otherwise = action_of(line.peek());
  if (otherwise != Action::pass && otherwise != Action::drop) {
    return line.expected("'pass' or 'drop' after 'else'");
  }
  rule.otherwise = *otherwise;
  line.take();
  return end_of(line, "'else'");
}

Result<void> Lists::read_default(Text& text) {
  Line& line = text.line;
  const std::size_t column = line.column();
  line.take();
  const auto action = action_of(line.peek());
  if (!action || !is_final(*action)) {
    return line.expected(
        "'pass', 'drop', 'steer' or 'reflect' after 'default'");
  }
  line.take();
  if (auto done = end_of(line, "the default"); !done) return done;
  if (!default_at_.empty()) {
    return line.wrong(EINVAL, column,
                      "The default is already set in " + default_at_);
  }
  default_at_ = list_.place(text.source, line.number());
  list_.default_action = *action;
  return {};
}

Result<void> Lists::read_fragments(Text& text) {
  Line& line = text.line;
  const std::size_t column = line.column();
  line.take();
  if (line.peek() != "pass" && line.peek() != "match") {
    return line.expected("'pass' or 'match' after 'fragments'");
  }
  const bool pass = line.take() == "pass";
  if (auto done = end_of(line, "'fragments'"); !done) return done;
  if (!fragments_at_.empty()) {
    return line.wrong(
        EINVAL, column,
        "What happens to fragments is already said in " + fragments_at_);
  }
  fragments_at_ = list_.place(text.source, line.number());
  list_.fragments_pass = pass;
  return {};
}

Result<void> Lists::read_define(Text& text) {
  Line& line = text.line;
  line.take();
  if (!is_name(line.peek())) {
    return line.expected(std::string("the name of a set: ") + kNameIs);
  }
  const std::string name(line.peek());
  if (list_.sets.contains(name)) {
    return line.wrong(EINVAL, line.column(),
                      in_quotes(name) + " is already defined");
  }
  line.take();
  if (!line.skip("=")) return line.expected("'=' after the name");
  auto set = language::parse_set(line, [&] { return text.next(); });
  if (!set) return set.error();
  list_.sets.emplace(name, *std::move(set));
  return end_of(line, "'}'");
}

// The name behind `include`: up to the next space, or in double quotes. Empty
// if there is none, or if more than a comment follows.
std::string_view included_name(std::string_view rest) {
  const bool in_quotes = rest.starts_with('"');
  if (in_quotes) rest.remove_prefix(1);
  const auto end = rest.find_first_of(in_quotes ? "\"" : " \t\r#");
  if (in_quotes && end == rest.npos) return {};
  const std::string_view name = rest.substr(0, end);
  if (name.find('\0') != name.npos) return {};
  rest.remove_prefix(std::min(name.size() + in_quotes, rest.size()));
  const auto more = rest.find_first_not_of(" \t\r");
  return more == rest.npos || rest[more] == '#' ? name : std::string_view{};
}

Result<void> Lists::read_include(Text& text) {
  Line& line = text.line;
  const std::size_t column = line.column();
  line.take();
  const std::string_view name = included_name(line.rest());
  if (name.empty()) return line.expected("the name of one file");
  if (open_.empty()) {
    return line.wrong(EOPNOTSUPP, column, "Only a file includes others");
  }
  if (open_.size() > kIncludeDepthMax || ++includes_ > kIncludesMax) {
    return line.wrong(E2BIG, column,
                      "Files are included at most 8 deep, and 10000 in all");
  }
  // npos + 1 is 0.
  const std::string folder(line.source(), 0, line.source().rfind('/') + 1);
  const std::string path =
      (name.starts_with('/') ? "" : folder) + std::string(name);
  const auto file = language::read_file(path);
  if (!file) {
    return line.wrong(file.error().code, column,
                      "Cannot read " + in_quotes(path));
  }
  if (std::ranges::find(open_, file->id) != open_.end()) {
    return line.wrong(ELOOP, column, in_quotes(path) + " includes itself");
  }
  return read_file(*file, path);
}

}  // namespace

Result<Rules> Rules::parse(std::string_view text, std::string_view source) {
  auto list = std::make_shared<List>();
  if (auto read = Lists(*list).read_text(text, source); !read) {
    return read.error();
  }
  return Rules(std::move(list));
}

Result<Rules> Rules::load(const std::string& path) {
  auto list = std::make_shared<List>();
  if (auto read = Lists(*list).read_file(path); !read) return read.error();
  return Rules(std::move(list));
}

Result<Rules> Rules::steer(std::span<const std::string> expressions) {
  auto list = std::make_shared<List>();
  Lists lists(*list);
  for (const std::string& expression : expressions) {
    if (auto read = lists.read_option(expression); !read) return read.error();
  }
  return Rules(std::move(list));
}

}  // namespace sluice
