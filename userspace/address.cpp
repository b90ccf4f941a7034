// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>

#include <cerrno>
#include <charconv>
#include <sluice/address.hpp>

namespace sluice {
namespace {

// inet_pton wants a terminated text and takes nothing but canonical numbers.
bool parse_ip(int family, std::string_view text, void* address) {
  // An embedded zero would hide what follows it.
  if (text.find('\0') != std::string_view::npos) return false;
  return inet_pton(family, std::string(text).c_str(), address) == 1;
}

std::string ip_text(int family, const void* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(family, address, text.data(), text.size());
}

Error refused(const char* what, std::string_view text, const char* example) {
  return {EINVAL, what, "\"" + std::string(text) + "\"",
          std::string("Write it like ") + example};
}

}  // namespace

Result<MacAddress> MacAddress::parse(std::string_view text) {
  const auto error = [&] {
    return refused("MAC address", text, "02:00:00:00:00:0a");
  };
  MacAddress mac{};
  if (text.size() != 17) return error();
  for (std::size_t i = 0; i < 6; ++i) {
    const std::string_view digits = text.substr(i * 3, 2);
    const char* end = digits.data() + 2;
    const auto [stop, code] =
        std::from_chars(digits.data(), end, mac.bytes.at(i), 16);
    if (code != std::errc{} || stop != end) return error();
    if (i < 5 && text[i * 3 + 2] != ':') return error();
  }
  return mac;
}

std::string MacAddress::text() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    if (!text.empty()) text += ':';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Result<Ipv4Address> Ipv4Address::parse(std::string_view text) {
  Ipv4Address address{};
  if (!parse_ip(AF_INET, text, address.bytes.data())) {
    return refused("IPv4 address", text, "192.0.2.1");
  }
  return address;
}

std::string Ipv4Address::text() const { return ip_text(AF_INET, bytes.data()); }

Result<Ipv6Address> Ipv6Address::parse(std::string_view text) {
  Ipv6Address address{};
  if (!parse_ip(AF_INET6, text, address.bytes.data())) {
    return refused("IPv6 address", text, "2001:db8::1");
  }
  return address;
}

std::string Ipv6Address::text() const {
  return ip_text(AF_INET6, bytes.data());
}

}  // namespace sluice
