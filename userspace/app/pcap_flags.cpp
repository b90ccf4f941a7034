// SPDX-License-Identifier: Apache-2.0
// The flags of `run` over captures.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <string_view>

#include "flags.hpp"

namespace sluice::app {
namespace {

constexpr std::string_view kPcap = "pcap:";

// What follows the first '='; empty where there is none.
std::string_view value_of(std::string_view flag) {
  const auto equals = flag.find('=');
  if (equals == std::string_view::npos) return {};
  return flag.substr(equals + 1);
}

// --expect FILE is the only port's, NAME=FILE that port's.
Result<void> add_expected(const RunFlags& flags, std::vector<PcapPort>& ports) {
  for (const std::string& each : flags.expected) {
    const auto equals = each.find('=');
    const std::string name = each.substr(0, equals);
    auto port = std::ranges::find(ports, name, &PcapPort::name);
    if (equals == std::string::npos || port == ports.end()) {
      if (ports.size() != 1) {
        return bad("--expect", each, "Write NAME=FILE, with a port's name.");
      }
      port = ports.begin();
      port->expected = each;
    } else {
      port->expected = each.substr(equals + 1);
    }
  }
  return {};
}

Result<std::uint32_t> queues_of(const RunFlags& flags) {
  if (flags.queues == "all") return 1U;
  std::uint32_t count = 0;
  const char* last = flags.queues.data() + flags.queues.size();
  const auto [end, error] = std::from_chars(flags.queues.data(), last, count);
  if (error != std::errc() || end != last || count == 0) {
    return bad("--queues", flags.queues,
               "A capture has no queues: write how many there are to be.");
  }
  return count;
}

}  // namespace

Result<Duration> duration_of(const char* flag, const std::string& text) {
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"ns", 1}, {"us", 1e3}, {"ms", 1e6},  {"s", 1e9},
      {"", 1e9}, {"m", 6e10}, {"h", 3.6e12}};
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(
      end, static_cast<std::size_t>(text.data() + text.size() - end));
  const auto known = std::ranges::find(
      kUnits, unit, &std::pair<std::string_view, double>::first);
  if (error != std::errc() || known == std::end(kUnits) ||
      !(number >= 0 && number * known->second <= 1e18)) {
    return bad(flag, text, "Write a time like 500ms, 60s, 2m or 1h.");
  }
  return Duration(static_cast<std::int64_t>(number * known->second));
}

bool is_pcap(const RunFlags& flags) {
  return std::ranges::any_of(flags.ports, [](const std::string& port) {
    return value_of(port).starts_with(kPcap);
  });
}

Result<void> refuse_pcap_flags(const RunFlags& flags) {
  constexpr const char* kAdvice = "It is for captures: --port NAME=pcap:IN.";
  if (flags.linger != "0") return bad("--linger", flags.linger, kAdvice);
  if (!flags.expected.empty()) {
    return bad("--expect", flags.expected.front(), kAdvice);
  }
  return {};
}

Result<std::vector<PcapPort>> pcap_ports(const RunFlags& flags) {
  constexpr const char* kMixed =
      "Captures and interfaces have clocks of their own: give a run one kind.";
  if (!flags.interfaces.empty()) {
    return bad("-i", flags.interfaces.front(), kMixed);
  }
  if (!flags.mirror.empty()) {
    return bad("--mirror", flags.mirror, "Of captures nothing is mirrored.");
  }
  std::vector<PcapPort> ports;
  for (const std::string& each : flags.ports) {
    std::string_view value = value_of(each);
    if (!value.starts_with(kPcap)) return bad("--port", each, kMixed);
    value.remove_prefix(kPcap.size());
    PcapPort port;
    port.name = each.substr(0, each.find('='));
    const auto comma = value.find(',');
    port.in = value.substr(0, comma);
    if (comma != std::string_view::npos) port.out = value.substr(comma + 1);
    if (port.name.empty() || port.in.empty() ||
        (comma != std::string_view::npos && port.out.empty())) {
      return bad("--port", each, "Write NAME=pcap:IN or NAME=pcap:IN,OUT.");
    }
    ports.push_back(std::move(port));
  }
  if (auto added = add_expected(flags, ports); !added) return added.error();
  return ports;
}

Result<testing::PcapOptions> pcap_options(const RunFlags& flags,
                                          const Choice& handler,
                                          const std::vector<PcapPort>& ports) {
  constexpr const char* kNone = "It is for interfaces; a capture has none.";
  if (flags.mode != "auto") return bad("--mode", flags.mode, kNone);
  if (flags.cpus != "auto") return bad("--cpus", flags.cpus, kNone);
  if (flags.rss != "keep") return bad("--rss", flags.rss, kNone);
  if (!flags.prepare.empty()) return bad("--prepare", flags.prepare, kNone);
  if (flags.busy_poll > 0) {
    return bad("--busy-poll", std::to_string(flags.busy_poll), kNone);
  }
  testing::PcapOptions options;
  for (const PcapPort& port : ports) {
    PortFacts& facts = options.ports.emplace_back();
    facts.name = port.name;
    facts.interface = "pcap " + port.in;
    if (!port.out.empty()) facts.interface += " to " + port.out;
  }
  auto rules = rules_of(flags, handler);
  if (!rules) return rules.error();
  options.rules = std::move(*rules);
  auto queues = queues_of(flags);
  if (!queues) return queues.error();
  options.queues = *queues;
  auto linger = duration_of("--linger", flags.linger);
  if (!linger) return linger.error();
  options.linger = *linger;
  options.batch = flags.batch;
  options.ring_size = flags.ring_size;
  options.frame_size = flags.frame_size;
  options.bypass_flows = flags.bypass_flows;
  options.frames_per_queue = flags.frames_per_queue;
  options.holds = handler.holds;
  options.tx_offload = flags.tx_offload;
  options.rx_hints = flags.rx_hints;
  options.multi_buffer =
      std::ranges::find(flags.without, "multi-buffer") == flags.without.end();
  return options;
}

}  // namespace sluice::app
