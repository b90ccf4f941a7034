// SPDX-License-Identifier: Apache-2.0
#include <sluice/rules_edit.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <unordered_map>

namespace sluice {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t size = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, size));
    text.remove_prefix(std::min(size + 1, text.size()));
  }
  return lines;
}

std::string joined(const std::vector<std::string_view>& lines) {
  std::string text;
  for (const std::string_view line : lines) text.append(line) += '\n';
  return text;
}

// Rules::text(), line by line: sets, `fragments`, the rules, the default.
struct Canonical {
  explicit Canonical(const Rules& rules)
      : text(rules.text()),
        lines(lines_of(text)),
        first(lines.size() - 1 - rules.size()) {}
  Canonical(const Canonical&) = delete;
  Canonical& operator=(const Canonical&) = delete;

  // The line of a rule; of the default, for one more than there are.
  [[nodiscard]] auto at(std::size_t rule) const {
    return lines.begin() + static_cast<std::ptrdiff_t>(first + rule);
  }

  std::string text;
  std::vector<std::string_view> lines;
  std::size_t first;
};

// For each line of `after` its line in `before`, or none. Equal lines are taken
// in their order.
std::vector<std::size_t> partners(const std::vector<std::string_view>& before,
                                  const std::vector<std::string_view>& after) {
  std::unordered_map<std::string_view, std::vector<std::size_t>> places;
  for (std::size_t i = before.size(); i-- > 0;) {
    places[before[i]].push_back(i);
  }
  std::vector<std::size_t> partners(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    const auto found = places.find(after[i]);
    if (found == places.end() || found->second.empty()) continue;
    partners[i] = found->second.back();
    found->second.pop_back();
  }
  return partners;
}

// Which values are of the longest sequence that only grows; `none` never is.
std::vector<bool> longest_growing(const std::vector<std::size_t>& values,
                                  std::size_t none) {
  std::vector<std::size_t> ends;  // Of the best sequence of each length.
  std::vector<std::size_t> back(values.size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == none) continue;
    const auto at = std::ranges::lower_bound(
        ends, values[i], {}, [&](std::size_t end) { return values[end]; });
    if (at != ends.begin()) back[i] = *(at - 1);
    if (at == ends.end()) {
      ends.push_back(i);
    } else {
      *at = i;
    }
  }
  std::vector<bool> kept(values.size());
  for (std::size_t i = ends.empty() ? values.size() : ends.back();
       i != values.size(); i = back[i]) {
    kept[i] = true;
  }
  return kept;
}

Error nobody(std::string_view name) {
  return {ENOENT, "rule", "'" + std::string(name) + "'",
          "No rule has that label or handle: `sluice rules show` names them."};
}

}  // namespace

// FNV-1a, folded to 48 bits.
std::string handle_of(const Rule& rule) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : rule.text()) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  std::array<char, 17> digits{};
  std::snprintf(
      digits.data(), digits.size(), "%012llx",
      static_cast<unsigned long long>((hash ^ hash >> 48) & 0xffff'ffff'ffff));
  return digits.data();
}

Result<std::size_t> find_rule(const Rules& rules, std::string_view name) {
  const bool label = name.starts_with('@');
  if (label) name.remove_prefix(1);
  if (name.empty()) return nobody(name);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].label == name) return i;
  }
  std::size_t found = rules.size();
  for (std::size_t i = 0; i < rules.size() && !label; ++i) {
    if (handle_of(rules[i]) != name) continue;
    if (found != rules.size() && rules[found].text() != rules[i].text()) {
      return Error{ENOTUNIQ, "rule", "'" + std::string(name) + "'",
                   "Two rules have that handle: load a list without the one "
                   "or the other."};
    }
    found = i;
  }
  if (found == rules.size()) return nobody(name);
  return found;
}

Result<Rules> with_rule(const Rules& rules, std::string_view line,
                        std::string_view before) {
  std::size_t place = rules.size();
  if (!before.empty()) {
    auto found = find_rule(rules, before);
    if (!found) return found.error();
    place = *found;
  }
  Canonical canonical(rules);
  canonical.lines.insert(canonical.at(place), line);
  auto longer = Rules::parse(joined(canonical.lines), "the list with it:");
  if (!longer) return longer;
  if (line.find('\n') != std::string_view::npos ||
      longer->size() != rules.size() + 1) {
    return Error{EINVAL, "rule", "'" + std::string(line) + "'",
                 "Write one rule: ACTION [@label] EXPRESSION."};
  }
  return longer;
}

Result<Rules> without_rule(const Rules& rules, std::string_view name) {
  const auto found = find_rule(rules, name);
  if (!found) return found.error();
  Canonical canonical(rules);
  canonical.lines.erase(canonical.at(*found));
  return Rules::parse(joined(canonical.lines), "rules");
}

std::vector<std::string> differences(const Rules& before, const Rules& after) {
  const Canonical old_list(before);
  const Canonical new_list(after);
  const auto& gone = old_list.lines;
  const auto& come = new_list.lines;
  const auto partner = partners(gone, come);
  const auto kept = longest_growing(partner, gone.size());
  std::vector<std::string> found;
  std::size_t left = 0;  // The next line of the old list, of the new one.
  std::size_t right = 0;
  const auto tell_up_to = [&](std::size_t old_end, std::size_t new_end) {
    for (; left < old_end; ++left) {
      found.push_back("- " + std::string(gone[left]));
    }
    for (; right < new_end; ++right) {
      found.push_back("+ " + std::string(come[right]));
    }
  };
  for (std::size_t i = 0; i < come.size(); ++i) {
    if (!kept[i]) continue;
    tell_up_to(partner[i], i);
    ++left;
    ++right;
  }
  tell_up_to(gone.size(), come.size());
  return found;
}

}  // namespace sluice
