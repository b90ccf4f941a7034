// SPDX-License-Identifier: Apache-2.0
// traffic: sends verified packets through the kernel's sockets.
#include "traffic.hpp"

#include <sys/resource.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <string_view>

namespace traffic {
namespace {

constexpr std::string_view kUsage = R"(usage: traffic COMMAND [flags]

  udp        sends datagrams and checks every answer: source, sequence, payload
             --to A[,A...] --port P --count N --flows F --window W [--size B]
             [--patience S] [--timeout S] [--seed N]
             exit 0 only if every datagram was answered, once and right
  blast      sends datagrams at a steady rate and expects nothing back
             --to A[,A...] --port P --rate N --duration S --flows F [--size B]
  tcp-serve  takes one connection, reads it to its end, sends the sum back
             --bind A --port P [--receive-bytes B] [--timeout S]
  tcp-send   sends bytes to tcp-serve and compares the sums
             --to A --port P --bytes N[k|M|G] [--timeout S]

  --json     one JSON object instead of a sentence
  exit 0 all right, 1 something lost or wrong, 2 usage
)";

int usage_error(std::string_view what) {
  fmt::print(stderr, "traffic: {}; see --help\n", what);
  return 2;
}

std::optional<std::uint64_t> parse_count(std::string_view text) {
  std::uint64_t scale = 1;
  if (!text.empty()) {
    if (text.back() == 'k') scale = 1'000;
    if (text.back() == 'M') scale = 1'000'000;
    if (text.back() == 'G') scale = 1'000'000'000;
    if (scale > 1) text.remove_suffix(1);
  }
  std::uint64_t value = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  if (value > 1'000'000'000'000 / scale) return {};
  return value * scale;
}

template <class T>
bool set_count(T& out, std::string_view text, std::uint64_t least,
               std::uint64_t most) {
  auto value = parse_count(text);
  if (!value || *value < least || *value > most) return false;
  out = static_cast<T>(*value);
  return true;
}

bool set_seconds(double& out, std::string_view text) {
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && out > 0 &&
         out <= 3600;
}

bool set_list(std::vector<std::string>& out, std::string_view text) {
  out.clear();
  while (!text.empty()) {
    const auto comma = text.find(',');
    out.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
  }
  return !out.empty();
}

bool set_flag(Options& o, std::string_view flag, std::string_view value) {
  if (flag == "--to") return set_list(o.to, value);
  if (flag == "--bind") return o.bind = value, true;
  if (flag == "--port") return set_count(o.port, value, 1, 65535);
  if (flag == "--count") return set_count(o.count, value, 1, 50'000'000);
  if (flag == "--flows") return set_count(o.flows, value, 1, 4096);
  if (flag == "--window") return set_count(o.window, value, 1, 4096);
  if (flag == "--size") return set_count(o.size, value, sizeof(Tag), 65000);
  if (flag == "--bytes") return set_count(o.bytes, value, 1, 100'000'000'000);
  if (flag == "--rate") return set_count(o.rate, value, 1, 100'000'000);
  if (flag == "--receive-bytes")
    return set_count(o.receive_bytes, value, 2048, 1 << 30);
  if (flag == "--seed") return set_count(o.seed, value, 0, 1'000'000'000'000);
  if (flag == "--timeout") return set_seconds(o.timeout_s, value);
  if (flag == "--patience") return set_seconds(o.patience_s, value);
  return flag == "--duration" && set_seconds(o.duration_s, value);
}

// Every flow holds a descriptor; the usual soft limit is 1024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int run_command(int argc, char** argv) {
  if (argc < 2) return usage_error("a command is needed");
  const std::string_view command = argv[1];
  Options options;
  for (int i = 2; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--json") {
      options.json = true;
    } else if (i + 1 >= argc) {
      return usage_error(fmt::format("unknown or lone flag '{}'", flag));
    } else if (!set_flag(options, flag, argv[++i])) {
      return usage_error(fmt::format("bad '{} {}'", flag, argv[i]));
    }
  }
  raise_descriptor_limit();
  if (command == "tcp-serve") return run_tcp_serve(options);
  if (options.to.empty()) return usage_error("--to is needed");
  if (command == "udp") return run_udp(options);
  if (command == "blast") return run_blast(options);
  if (command == "tcp-send") return run_tcp_send(options);
  return usage_error(fmt::format("unknown command '{}'", command));
}

// splitmix64: every output is a function of its index alone.
std::uint64_t mix(std::uint64_t value) noexcept {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

bool Address::operator==(const Address& other) const noexcept {
  if (family() != other.family()) return false;
  if (family() == AF_INET) {
    const auto& a = reinterpret_cast<const sockaddr_in&>(storage);
    const auto& b = reinterpret_cast<const sockaddr_in&>(other.storage);
    return a.sin_port == b.sin_port && a.sin_addr.s_addr == b.sin_addr.s_addr;
  }
  const auto& a = reinterpret_cast<const sockaddr_in6&>(storage);
  const auto& b = reinterpret_cast<const sockaddr_in6&>(other.storage);
  return a.sin6_port == b.sin6_port &&
         std::memcmp(&a.sin6_addr, &b.sin6_addr, sizeof a.sin6_addr) == 0;
}

sluice::Result<Address> parse_address(const std::string& text,
                                      std::uint16_t port) {
  Address address;
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.size = sizeof v4;
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.size = sizeof v6;
  } else {
    return sluice::Error{EINVAL, "address", text,
                         "Give a numeric IPv4 or IPv6 address"};
  }
  return address;
}

sluice::Result<sluice::Fd> open_udp(int family) {
  sluice::Fd fd{::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd) {
    return sluice::Error::last("socket(SOCK_DGRAM)", {},
                               "Use fewer --flows, or raise ulimit -n");
  }
  Address any;
  any.storage.ss_family = static_cast<sa_family_t>(family);
  any.size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (::bind(fd.get(), any.get(), any.size) != 0)
    return sluice::Error::last("bind(SOCK_DGRAM)");
  return fd;
}

std::uint64_t now_ns() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

void fill(std::span<std::byte> bytes, std::uint64_t seed, std::uint64_t stream,
          std::uint64_t position) noexcept {
  const std::uint64_t base = mix(seed ^ mix(stream)) + position / 8;
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    const std::uint64_t word = mix(base + at / 8);
    std::memcpy(&bytes[at], &word, std::min<std::size_t>(8, bytes.size() - at));
  }
}

void write_payload(std::span<std::byte> payload, const Tag& tag,
                   std::uint64_t seed) noexcept {
  std::memcpy(payload.data(), &tag, sizeof tag);
  const auto stream = std::uint64_t{tag.flow} << 32 | tag.sequence;
  if (payload.size() > sizeof tag)
    fill(payload.subspan(sizeof tag), seed, stream, 0);
}

int failed(const sluice::Error& error) {
  fmt::print(stderr, "traffic: {}\n", error.message());
  return 1;
}

}  // namespace traffic

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--help" || flag == "-h") {
      std::fwrite(traffic::kUsage.data(), 1, traffic::kUsage.size(), stdout);
      return 0;
    }
  }
  return traffic::run_command(argc, argv);
}
