// SPDX-License-Identifier: Apache-2.0
// Source: scanner.l of libpcap 1.10.
#include "expression_words.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include <arpa/inet.h>

namespace sluice::language {
namespace {

using Named = std::pair<std::string_view, std::uint32_t>;

constexpr Named kConstants[] = {
    {"icmptype", 0},
    {"icmpcode", 1},
    {"icmp6type", 0},
    {"icmp6code", 1},
    {"tcpflags", 13},
    {"tcp-fin", 1},
    {"tcp-syn", 2},
    {"tcp-rst", 4},
    {"tcp-push", 8},
    {"tcp-ack", 16},
    {"tcp-urg", 32},
    {"tcp-ece", 64},
    {"tcp-cwr", 128},
    {"icmp-echoreply", 0},
    {"icmp-unreach", 3},
    {"icmp-sourcequench", 4},
    {"icmp-redirect", 5},
    {"icmp-echo", 8},
    {"icmp-routeradvert", 9},
    {"icmp-routersolicit", 10},
    {"icmp-timxceed", 11},
    {"icmp-paramprob", 12},
    {"icmp-tstamp", 13},
    {"icmp-tstampreply", 14},
    {"icmp-ireq", 15},
    {"icmp-ireqreply", 16},
    {"icmp-maskreq", 17},
    {"icmp-maskreply", 18},
    {"icmp6-destinationunreach", 1},
    {"icmp6-packettoobig", 2},
    {"icmp6-timeexceeded", 3},
    {"icmp6-parameterproblem", 4},
    {"icmp6-echo", 128},
    {"icmp6-echoreply", 129},
    {"icmp6-multicastlistenerquery", 130},
    {"icmp6-multicastlistenerreportv1", 131},
    {"icmp6-multicastlistenerdone", 132},
    {"icmp6-routersolicit", 133},
    {"icmp6-routeradvert", 134},
    {"icmp6-neighborsolicit", 135},
    {"icmp6-neighboradvert", 136},
    {"icmp6-redirect", 137},
    {"icmp6-routerrenum", 138},
    {"icmp6-nodeinformationquery", 139},
    {"icmp6-nodeinformationresponse", 140},
    {"icmp6-ineighbordiscoverysolicit", 141},
    {"icmp6-ineighbordiscoveryadvert", 142},
    {"icmp6-multicastlistenerreportv2", 143},
    {"icmp6-homeagentdiscoveryrequest", 144},
    {"icmp6-homeagentdiscoveryreply", 145},
    {"icmp6-mobileprefixsolicit", 146},
    {"icmp6-mobileprefixadvert", 147},
    {"icmp6-certpathsolicit", 148},
    {"icmp6-certpathadvert", 149},
    {"icmp6-multicastrouteradvert", 151},
    {"icmp6-multicastroutersolicit", 152},
    {"icmp6-multicastrouterterm", 153},
};

constexpr Named kIpProtocols[] = {
    {"icmp", 1}, {"igmp", 2}, {"tcp", 6},        {"udp", 17},  {"gre", 47},
    {"esp", 50}, {"ah", 51},  {"ipv6-icmp", 58}, {"pim", 103}, {"sctp", 132},
};

constexpr Named kEtherTypes[] = {
    {"ip", 0x0800}, {"arp", 0x0806}, {"rarp", 0x8035}, {"ip6", 0x86dd}};

constexpr std::string_view kKeywords[] = {
    "and",  "or",    "not",  "src",  "dst", "host", "net",  "port", "portrange",
    "mask", "proto", "arp",  "rarp", "ip",  "ip6",  "tcp",  "udp",  "sctp",
    "icmp", "icmp6", "igmp", "esp",  "ah",  "pim",  "vlan", "ether"};

constexpr std::string_view kUnsupported[] = {
    "link",       "ppp",         "slip",      "fddi",       "tr",
    "wlan",       "igrp",        "vrrp",      "carp",       "radio",
    "atalk",      "aarp",        "decnet",    "lat",        "sca",
    "moprc",      "mopdl",       "iso",       "esis",       "es-is",
    "isis",       "is-is",       "l1",        "l2",         "iih",
    "lsp",        "snp",         "csnp",      "psnp",       "clnp",
    "stp",        "ipx",         "netbeui",   "protochain", "gateway",
    "type",       "subtype",     "dir",       "direction",  "address1",
    "address2",   "address3",    "address4",  "addr1",      "addr2",
    "addr3",      "addr4",       "ra",        "ta",         "less",
    "greater",    "byte",        "broadcast", "multicast",  "len",
    "length",     "inbound",     "outbound",  "ifindex",    "mpls",
    "pppoed",     "pppoes",      "geneve",    "lane",       "llc",
    "metac",      "bcc",         "oam",       "oamf4",      "oamf4ec",
    "oamf4sc",    "sc",          "ilmic",     "vpi",        "vci",
    "connectmsg", "metaconnect", "on",        "ifname",     "rset",
    "ruleset",    "rnr",         "rulenum",   "srnr",       "subrulenum",
    "reason",     "action",      "fisu",      "lssu",       "lsu",
    "msu",        "hfisu",       "hlssu",     "hmsu",       "sio",
    "opc",        "dpc",         "sls",       "hsio",       "hopc",
    "hdpc",       "hsls"};

std::optional<std::uint32_t> look_up(std::span<const Named> names,
                                     std::string_view word) {
  const auto found = std::ranges::find(names, word, &Named::first);
  if (found == names.end()) return {};
  return found->second;
}

// inet_pton wants a terminated string; no address is longer than this.
bool read_address(std::string_view word, WrittenPrefix& out) {
  char text[INET6_ADDRSTRLEN + 1] = {};
  if (word.size() >= sizeof text || word.find('\0') != word.npos) return false;
  word.copy(text, word.size());
  out.ip6 = word.find(':') != word.npos;
  out.prefix.length = out.ip6 ? 128 : 32;
  return inet_pton(out.ip6 ? AF_INET6 : AF_INET, text,
                   out.prefix.address.data()) == 1;
}

}  // namespace

std::optional<std::uint32_t> number_of(std::string_view word) {
  int base = 10;
  if (word.starts_with("0x") || word.starts_with("0X")) {
    base = 16;
    word.remove_prefix(2);
  } else if (word.size() > 1 && word[0] == '0') {
    return {};
  }
  std::uint32_t number = 0;
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, number, base);
  if (error != std::errc{} || stop != end || word.empty()) return {};
  return number;
}

std::optional<NumberRange> range_of(std::string_view word) {
  const auto dash = word.find('-');
  const auto one = number_of(word.substr(0, dash));
  const auto other = dash == word.npos ? one : number_of(word.substr(dash + 1));
  if (!one || !other || *one > 65535 || *other > 65535) return {};
  return NumberRange{static_cast<std::uint16_t>(std::min(*one, *other)),
                     static_cast<std::uint16_t>(std::max(*one, *other))};
}

std::optional<WrittenPrefix> prefix_of(std::string_view word) {
  WrittenPrefix out;
  const auto slash = word.find('/');
  if (!read_address(word.substr(0, slash), out)) return {};
  if (slash == word.npos) return out;
  const auto length = number_of(word.substr(slash + 1));
  if (!length || *length > out.prefix.length) return {};
  out.slash = true;
  out.prefix.length = static_cast<std::uint8_t>(*length);
  for (std::size_t i = *length / 8; i < out.prefix.address.size(); ++i) {
    const std::size_t kept = i == *length / 8 ? *length % 8 : 0;
    const auto mask = static_cast<std::uint8_t>(0xff00 >> kept);
    const auto masked = static_cast<std::uint8_t>(out.prefix.address[i] & mask);
    out.host_bits |= masked != out.prefix.address[i];
    out.prefix.address[i] = masked;
  }
  return out;
}

std::optional<std::uint32_t> constant_of(std::string_view word) {
  return look_up(kConstants, word);
}

std::optional<std::uint32_t> ip_protocol_of(std::string_view name) {
  return look_up(kIpProtocols, name);
}

std::optional<std::uint32_t> ether_type_of(std::string_view name) {
  return look_up(kEtherTypes, name);
}

bool is_keyword(std::string_view word) {
  return std::ranges::find(kKeywords, word) != std::end(kKeywords);
}

bool is_unsupported(std::string_view word) {
  return std::ranges::find(kUnsupported, word) != std::end(kUnsupported);
}

}  // namespace sluice::language
