// SPDX-License-Identifier: Apache-2.0
#include "live_rules.hpp"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "json.hpp"

namespace sluice::app {
namespace {

// Of requests and answers, with counts as plain lists. Both ends may be of
// different versions of Sluice.
constexpr int kProtocol = 1;
// A million rules take seconds.
constexpr auto kPatience = std::chrono::seconds(120);

// False as well where it has no such field, and where it is no object.
bool is(const Json& json, const char* field, const Json& value) {
  return json.is_object() && json.value(field, Json()) == value;
}

Json brief(const Count& count) {
  return Json::array({count.packets, count.bytes});
}

Json brief(const RuleCount& count) {
  return Json::array({count.packets, count.bytes, count.last_hit});
}

Count count_of(const Json& json) { return {json.at(0), json.at(1)}; }

RuleCount rule_count_of(const Json& json) {
  return {count_of(json), json.at(2)};
}

Json brief(const VerdictCounts& counts) {
  return Json::array({brief(counts.passed), brief(counts.dropped),
                      brief(counts.steered), brief(counts.reflected),
                      brief(counts.passed_no_socket),
                      brief(counts.dropped_no_socket)});
}

VerdictCounts verdicts_of(const Json& json) {
  return {count_of(json.at(0)), count_of(json.at(1)), count_of(json.at(2)),
          count_of(json.at(3)), count_of(json.at(4)), count_of(json.at(5))};
}

std::string refusal(const Error& error) {
  return dumped({{"schema", kProtocol},
                 {"error",
                  {{"code", error.code},
                   {"call", error.call},
                   {"arguments", error.arguments},
                   {"advice", error.advice}}}});
}

// A list that no process holds.
Result<LiveRules> list_in(const Program& program) {
  auto counts = program.counts();
  if (!counts) return counts.error();
  LiveRules live;
  live.version = program.version();
  live.rules = program.rules();
  live.counts = std::move(*counts);
  return live;
}

std::string list_of(const Program& program) {
  auto counts = program.counts();
  if (!counts) return refusal(counts.error());
  Json json = {{"schema", kProtocol},
               {"version", program.version()},
               {"text", program.rules().text()},
               {"verdicts", brief(counts->verdicts)},
               {"unmatched", brief(counts->unmatched)},
               {"fragments", brief(counts->fragments)},
               {"rules", Json::array()}};
  for (const RuleCount& count : counts->rules) {
    json["rules"].push_back(brief(count));
  }
  return dumped(json);
}

LiveRules list_from(const Json& json, Rules rules) {
  LiveRules live;
  live.version = json.at("version");
  live.rules = std::move(rules);
  live.counts.verdicts = verdicts_of(json.at("verdicts"));
  live.counts.unmatched = rule_count_of(json.at("unmatched"));
  live.counts.fragments = rule_count_of(json.at("fragments"));
  for (const Json& each : json.at("rules")) {
    live.counts.rules.push_back(rule_count_of(each));
  }
  return live;
}

Error stale(const std::string& interface) {
  return {EAGAIN, "rules", "of " + interface,
          "Somebody else changed them meanwhile: look again."};
}

Result<std::uint64_t> propose(Program& program, const std::string& interface,
                              const Proposal& proposal) {
  if (proposal.instead_of && *proposal.instead_of != program.version()) {
    return stale(interface);
  }
  if (auto set = program.set_rules(proposal.rules); !set) return set.error();
  return program.version();
}

Result<std::uint64_t> propose(Engine& engine, const std::string& interface,
                              const Json& request) {
  auto rules = Rules::parse(request.at("text").get<std::string>());
  if (!rules) return rules.error();
  const Program* program = engine.program(interface);
  const Json& instead_of = request.at("instead_of");
  if (!instead_of.is_null() && instead_of != program->version()) {
    return stale(interface);
  }
  if (!request.at("force").get<bool>()) {
    auto safe = check_cut_off(interface, *rules);
    if (!safe) return safe.error();
  }
  if (auto set = engine.set_rules(interface, *rules); !set) return set.error();
  return program->version();
}

// The owner's answer, or its refusal.
Result<Json> ask(const std::string& interface, const Json& request) {
  auto answer = Control::ask(interface, dumped(request), kPatience);
  if (!answer) return answer.error();
  Json json = Json::parse(*answer, nullptr, false);
  if (!is(json, "schema", kProtocol)) {
    return Error{EPROTO, "owner of", interface,
                 "It is of another version of Sluice: ask it with that one."};
  }
  if (!json.contains("error")) return json;
  const Json& error = json.at("error");
  return Error{error.at("code"), "rules", error.at("arguments"),
               error.at("advice")};
}

Error nobody(const std::string& interface) {
  const auto bpffs = check_bpffs();
  return {ENOENT, "rules", "of " + interface,
          "No sluice runs on that interface in this network namespace, and "
          "none is attached." +
              (bpffs ? std::string() : " " + bpffs.error().message())};
}

// The interface's list, by whoever has it: `asked` its owner, or `opened` its
// pins. Between the two it may change hands, so both are asked in turn.
template <class T, class Asked, class Opened>
Result<T> by_owner_or_pins(const std::string& interface, const Asked& asked,
                           const Opened& opened) {
  const Time deadline = monotonic_now() + Program::kPatience;
  while (true) {
    Result<T> done = asked();
    const int error = done ? 0 : done.error().code;
    if (error != ENOENT && error != EACCES) return done;
    // It does not answer, or it ended before it could.
    if (error == EACCES && Control::owner(interface)) return done;
    auto device = Netdev::read(interface);
    if (!device) return device.error();
    auto pinned =
        Program::open_pinned(device->index, std::chrono::milliseconds(100));
    if (pinned) return *pinned ? opened(**pinned) : nobody(interface);
    if (pinned.error().code != EBUSY || monotonic_now() > deadline) {
      return pinned.error();
    }
  }
}

Json request_of(const char* what) {
  return {{"request", what}, {"schema", kProtocol}};
}

}  // namespace

std::vector<std::string> interfaces_in_use() {
  std::vector<std::string> all = Control::owned();
  for (const int index : pinned_interfaces()) {
    std::array<char, IF_NAMESIZE> name{};
    if (::if_indextoname(static_cast<unsigned>(index), name.data()) ==
            nullptr ||
        std::ranges::find(all, name.data()) != all.end()) {
      continue;
    }
    all.emplace_back(name.data());
  }
  return all;
}

Result<std::string> interface_of(const std::string& named) {
  if (!named.empty()) return named;
  const auto used = interfaces_in_use();
  if (used.size() == 1) return used.front();
  std::string all;
  for (const std::string& each : used) all += (all.empty() ? "" : ", ") + each;
  if (used.empty()) {
    return Error{ENOENT, "rules", "in force",
                 "Sluice is on no interface of this network namespace."};
  }
  return Error{EINVAL, "-i", "is not given", "Name one of: " + all + "."};
}

Result<LiveRules> read_rules(const std::string& interface) {
  const auto asked = [&]() -> Result<LiveRules> {
    const auto owner = Control::owner(interface);
    auto json = ask(interface, request_of("rules"));
    if (!json) return json.error();
    auto rules = Rules::parse(json->at("text").get<std::string>());
    if (!rules) return rules.error();
    LiveRules live = list_from(*json, std::move(*rules));
    live.owner = owner;
    return live;
  };
  auto live = by_owner_or_pins<LiveRules>(interface, asked, list_in);
  if (live) live->interface = interface;
  return live;
}

Result<std::uint64_t> propose_rules(const std::string& interface,
                                    const Proposal& proposal) {
  // Also where the owner looks, too: the session in use is that of who types.
  if (!proposal.force) {
    auto safe = check_cut_off(interface, proposal.rules);
    if (!safe) return safe.error();
  }
  Json request = request_of("load");
  request["text"] = proposal.rules.text();
  request["force"] = proposal.force;
  request["instead_of"] = nullptr;
  if (proposal.instead_of) request["instead_of"] = *proposal.instead_of;
  return by_owner_or_pins<std::uint64_t>(
      interface,
      [&]() -> Result<std::uint64_t> {
        auto json = ask(interface, request);
        if (!json) return json.error();
        return json->at("version").get<std::uint64_t>();
      },
      [&](Program& program) { return propose(program, interface, proposal); });
}

std::optional<std::string> answer_rules(Engine& engine,
                                        const std::string& interface,
                                        std::string_view request) {
  const Json json = Json::parse(request, nullptr, false);
  if (!is(json, "schema", kProtocol)) return {};
  if (is(json, "request", "rules")) {
    return list_of(*engine.program(interface));
  }
  const Json instead_of = json.value("instead_of", Json());
  if (!is(json, "request", "load") || !json.value("text", Json()).is_string() ||
      !json.value("force", Json()).is_boolean() ||
      !(instead_of.is_null() || instead_of.is_number_unsigned())) {
    return {};
  }
  auto version = propose(engine, interface, json);
  if (!version) return refusal(version.error());
  return dumped({{"schema", kProtocol}, {"version", *version}});
}

}  // namespace sluice::app
