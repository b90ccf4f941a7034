// SPDX-License-Identifier: Apache-2.0
// Where the NIC puts which flow: the RSS table, its hash, and ntuple rules.
// By ioctl: netlink can set none of them before Linux 6.17, and ntuple rules
// not at all. Source: include/uapi/linux/ethtool.h.
#include <arpa/inet.h>
#include <linux/ethtool.h>

#include <cerrno>
#include <charconv>
#include <sstream>

#include "host_ethtool.hpp"
#include "netdev_query.hpp"

namespace sluice {
namespace {

struct FlowType {
  const char* name;
  std::uint32_t type;
};
constexpr FlowType kFlowTypes[] = {
    {"tcp4", TCP_V4_FLOW}, {"udp4", UDP_V4_FLOW},   {"tcp6", TCP_V6_FLOW},
    {"udp6", UDP_V6_FLOW}, {"sctp4", SCTP_V4_FLOW}, {"sctp6", SCTP_V6_FLOW},
    {"ether", ETHER_FLOW},
};

std::optional<std::uint32_t> type_of(const std::string& name) {
  for (const FlowType& each : kFlowTypes) {
    if (name == each.name) return each.type;
  }
  return std::nullopt;
}

struct HashField {
  char letter;
  std::uint64_t bit;
};
constexpr HashField kHashFields[] = {
    {'s', RXH_IP_SRC},   {'d', RXH_IP_DST}, {'f', RXH_L4_B_0_1},
    {'n', RXH_L4_B_2_3}, {'v', RXH_VLAN},   {'m', RXH_L2DA},
    {'t', RXH_L3_PROTO},
};

Error unknown(const char* what, const std::string& value) {
  return {EINVAL, what, "'" + value + "'", {}};
}

bool is_table(const std::string& interface,
              const std::vector<std::uint32_t>& table) {
  return rss_table(interface) == table;
}

// Ports lie at the same places for TCP, UDP and SCTP, and for IPv6 in a struct
// of its own.
struct Fields {
  __be16* source;
  __be16* destination;
};
Fields ports_of(std::uint32_t type, ethtool_flow_union& flow) {
  if (type == TCP_V6_FLOW || type == UDP_V6_FLOW || type == SCTP_V6_FLOW) {
    return {&flow.udp_ip6_spec.psrc, &flow.udp_ip6_spec.pdst};
  }
  return {&flow.udp_ip4_spec.psrc, &flow.udp_ip4_spec.pdst};
}

// "udp4 dst-port 53 queue 2", "ether proto 2054 queue 1"
Result<ethtool_rx_flow_spec> spec_of(const std::string& rule) {
  std::istringstream words(rule);
  std::string word;
  words >> word;
  const auto type = type_of(word);
  if (!type) return unknown("flow", rule);
  ethtool_rx_flow_spec spec{};
  spec.flow_type = *type;
  const Fields value = ports_of(*type, spec.h_u);
  const Fields mask = ports_of(*type, spec.m_u);
  while (words >> word) {
    std::uint32_t number = 0;
    if (!(words >> number)) return unknown("flow", rule);
    const auto wire = htons(static_cast<std::uint16_t>(number));
    if (word == "queue") {
      spec.ring_cookie = number;
    } else if (word == "proto" && *type == ETHER_FLOW) {
      spec.h_u.ether_spec.h_proto = wire;
      spec.m_u.ether_spec.h_proto = 0xffff;
    } else if (word == "src-port" && *type != ETHER_FLOW) {
      *value.source = wire;
      *mask.source = 0xffff;
    } else if (word == "dst-port" && *type != ETHER_FLOW) {
      *value.destination = wire;
      *mask.destination = 0xffff;
    } else {
      return unknown("flow", rule);
    }
  }
  return spec;
}

std::string text_of(ethtool_rx_flow_spec spec) {
  const std::uint32_t type = spec.flow_type & ~(FLOW_EXT | FLOW_MAC_EXT);
  std::string text = "type " + std::to_string(type);
  for (const FlowType& each : kFlowTypes) {
    if (type == each.type) text = each.name;
  }
  const auto add = [&](const char* name, __be16 wire, __be16 mask) {
    if (mask != 0) text += name + std::to_string(ntohs(wire));
  };
  if (type == ETHER_FLOW) {
    add(" proto ", spec.h_u.ether_spec.h_proto, spec.m_u.ether_spec.h_proto);
  } else {
    const Fields value = ports_of(type, spec.h_u);
    const Fields mask = ports_of(type, spec.m_u);
    add(" src-port ", *value.source, *mask.source);
    add(" dst-port ", *value.destination, *mask.destination);
  }
  return text + " queue " + std::to_string(spec.ring_cookie);
}

}  // namespace

Result<void> set_rss_table(const std::string& interface,
                           const std::vector<std::uint32_t>& table) {
  Query query(interface);
  std::vector<std::uint32_t> command(2 + table.size());
  command[0] = ETHTOOL_SRXFHINDIR;
  if (query.ethtool(command.data()) && is_table(interface, table)) return {};
  command[1] = static_cast<std::uint32_t>(table.size());
  std::copy(table.begin(), table.end(), command.begin() + 2);
  if (query.ethtool(command.data())) return {};
  return Error::last("ioctl(ETHTOOL_SRXFHINDIR)", interface,
                     "The driver may have no RSS table that can be set, or "
                     "fewer queues");
}

Result<std::string> hash_fields(const std::string& interface,
                                const std::string& flow) {
  const auto type = type_of(flow);
  if (!type) return unknown("hash", flow);
  Query query(interface);
  ethtool_rxnfc command{};
  command.cmd = ETHTOOL_GRXFH;
  command.flow_type = *type;
  if (!query.ethtool(&command)) {
    return Error::last("ioctl(ETHTOOL_GRXFH)", interface + " " + flow);
  }
  std::string letters;
  for (const HashField& each : kHashFields) {
    if ((command.data & each.bit) != 0) letters += each.letter;
  }
  return letters.empty() ? "none" : letters;
}

Result<void> set_hash_fields(const std::string& interface,
                             const std::string& flow,
                             const std::string& letters) {
  const auto type = type_of(flow);
  if (!type) return unknown("hash", flow);
  ethtool_rxnfc command{};
  command.cmd = ETHTOOL_SRXFH;
  command.flow_type = *type;
  for (const HashField& each : kHashFields) {
    if (letters != "none" && letters.find(each.letter) != std::string::npos) {
      command.data |= each.bit;
    }
  }
  Query query(interface);
  if (query.ethtool(&command)) return {};
  return Error::last("ioctl(ETHTOOL_SRXFH)", interface + " " + flow);
}

Result<std::string> flow_rule(const std::string& interface,
                              std::uint32_t location) {
  Query query(interface);
  ethtool_rxnfc command{};
  command.cmd = ETHTOOL_GRXCLSRULE;
  command.fs.location = location;
  if (query.ethtool(&command)) return text_of(command.fs);
  if (errno == ENOENT || errno == EINVAL) return std::string("none");
  return Error::last("ioctl(ETHTOOL_GRXCLSRULE)", interface);
}

FlowTable flow_table(const std::string& interface) {
  Query query(interface);
  ethtool_rxnfc count{};
  count.cmd = ETHTOOL_GRXCLSRLCNT;
  if (!query.ethtool(&count)) return {};
  FlowTable table;
  // The size of the table is told by ETHTOOL_GRXCLSRLALL, in `data`.
  std::vector<std::uint64_t> memory(
      (sizeof(ethtool_rxnfc) + count.rule_cnt * sizeof(std::uint32_t)) / 8 + 1);
  auto* all = reinterpret_cast<ethtool_rxnfc*>(memory.data());
  all->cmd = ETHTOOL_GRXCLSRLALL;
  all->rule_cnt = count.rule_cnt;
  if (!query.ethtool(all)) return {};
  table.most = static_cast<std::uint32_t>(all->data);
  for (std::uint32_t i = 0; i < all->rule_cnt; ++i) {
    const std::uint32_t location = all->rule_locs[i];
    if (auto rule = flow_rule(interface, location)) {
      table.rules.push_back({location, std::move(*rule)});
    }
  }
  return table;
}

Result<void> set_flow_rule(const std::string& interface, std::uint32_t location,
                           const std::string& rule) {
  ethtool_rxnfc command{};
  command.cmd = ETHTOOL_SRXCLSRLDEL;
  if (rule != "none") {
    auto spec = spec_of(rule);
    if (!spec) return spec.error();
    command.cmd = ETHTOOL_SRXCLSRLINS;
    command.fs = *spec;
  }
  command.fs.location = location;
  Query query(interface);
  if (query.ethtool(&command)) return {};
  return Error::last("ioctl(ETHTOOL_SRXCLSRL)", interface + " " + rule,
                     "The driver can't match such flows; choose --rss spread");
}

}  // namespace sluice
