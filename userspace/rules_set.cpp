// SPDX-License-Identifier: Apache-2.0
// Named sets: what is in the braces, put in order.
#include <algorithm>
#include <cerrno>

#include <arpa/inet.h>

#include "expression_bits.hpp"
#include "expression_words.hpp"
#include "rules_list.hpp"

namespace sluice::language {
namespace {

constexpr const char* kElement = "an address, a prefix, a port or a port range";

bool contains(const Prefix& outer, const Prefix& inner) {
  return outer.length <= inner.length &&
         begin_alike(outer.address, inner.address, outer.length);
}

// The prefix one bit shorter.
Prefix parent(Prefix prefix) {
  --prefix.length;
  prefix.address[prefix.length / 8u] &=
      static_cast<std::uint8_t>(0xff00 >> (prefix.length % 8u));
  return prefix;
}

// Sorted, without what is in another; two halves become the whole.
std::shared_ptr<const std::vector<Prefix>> in_order(
    std::vector<Prefix> prefixes) {
  if (prefixes.empty()) return nullptr;
  std::ranges::sort(prefixes);
  std::size_t kept = 0;
  for (const Prefix& prefix : prefixes) {
    if (kept != 0 && contains(prefixes[kept - 1], prefix)) continue;
    prefixes[kept++] = prefix;
    while (kept > 1 && prefixes[kept - 1].length != 0 &&
           prefixes[kept - 1].length == prefixes[kept - 2].length &&
           parent(prefixes[kept - 1]) == parent(prefixes[kept - 2])) {
      --kept;
      prefixes[kept - 1] = parent(prefixes[kept - 1]);
    }
  }
  prefixes.resize(kept);
  prefixes.shrink_to_fit();
  return std::make_shared<const std::vector<Prefix>>(std::move(prefixes));
}

std::shared_ptr<const std::vector<NumberRange>> in_order(
    std::vector<NumberRange> ranges) {
  if (ranges.empty()) return nullptr;
  std::ranges::sort(ranges);
  std::size_t kept = 0;
  for (const NumberRange& range : ranges) {
    if (kept != 0 && range.first <= ranges[kept - 1].last + 1) {
      ranges[kept - 1].last = std::max(ranges[kept - 1].last, range.last);
    } else {
      ranges[kept++] = range;
    }
  }
  ranges.resize(kept);
  return std::make_shared<const std::vector<NumberRange>>(std::move(ranges));
}

struct Elements {
  std::vector<Prefix> prefixes4;
  std::vector<Prefix> prefixes6;
  std::vector<NumberRange> ports;
};

Result<void> read_element(Line& line, Elements& elements) {
  const std::string_view word = line.peek();
  const bool addresses =
      !elements.prefixes4.empty() || !elements.prefixes6.empty();
  if (const auto range = range_of(word)) {
    if (addresses) return line.expected("an address or a prefix");
    elements.ports.push_back(*range);
  } else if (const auto written = prefix_of(word)) {
    if (!elements.ports.empty()) return line.expected("a port or a port range");
    if (written->host_bits) {
      return line.wrong(EINVAL, line.column(),
                        in_quotes(word) + " has bits set behind its prefix");
    }
    (written->ip6 ? elements.prefixes6 : elements.prefixes4)
        .push_back(written->prefix);
  } else {
    return line.expected(kElement);
  }
  line.take();
  return {};
}

std::string text_of(const Prefix& prefix, bool ip6) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(ip6 ? AF_INET6 : AF_INET, prefix.address.data(), text, sizeof text);
  std::string whole = text;
  if (prefix.length != (ip6 ? 128 : 32)) {
    whole += "/" + std::to_string(prefix.length);
  }
  return whole;
}

}  // namespace

Result<NamedSet> parse_set(Line& line, const std::function<bool()>& next_line) {
  if (!line.skip("{")) return line.expected("'{'");
  Elements elements;
  bool comma = true;
  for (;;) {
    if (line.done()) {
      if (!next_line()) return line.expected("'}'");
      continue;
    }
    if (line.peek() == "}") break;
    if (!comma) {
      if (!line.skip(",")) return line.expected("',' or '}'");
      comma = true;
      continue;
    }
    if (auto read = read_element(line, elements); !read) return read.error();
    comma = false;
  }
  if (elements.prefixes4.empty() && elements.prefixes6.empty() &&
      elements.ports.empty()) {
    return line.expected(kElement);
  }
  line.take();
  return NamedSet{in_order(std::move(elements.prefixes4)),
                  in_order(std::move(elements.prefixes6)),
                  in_order(std::move(elements.ports))};
}

std::string text_of(const NamedSet& set) {
  std::string text;
  const auto add = [&](const std::string& element) {
    text += (text.empty() ? "{ " : ", ") + element;
  };
  if (set.prefixes4) {
    for (const Prefix& each : *set.prefixes4) add(text_of(each, false));
  }
  if (set.prefixes6) {
    for (const Prefix& each : *set.prefixes6) add(text_of(each, true));
  }
  if (set.ports) {
    for (const NumberRange& each : *set.ports) {
      std::string range = std::to_string(each.first);
      if (each.last != each.first) range += "-" + std::to_string(each.last);
      add(range);
    }
  }
  return text + " }";
}

}  // namespace sluice::language
