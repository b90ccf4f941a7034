// SPDX-License-Identifier: Apache-2.0
// Ntuple rules for what is steered. A NIC may bring more to a queue than is
// steered, since the program asks its own rules; it must not bring less. So a
// condition that ntuple has no word for is left out.
#include <set>

#include "doctor_checks.hpp"

namespace sluice::checks {
namespace {

// What a conjunction asks, of what ntuple has words for.
struct Flow {
  std::set<std::string> types;  // "udp4"; empty: any
  std::string fields;
  std::string ether;
  bool possible = true;
};

std::set<std::string> types_of(std::uint8_t families, std::uint8_t transports) {
  std::set<std::string> types;
  for (const auto& [family, digit] :
       {std::pair{Primitive::kIp, "4"}, std::pair{Primitive::kIp6, "6"}}) {
    if ((families & family) == 0) continue;
    if ((transports & Primitive::kTcp) != 0) {
      types.insert(std::string("tcp") + digit);
    }
    if ((transports & Primitive::kUdp) != 0) {
      types.insert(std::string("udp") + digit);
    }
    if ((transports & Primitive::kSctp) != 0) {
      types.insert(std::string("sctp") + digit);
    }
  }
  return types;
}

void narrow(Flow& flow, const std::set<std::string>& types) {
  if (flow.types.empty()) {
    flow.types = types;
    return;
  }
  std::erase_if(flow.types,
                [&](const std::string& each) { return !types.contains(each); });
  if (flow.types.empty()) flow.possible = false;
}

// The number, if it is one alone.
std::optional<std::uint16_t> single(const Primitive& primitive) {
  const auto numbers = primitive.numbers();
  if (numbers.size() != 1 || numbers[0].first != numbers[0].last) return {};
  return numbers[0].first;
}

void take_protocol(const Primitive& primitive, Flow& flow) {
  constexpr std::uint16_t kTcp = 6;
  constexpr std::uint16_t kUdp = 17;
  constexpr std::uint16_t kSctp = 132;
  const auto protocol = single(primitive);
  std::uint8_t transports = 0;
  if (protocol == kTcp) transports = Primitive::kTcp;
  if (protocol == kUdp) transports = Primitive::kUdp;
  if (protocol == kSctp) transports = Primitive::kSctp;
  if (transports != 0) narrow(flow, types_of(primitive.families, transports));
}

void take_port(const Primitive& primitive, Flow& flow) {
  narrow(flow, types_of(primitive.families, primitive.transports));
  const auto port = single(primitive);
  if (!port) return;
  flow.fields +=
      primitive.side == Primitive::Side::source ? " src-port " : " dst-port ";
  flow.fields += std::to_string(*port);
}

void take(const Primitive& primitive, Flow& flow) {
  switch (primitive.kind) {
    case Primitive::Kind::ether_type: {
      const auto type = single(primitive);
      if (!type) flow.possible = false;
      if (type) flow.ether = " proto " + std::to_string(*type);
      break;
    }
    case Primitive::Kind::protocol:
      take_protocol(primitive, flow);
      break;
    case Primitive::Kind::port:
      take_port(primitive, flow);
      break;
    case Primitive::Kind::vlan:
      flow.possible = false;  // What follows looks behind a tag.
      break;
    default:
      break;  // Leaving it out brings more.
  }
}

void take(const Expression& expression, Flow& flow) {
  switch (expression.kind) {
    case Expression::Kind::primitive:
      take(expression.primitive, flow);
      break;
    case Expression::Kind::conjunction:
      for (const Expression& each : expression.operands) take(each, flow);
      break;
    case Expression::Kind::disjunction:  // Inside of an `and`.
    case Expression::Kind::all:
    case Expression::Kind::negation:
      break;
  }
}

void add_flows(const Expression& expression, std::vector<Flow>& flows) {
  if (expression.kind == Expression::Kind::disjunction) {
    for (const Expression& each : expression.operands) add_flows(each, flows);
    return;
  }
  Flow flow;
  take(expression, flow);
  flows.push_back(std::move(flow));
}

}  // namespace

Flows flows_of(const Rules& rules, const std::vector<int>& queues) {
  Flows all;
  if (queues.empty()) return all;
  std::size_t next = 0;
  for (const Rule& rule : rules.list()) {
    if (rule.action != Action::steer) continue;
    std::vector<Flow> flows;
    add_flows(rule.match, flows);
    const std::string queue =
        " queue " + std::to_string(queues[next++ % queues.size()]);
    bool possible = true;
    std::vector<std::string> texts;
    for (const Flow& flow : flows) {
      const bool narrows = !flow.types.empty() || !flow.ether.empty();
      possible = possible && flow.possible && narrows;
      for (const std::string& type : flow.types) {
        texts.push_back(type + flow.fields + queue);
      }
      if (flow.types.empty()) texts.push_back("ether" + flow.ether + queue);
    }
    if (possible) {
      all.rules.insert(all.rules.end(), texts.begin(), texts.end());
    } else {
      all.impossible.push_back(rule.expression);
    }
  }
  return all;
}

}  // namespace sluice::checks
