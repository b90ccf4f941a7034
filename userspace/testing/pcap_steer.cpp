// SPDX-License-Identifier: Apache-2.0
// What the XDP program does on an interface, done for captures.
#include <sluice/parse.hpp>

#include "pcap_inlet.hpp"

namespace sluice::testing {
namespace {

void add(Count& count, std::uint32_t bytes) {
  ++count.packets;
  count.bytes += bytes;
}

// Fragments, tagged packets and those with IPv6 extension headers have no flow
// in the table.
std::optional<FlowKey> flow_of(std::span<const std::byte> bytes) {
  // A view for handlers may write; this one only looks.
  const Layers layers =
      parse({const_cast<std::byte*>(bytes.data()), bytes.size()});
  const auto* ip6 = layers.ipv6();
  if (layers.vlan() != nullptr || layers.shape() == Shape::fragment ||
      (ip6 != nullptr && ip6->next_header != layers.protocol())) {
    return std::nullopt;
  }
  return layers.flow();
}

}  // namespace

// Does what was said of the flow, or else what the rules say, unless that is to
// steer.
bool PcapEngine::steered(std::size_t port, const Captured& captured,
                         sluice_metadata& metadata) {
  Inlet& inlet = *inlets_[port];
  if (inlet.bypassing != 0) {
    const auto flow = flow_of(captured.bytes);
    const auto action =
        flow ? inlet.bypass->ask(*flow, captured.size, clock_) : std::nullopt;
    if (action) {
      add(inlet.bypassed, captured.size);
      return carry_out(*action, port, captured);
    }
  }
  if (!options_.rules) return carry_out(Action::steer, port, captured);
  Counts& counts = inlet.counts;
  const Rules::Decision says = options_.rules->decide(captured.bytes);
  for (const std::size_t rule : options_.rules->noted(captured.bytes, says)) {
    add(counts.rules[rule], captured.size);
  }
  add(says.fragment ? counts.fragments
      : says.rule   ? counts.rules[*says.rule]
                    : counts.unmatched,
      captured.size);
  if (says.rule) {
    metadata.rule = static_cast<__u32>(*says.rule);
    metadata.label = rule_id((*options_.rules)[*says.rule].label).value;
  }
  return carry_out(says.action, port, captured);
}

// True: it is for a handler.
bool PcapEngine::carry_out(Action action, std::size_t port,
                           const Captured& captured) {
  VerdictCounts& verdicts = inlets_[port]->counts.verdicts;
  switch (action) {
    case Action::steer:
      add(verdicts.steered, captured.size);
      return true;
    case Action::drop:
      add(verdicts.dropped, captured.size);
      return false;
    case Action::reflect: {
      add(verdicts.reflected, captured.size);
      std::vector<std::byte> back(captured.bytes.begin(), captured.bytes.end());
      parse(back).reverse();
      sink_.sent(static_cast<std::uint8_t>(port), clock_, back);
      return false;
    }
    default:
      add(verdicts.passed, captured.size);
      return false;
  }
}

}  // namespace sluice::testing
