// SPDX-License-Identifier: Apache-2.0
// What the NIC, or the other end of a veth, does to packets.
#include <algorithm>
#include <sluice/packet.hpp>

#include "doctor_checks.hpp"

namespace sluice::checks {
namespace {

constexpr std::uint32_t kUsecsMax = 50;
constexpr std::uint32_t kUsecsGood = 10;

bool looks_at_vlan(const Expression& expression) {
  if (expression.kind == Expression::Kind::primitive) {
    return expression.primitive.kind == Primitive::Kind::vlan;
  }
  return std::ranges::any_of(expression.operands, looks_at_vlan);
}

bool looks_at_vlan(const Rules& rules) {
  return std::ranges::any_of(
      rules.list(), [](const Rule& rule) { return looks_at_vlan(rule.match); });
}

Setting switched(const std::string& interface, const char* feature, bool on) {
  return {interface, "feature", feature, on ? "on" : "off"};
}

std::optional<Finding> vlan_stripping(const Case& facts) {
  constexpr const char* kFeature = "rx-vlan-hw-parse";
  if (!facts.has(kFeature)) return {};
  const bool matters = looks_at_vlan(facts.wanted.rules);
  Finding finding{"vlan-stripping",
                  matters ? Severity::warning : Severity::advice,
                  {},
                  facts.name() +
                      " takes VLAN tags out of packets before the XDP program "
                      "sees them: rules that say `vlan` match nothing",
                  "ethtool -K " + facts.name() + " rxvlan off",
                  {}};
  if (facts.can_change(kFeature)) {
    finding.fix.push_back(switched(facts.name(), kFeature, false));
  }
  return finding;
}

std::optional<Finding> lro(const Case& facts) {
  Finding finding{"lro",
                  Severity::warning,
                  {},
                  facts.name() +
                      " joins packets before XDP sees them, which drivers "
                      "refuse, or packets become larger than a frame",
                  {},
                  {}};
  for (const char* feature : {"rx-lro", "rx-gro-hw"}) {
    if (!facts.has(feature)) continue;
    finding.remedy += (finding.remedy.empty() ? "" : "; ") + std::string() +
                      "ethtool -K " + facts.name() + " " + feature + " off";
    if (facts.can_change(feature)) {
      finding.fix.push_back(switched(facts.name(), feature, false));
    }
  }
  if (finding.remedy.empty()) return {};
  return finding;
}

// --- A veth: the peer is the NIC --------------------------------------------

bool peer_has(const Case& facts, const char* feature) {
  return facts.interface.peer_features.contains(feature);
}

std::optional<Finding> of_peer(const Case& facts, const char* id,
                               std::vector<Setting> fix,
                               const std::string& sentence) {
  if (facts.interface.peer_features.empty() || fix.empty()) return {};
  std::string remedy = "ethtool -K " + facts.interface.lower;
  for (const Setting& each : fix) remedy += " " + each.key + " " + each.value;
  return Finding{
      id,     Severity::warning,
      {},     facts.name() + "'s peer " + facts.interface.lower + sentence,
      remedy, std::move(fix)};
}

std::optional<Finding> checksum(const Case& facts) {
  std::vector<Setting> fix;
  for (const char* feature : {"tx-checksum-ip-generic", "tx-checksum-sctp"}) {
    if (!peer_has(facts, feature)) continue;
    fix.push_back(switched(facts.interface.lower, feature, false));
  }
  return of_peer(facts, "checksum", std::move(fix),
                 " sends packets whose checksums are not filled in: handlers "
                 "see wrong ones");
}

std::optional<Finding> segmentation(const Case& facts) {
  std::vector<Setting> fix;
  for (const char* feature :
       {"tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-udp-segmentation",
        "tx-generic-segmentation"}) {
    if (!peer_has(facts, feature)) continue;
    fix.push_back(switched(facts.interface.lower, feature, false));
  }
  return of_peer(facts, "segmentation", std::move(fix),
                 " sends packets of up to 64 KiB (TSO, GSO): larger than the "
                 "MTU, and than frames");
}

std::optional<Finding> veth_gro(const Case& facts) {
  if (facts.interface.peer_features.empty() || peer_has(facts, "rx-gro")) {
    return {};
  }
  return of_peer(facts, "veth-gro",
                 {switched(facts.interface.lower, "rx-gro", true)},
                 " has no GRO, and so no NAPI: what `reflect` rules and bypass "
                 "send back is lost");
}

std::optional<Finding> veth_peer(const Case& facts) {
  if (facts.interface.kind != "veth" || !facts.interface.lower.empty()) {
    return {};
  }
  return Finding{"veth-peer",
                 Severity::advice,
                 {},
                 facts.name() +
                     " is a veth whose peer is in another network namespace: "
                     "that its checksums and segments are finished can't be "
                     "seen from here",
                 "there: ethtool -K PEER tx off tso off gso off gro on",
                 {}};
}

// --- Sizes and times --------------------------------------------------------

std::optional<Finding> mtu(const Case& facts) {
  const std::uint32_t room = Packet::mtu_of(facts.wanted.frame_size);
  const std::uint32_t now = facts.interface.device.mtu;
  if (now <= room) return {};
  const auto& xdp = facts.interface.xdp;
  const bool takes = xdp && xdp->multi_buffer() && !facts.wanted.generic;
  return Finding{
      "mtu",
      takes ? Severity::advice : Severity::warning,
      {},
      facts.name() + "'s MTU of " + std::to_string(now) +
          " is more than a frame's " + std::to_string(room) +
          (takes ? ": large packets come in segments, and zero-copy may not be "
                   "had"
                 : ", and the driver has no multi-buffer: it refuses, or large "
                   "packets are lost"),
      "ip link set dev " + facts.name() + " mtu " + std::to_string(room) +
          (facts.wanted.frame_size < 4096 ? ", or --frame-size 4096" : ""),
      {{facts.name(), "mtu", "bytes", std::to_string(room)}}};
}

std::optional<Finding> coalescing(const Case& facts) {
  const auto& now = facts.interface.coalescing;
  if (!now || (!now->adaptive_rx && now->rx_usecs <= kUsecsMax)) return {};
  Finding finding{
      "coalescing",
      Severity::advice,
      {},
      facts.name() +
          (now->adaptive_rx ? std::string(" decides by itself how long")
                            : " waits up to " + std::to_string(now->rx_usecs) +
                                  " us, if no more packets come,") +
          " to hold packets back: good for throughput, bad for "
          "latency",
      "ethtool -C " + facts.name(),
      {}};
  if (now->adaptive_rx) {
    finding.remedy += " adaptive-rx off";
    finding.fix.push_back({facts.name(), "coalesce", "adaptive-rx", "off"});
  }
  if (now->rx_usecs > kUsecsMax) {
    finding.remedy += " rx-usecs " + std::to_string(kUsecsGood);
    finding.fix.push_back(
        {facts.name(), "coalesce", "rx-usecs", std::to_string(kUsecsGood)});
  }
  return finding;
}

}  // namespace

std::vector<Check> offload_checks() {
  return {vlan_stripping, lro,       checksum, segmentation,
          veth_gro,       veth_peer, mtu,      coalescing};
}

}  // namespace sluice::checks
