// SPDX-License-Identifier: Apache-2.0
#include "rules_show.hpp"

#include <fmt/format.h>

#include <sluice/rules_edit.hpp>

#include "json.hpp"

namespace sluice::app {
namespace {

const char* fragments_of(const Rules& rules) {
  return rules.fragments_pass() ? "pass" : "match";
}

// "never", "3.2 s ago".
std::string ago(std::uint64_t last_hit, Time now) {
  if (last_hit == 0) return "never";
  if (last_hit >= now.ns) return "0.0 s ago";
  return fmt::format("{:.1f} s ago",
                     static_cast<double>(now.ns - last_hit) / 1e9);
}

const char* word_of(Truth truth) {
  switch (truth) {
    case Truth::yes:
      return "yes";
    case Truth::no:
      return "no";
    case Truth::unseen:
      return "unseen";
  }
  return "?";
}

}  // namespace

std::string rules_text(const LiveRules& live) {
  const Time now = monotonic_now();
  constexpr const char* kRow = "{:<12} {:>12} {:>15} {:>12}  {}\n";
  std::string text =
      fmt::format("{}: list {}, {} rules, {}\n", live.interface, live.version,
                  live.rules.size(),
                  live.owner ? fmt::format("owned by process {}", *live.owner)
                             : std::string("attached, no process"));
  text += fmt::format(kRow, "handle", "packets", "bytes", "last hit", "rule");
  for (std::size_t i = 0; i < live.rules.size(); ++i) {
    const RuleCount& count = live.counts.rules[i];
    text +=
        fmt::format(kRow, handle_of(live.rules[i]), count.packets, count.bytes,
                    ago(count.last_hit, now), live.rules[i].text());
  }
  const Count& fragments = live.counts.fragments;
  text += fmt::format(kRow, "", fragments.packets, fragments.bytes, "",
                      fmt::format("fragments {}", fragments_of(live.rules)));
  const Count& rest = live.counts.unmatched;
  text += fmt::format(
      kRow, "", rest.packets, rest.bytes, "",
      fmt::format("default {}", to_string(live.rules.default_action())));
  return text;
}

std::string rules_json(const LiveRules& live) {
  Json json = line("rules");
  json["interface"] = live.interface;
  json["pid"] = live.owner ? Json(*live.owner) : Json();
  json["version"] = live.version;
  json["default"] = to_string(live.rules.default_action());
  json["fragments"] = fragments_of(live.rules);
  json["rules"] = Json::array();
  for (std::size_t i = 0; i < live.rules.size(); ++i) {
    const Rule& rule = live.rules[i];
    const RuleCount& count = live.counts.rules[i];
    Json each = {{"handle", handle_of(rule)},
                 {"label", rule.label},
                 {"rule", rule.text()}};
    each.update(of(count));
    each["last_hit_ns"] = count.last_hit != 0 ? Json(count.last_hit) : Json();
    json["rules"].push_back(std::move(each));
  }
  json["unmatched"] = of(live.counts.unmatched);
  json["fragments_passed"] = of(live.counts.fragments);
  json["verdicts"] = of(live.counts.verdicts);
  json["time_ns"] = monotonic_now().ns;
  json["text"] = live.rules.text();
  return dumped(json);
}

std::string attached_json(const LiveRules& live) {
  Json json = line("status");
  json["pid"] = nullptr;
  json["interface"] = live.interface;
  json["version"] = live.version;
  json["ports"] = Json::array(
      {of(PortStats{live.interface, live.interface, live.counts, live.rules})});
  return dumped(json);
}

std::string check_json(const std::string& file, const Rules& rules,
                       const std::optional<Error>& error) {
  Json json = line("rules_check");
  json["file"] = file;
  json["rules"] = rules.size();
  json["error"] = error ? Json(error->message()) : Json();
  json["warnings"] = Json::array();
  if (!error) {
    for (const Warning& each : rules.warnings()) {
      json["warnings"].push_back(
          {{"place", each.place}, {"sentence", each.sentence}});
    }
  }
  return dumped(json);
}

std::string diff_json(const std::string& interface, const std::string& file,
                      const std::vector<std::string>& lines) {
  Json json = line("rules_diff");
  json["interface"] = interface;
  json["file"] = file;
  json["lines"] = lines;
  return dumped(json);
}

std::string loaded(const std::string& interface, std::uint64_t version,
                   const Rules& rules, bool as_json) {
  if (!as_json) {
    return fmt::format("{}: list {} is in force, {} rules\n", interface,
                       version, rules.size());
  }
  Json json = line("rules_loaded");
  json["interface"] = interface;
  json["version"] = version;
  json["rules"] = rules.size();
  return dumped(json);
}

std::string warning_line(const std::string& file, const Warning& warning) {
  return fmt::format("{}: warning: {}\n",
                     warning.place.empty() ? file : warning.place,
                     warning.sentence);
}

std::string explanation_json(std::uint64_t number, const Rules& rules,
                             const Explanation& explanation) {
  const Rules::Decision& decision = explanation.decision;
  Json json = line("rules_explain");
  json["packet"] = number;
  json["action"] = to_string(decision.action);
  json["otherwise"] = decision.action == Action::steer
                          ? Json(to_string(decision.otherwise))
                          : Json();
  json["fragment"] = decision.fragment;
  json["rule"] = decision.rule ? Json(rules[*decision.rule].text()) : Json();
  json["steps"] = Json::array();
  for (const Explanation::Step& step : explanation.steps) {
    const Rule& rule = rules[step.rule];
    json["steps"].push_back({{"source", rules.source(rule.source)},
                             {"line", rule.line},
                             {"handle", handle_of(rule)},
                             {"rule", rule.text()},
                             {"matches", word_of(step.truth)},
                             {"reason", step.reason}});
  }
  return dumped(json);
}

}  // namespace sluice::app
