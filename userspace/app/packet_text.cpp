// SPDX-License-Identifier: Apache-2.0
#include "packet_text.hpp"

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>
#include <sluice/address.hpp>
#include <sluice/testing/frame.hpp>
#include <sstream>
#include <string_view>

namespace sluice::app {
namespace {

using testing::Frame;

struct End {
  std::string address;
  bool ipv6 = false;
  std::uint16_t port = 0;
};

std::optional<std::uint16_t> number_of(std::string_view text, unsigned most) {
  unsigned number = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc() || end != last || number > most) return {};
  return static_cast<std::uint16_t>(number);
}

std::optional<End> address_of(const std::string& text) {
  if (Ipv4Address::parse(text)) return End{text, false, 0};
  if (Ipv6Address::parse(text)) return End{text, true, 0};
  return {};
}

std::optional<End> address_and_port(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return {};
  std::string address = text.substr(0, colon);
  const bool brackets = address.starts_with('[') && address.ends_with(']');
  if (brackets) address = address.substr(1, address.size() - 2);
  auto end = address_of(address);
  const auto port = number_of(std::string_view(text).substr(colon + 1), 65535);
  if (!end || !port || end->ipv6 != brackets) return {};
  end->port = *port;
  return end;
}

// What is behind the Ethernet header and its tags; false: there is no such.
bool add_packet(Frame& frame, const std::string& kind, const End& from,
                const End& to) {
  if (kind == "arp") {
    if (from.ipv6) return false;
    frame.arp(1, from.address, to.address);
    return true;
  }
  if (from.ipv6 ? kind == "icmp" : kind == "icmp6") return false;
  if (from.ipv6) {
    frame.ipv6(from.address, to.address);
  } else {
    frame.ipv4(from.address, to.address);
  }
  if (kind == "udp") frame.udp(from.port, to.port);
  if (kind == "tcp") frame.tcp(from.port, to.port);
  if (kind == "sctp") frame.sctp(from.port, to.port);
  if (kind == "icmp") frame.icmp(8);
  if (kind == "icmp6") frame.icmp6(128);
  return true;
}

}  // namespace

bool is_packet_text(const std::string& text) {
  return text.find('>') != std::string::npos;
}

Result<std::vector<std::byte>> packet_of(const std::string& text) {
  const Error wrong{EINVAL, "packet", "'" + text + "'",
                    "Write it like 'udp 192.0.2.1:5 > 10.0.0.1:53', "
                    "'tcp [2001:db8::1]:5 > [2001:db8::2]:80' or 'vlan 7 icmp "
                    "192.0.2.1 > 10.0.0.1'; also sctp, icmp6, arp."};
  std::istringstream words(text);
  Frame frame;
  frame.eth();
  std::string kind;
  words >> kind;
  for (; kind == "vlan"; words >> kind) {
    std::string id;
    words >> id;
    const auto number = number_of(id, 4095);
    if (!number) return wrong;
    frame.vlan(*number);
    kind.clear();
  }
  const bool ports = kind == "udp" || kind == "tcp" || kind == "sctp";
  if (!ports && kind != "icmp" && kind != "icmp6" && kind != "arp") {
    return wrong;
  }
  std::string source, arrow, destination, rest;
  words >> source >> arrow >> destination >> rest;
  const auto from = ports ? address_and_port(source) : address_of(source);
  const auto to =
      ports ? address_and_port(destination) : address_of(destination);
  if (!from || !to || from->ipv6 != to->ipv6 || arrow != ">" || !rest.empty() ||
      !add_packet(frame, kind, *from, *to)) {
    return wrong;
  }
  return frame.bytes();
}

}  // namespace sluice::app
