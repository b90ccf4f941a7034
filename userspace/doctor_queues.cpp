// SPDX-License-Identifier: Apache-2.0
// Which packet comes to which queue, and which CPU sees to it.
#include <algorithm>
#include <set>

#include "doctor_checks.hpp"

namespace sluice::checks {
namespace {

std::string text(std::uint64_t number) { return std::to_string(number); }

// How the driver counts RX queues: combined channels, or RX ones alone.
struct RxChannels {
  const char* key;
  std::uint32_t count, most;
};
std::optional<RxChannels> rx_channels(const Case& facts) {
  const auto& channels = facts.interface.channels;
  if (!channels) return {};
  if (channels->combined_max > 0) {
    return RxChannels{"combined", channels->combined, channels->combined_max};
  }
  if (channels->rx_max > 0) {
    return RxChannels{"rx", channels->rx, channels->rx_max};
  }
  return {};
}

Finding set_channels(const Case& facts, const char* id, Severity severity,
                     const RxChannels& channels, std::uint32_t count,
                     std::string sentence) {
  return {id,
          severity,
          {},
          std::move(sentence),
          "ethtool -L " + facts.name() + " " + channels.key + " " + text(count),
          {{facts.name(), "channels", channels.key, text(count)}}};
}

// ENA needs a TX queue of XDP's own for each channel, and has as many as it has
// channels at most. ixgbe takes a TX queue for each CPU.
// Source: ena_xdp_legal_queue_count(), ixgbe_xdp_setup() of Linux.
std::optional<Finding> channels_limit(const Case& facts) {
  const auto channels = rx_channels(facts);
  const std::string& driver = facts.interface.device.driver;
  if (!channels || facts.wanted.generic) return {};
  std::uint32_t most = channels->most;
  if (driver == "ena") {
    most = channels->most / 2;
  } else if (driver == "ixgbe") {
    const auto cpus = static_cast<std::uint32_t>(facts.host.cpus.size());
    most = channels->most > cpus ? channels->most - cpus : 1;
  }
  if (channels->count <= most || most == 0) return {};
  return set_channels(facts, "channels-limit", Severity::error, *channels, most,
                      facts.name() + " has " + text(channels->count) +
                          " channels, and with XDP the driver " + driver +
                          " takes " + text(most) + " at most");
}

// A veth has XDP as long as its peer has no more TX queues than it has RX
// queues: the peer's must go first. Source: veth_set_xdp_features() of Linux.
void change_both_ends(const Case& facts, Finding& finding) {
  const std::string& peer = facts.interface.lower;
  const std::string count = finding.fix.front().value;
  finding.remedy = "ethtool -L " + (peer.empty() ? "PEER" : peer) + " tx " +
                   count + "; " + finding.remedy;
  if (peer.empty()) {
    finding.fix.clear();
  } else {
    finding.fix.insert(finding.fix.begin(), {peer, "channels", "tx", count});
  }
}

std::optional<Finding> channels(const Case& facts) {
  const auto channels = rx_channels(facts);
  if (!channels || !facts.wanted.queues.empty()) return {};
  const auto cpus = static_cast<std::uint32_t>(facts.wanted.cpus.empty()
                                                   ? facts.host.allowed.size()
                                                   : facts.wanted.cpus.size());
  if (cpus == 0) return {};
  if (channels->count > cpus) {
    Finding finding = set_channels(
        facts, "channels", Severity::warning, *channels, cpus,
        facts.name() + " has " + text(channels->count) + " queues for " +
            text(cpus) + " cpus: pollers share cpus");
    if (facts.interface.kind == "veth") change_both_ends(facts, finding);
    return finding;
  }
  const std::uint32_t could = std::min(cpus, channels->most);
  if (channels->count >= could) return {};
  return set_channels(facts, "channels", Severity::advice, *channels, could,
                      facts.name() + " has " + text(channels->count) +
                          " queues, and could have " + text(could) +
                          ", a cpu for each");
}

bool is_served(const Case& facts, std::uint32_t queue) {
  return std::ranges::find(facts.queues, static_cast<int>(queue)) !=
         facts.queues.end();
}

Setting table_over(const Case& facts, const std::vector<int>& queues) {
  std::string table;
  for (std::size_t i = 0; i < facts.interface.rss.size(); ++i) {
    table += (i == 0 ? "" : " ") + std::to_string(queues[i % queues.size()]);
  }
  return {facts.name(), "rss", "table", table};
}

std::optional<Finding> rss_coverage(const Case& facts) {
  const auto& table = facts.interface.rss;
  const auto reached = static_cast<std::size_t>(std::ranges::count_if(
      table, [&](std::uint32_t queue) { return is_served(facts, queue); }));
  if (facts.wanted.rss == Rss::dedicated || table.empty() ||
      facts.queues.empty() || reached == table.size()) {
    return {};
  }
  Finding finding{"rss",
                  Severity::warning,
                  {},
                  text(reached) + " of " + text(table.size()) + " entries of " +
                      facts.name() +
                      "'s RSS table lead to the queues served (" +
                      joined(facts.queues) +
                      "): the others' packets pass, and are not steered",
                  "--queues all, or --rss spread",
                  {}};
  if (facts.wanted.rss == Rss::spread) {
    finding.fix.push_back(table_over(facts, facts.queues));
  }
  return finding;
}

// A table without RSS, and queues that are not served.
std::optional<Finding> no_rss(const Case& facts) {
  const std::uint32_t has = facts.interface.device.rx_queues;
  if (!facts.interface.rss.empty() || facts.queues.size() >= has) return {};
  return Finding{"rss",
                 Severity::warning,
                 {},
                 text(facts.queues.size()) + " of " + text(has) +
                     " queues are served, and " + facts.name() +
                     " has no RSS table that would keep packets off the others",
                 "--queues all, or fewer queues: ethtool -L",
                 {}};
}

std::optional<Finding> rss_hash(const Case& facts) {
  const std::string& hash = facts.interface.udp_hash;
  if (hash.empty() || facts.interface.device.rx_queues < 2 ||
      hash.find('f') != std::string::npos ||
      hash.find('n') != std::string::npos) {
    return {};
  }
  return Finding{
      "rss-hash",
      Severity::advice,
      {},
      "the NIC hashes UDP by addresses alone (" + hash +
          "): all datagrams between two hosts come to one queue",
      "ethtool -N " + facts.name() +
          " rx-flow-hash udp4 sdfn (fragments of one datagram may then come to "
          "two queues)",
      {{facts.name(), "hash", "udp4", "sdfn"}}};
}

// What --rss dedicated would make of the interface.
struct Dedicated {
  std::vector<int> others;  // Queues for what is not steered.
  Flows flows;
  std::vector<Setting> missing;  // Rules that are not there yet.
  bool fits = true;
};

bool is_there(const Case& facts, const std::string& rule) {
  return std::ranges::find(facts.interface.flow_rules, rule, &FlowRule::rule) !=
         facts.interface.flow_rules.end();
}

// Locations are taken from the end: what is asked first is left to others.
void find_places(const Case& facts, Dedicated& wanted) {
  std::set<std::uint32_t> taken;
  for (const FlowRule& each : facts.interface.flow_rules) {
    taken.insert(each.location);
  }
  std::uint32_t location = facts.interface.flow_rules_max;
  for (const std::string& rule : wanted.flows.rules) {
    if (is_there(facts, rule)) continue;
    while (location > 0 && taken.contains(location - 1)) --location;
    wanted.fits = location > 0;
    if (!wanted.fits) return;
    wanted.missing.push_back({facts.name(), "flow", text(--location), rule});
  }
}

Dedicated dedicated(const Case& facts) {
  Dedicated wanted;
  const std::uint32_t queues = facts.interface.device.rx_queues;
  for (std::uint32_t q = 0; !facts.interface.rss.empty() && q < queues; ++q) {
    if (!is_served(facts, q)) wanted.others.push_back(static_cast<int>(q));
  }
  wanted.flows = flows_of(facts.wanted.rules, facts.queues);
  find_places(facts, wanted);
  return wanted;
}

std::optional<Finding> flow_rules(const Case& facts) {
  std::vector<std::string> own;
  if (facts.wanted.rss == Rss::dedicated) own = dedicated(facts).flows.rules;
  const auto others = std::ranges::count_if(
      facts.interface.flow_rules, [&](const FlowRule& each) {
        return std::ranges::find(own, each.rule) == own.end();
      });
  if (others == 0) return {};
  return Finding{"flow-rules",
                 Severity::advice,
                 {},
                 facts.name() + " has " + std::to_string(others) +
                     " ntuple rules: what they match goes to their queues, "
                     "whatever the RSS table says",
                 "ethtool -n " + facts.name() + " lists them",
                 {}};
}

// --rss dedicated: everything to the other queues but for what is steered.
std::optional<Finding> ntuple(const Case& facts) {
  if (facts.wanted.rss != Rss::dedicated) return {};
  const Dedicated wanted = dedicated(facts);
  Finding finding{
      "ntuple", Severity::error, {}, {}, "--rss spread, or --rss keep", {}};
  if (wanted.others.empty()) {
    finding.sentence = "no queue of " + facts.name() +
                       " is left for what is not steered: all are served, or "
                       "there is no RSS table";
    finding.remedy = "--queues, with some of the queues";
    return finding;
  }
  if (!wanted.flows.impossible.empty() || wanted.flows.rules.empty()) {
    finding.sentence = "no ntuple rule can say what is steered: " +
                       joined(wanted.flows.impossible);
    return finding;
  }
  const bool has = facts.has("rx-ntuple-filter");
  if (!has && !facts.can_change("rx-ntuple-filter")) {
    finding.sentence = facts.name() + " takes no ntuple rules";
    return finding;
  }
  if (!wanted.fits) {
    finding.sentence = facts.name() + " has no room for " +
                       text(wanted.flows.rules.size()) + " ntuple rules";
    return finding;
  }
  if (!has) {
    finding.fix.push_back({facts.name(), "feature", "rx-ntuple-filter", "on"});
  }
  if (std::ranges::any_of(facts.interface.rss, [&](std::uint32_t queue) {
        return is_served(facts, queue);
      })) {
    finding.fix.push_back(table_over(facts, wanted.others));
  }
  finding.fix.insert(finding.fix.end(), wanted.missing.begin(),
                     wanted.missing.end());
  if (finding.fix.empty()) return {};
  finding.severity = Severity::warning;
  finding.sentence = "queues " + joined(facts.queues) + " of " + facts.name() +
                     " are not the steered flows' alone";
  finding.remedy = "--fix, or of a run: --prepare";
  return finding;
}

// Where the interrupt of a poller's queue belongs: to its CPU, as then nothing
// moves between caches; beside it if it spins, as it would be held up there.
int cpu_beside(const Case& facts, int poller) {
  if (!facts.wanted.spin) return poller;
  const CpuFacts* own = find_cpu(facts.host, poller);
  int best = poller;
  for (const CpuFacts& each : facts.host.cpus) {
    const bool polls =
        std::ranges::find(facts.cpus, each.number) != facts.cpus.end();
    if (polls || (own != nullptr && each.node != own->node)) continue;
    best = each.number;
    if (own == nullptr ||
        std::ranges::find(own->siblings, each.number) == own->siblings.end()) {
      break;  // A thread of the same core is the second choice.
    }
  }
  return best;
}

std::optional<Finding> irq_affinity(const Case& facts) {
  Finding finding{"irq-affinity", Severity::warning, {}, {}, {}, {}};
  std::vector<std::string> wrong;
  for (const Interrupt& each : facts.interface.interrupts) {
    const auto served =
        std::ranges::find(facts.queues, static_cast<int>(each.queue));
    const auto at = static_cast<std::size_t>(served - facts.queues.begin());
    if (served == facts.queues.end() || at >= facts.cpus.size()) continue;
    const int cpu = cpu_beside(facts, facts.cpus[at]);
    if (each.cpus == std::vector{cpu}) continue;
    wrong.push_back("queue " + text(each.queue) + "'s (" + text(each.number) +
                    ") on cpus " + joined(each.cpus) + " instead of " +
                    std::to_string(cpu));
    finding.remedy += (finding.remedy.empty() ? "" : "; ") + std::string() +
                      "echo " + std::to_string(cpu) + " > /proc/irq/" +
                      text(each.number) + "/smp_affinity_list";
    finding.fix.push_back({{}, "irq", text(each.number), std::to_string(cpu)});
  }
  if (wrong.empty()) return {};
  finding.sentence =
      "interrupts of " + facts.name() +
      " are taken elsewhere than beside their pollers: " + joined(wrong);
  return finding;
}

// Calls of user space that move packets are of use where interrupts do not
// move them before. Source: Documentation/networking/napi.rst.
std::optional<Finding> busy_poll(const Case& facts) {
  if (!facts.wanted.busy_poll) return {};
  const InterruptDeferral now =
      facts.interface.deferral.value_or(InterruptDeferral());
  Finding finding{
      "busy-poll",
      Severity::warning,
      {},
      "queues of " + facts.name() + " are to be busy-polled, and " +
          (facts.interface.deferral ? "its interrupts are not held back"
                                    : "/sys does not tell whether its "
                                      "interrupts are held back") +
          ": packets are moved on the CPUs that take them",
      {},
      {}};
  const auto set = [&](const char* key, const char* file, const char* value) {
    finding.remedy += (finding.remedy.empty() ? "echo " : "; echo ") +
                      std::string(value) + " > /sys/class/net/" + facts.name() +
                      "/" + file;
    finding.fix.push_back({facts.name(), "napi", key, value});
  };
  if (now.defer_hard_irqs == 0) {
    set("defer-hard-irqs", "napi_defer_hard_irqs", "2");
  }
  if (now.gro_flush_timeout_ns == 0) {
    set("gro-flush-timeout", "gro_flush_timeout", "200000");
  }
  if (finding.fix.empty()) return {};
  return finding;
}

std::optional<Finding> numa(const Case& facts) {
  if (facts.interface.node < 0) return {};
  std::vector<int> far;
  for (const int cpu : facts.cpus) {
    const CpuFacts* own = find_cpu(facts.host, cpu);
    if (own != nullptr && own->node >= 0 && own->node != facts.interface.node) {
      far.push_back(cpu);
    }
  }
  if (far.empty()) return {};
  std::vector<int> near;
  for (const CpuFacts& each : facts.host.cpus) {
    if (each.node == facts.interface.node) near.push_back(each.number);
  }
  const std::string node = std::to_string(facts.interface.node);
  return Finding{
      "numa",
      Severity::warning,
      {},
      facts.name() + " is at NUMA node " + node + ", away from cpus " +
          joined(far) + ": each packet crosses between nodes",
      near.empty() ? "another slot for the NIC: node " + node + " has no CPU"
                   : "--cpus, with those of node " + node + ": " + joined(near),
      {}};
}

}  // namespace

std::vector<Check> queue_checks() {
  return {channels_limit, channels, rss_coverage, no_rss,    rss_hash,
          flow_rules,     ntuple,   irq_affinity, busy_poll, numa};
}

}  // namespace sluice::checks
