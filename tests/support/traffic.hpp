// SPDX-License-Identifier: Apache-2.0
// traffic: what the parts of the traffic program share.
//
// The program plays the hosts around a handler: it sends verified datagrams
// and verified bytes through the kernel's own sockets, and counts what comes
// back. Everything is bounded in count and in time, and nothing spins.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <sluice/result.hpp>
#include <sluice/sys.hpp>
#include <span>
#include <string>
#include <vector>

namespace traffic {

/// What the flags say. A command reads those that concern it.
struct Options {
  std::vector<std::string> to;      ///< Numeric IPv4 or IPv6 addresses.
  std::string bind = "0.0.0.0";     ///< Address that tcp-serve listens on.
  std::uint16_t port = 7;           ///< Of the peer, or to listen on.
  std::uint64_t count = 1000;       ///< Datagrams in total.
  std::uint32_t flows = 1;          ///< Source ports in use.
  std::uint32_t window = 64;        ///< Datagrams in flight, at most, in total.
  std::uint32_t size = 64;          ///< Payload of a datagram, in bytes.
  std::uint64_t bytes = 1'000'000;  ///< That tcp-send moves.
  std::uint64_t rate = 1000;        ///< Datagrams a second, for blast.
  std::uint32_t receive_bytes = 0;  ///< SO_RCVBUF of tcp-serve; 0: default.
  std::uint64_t seed = 1;           ///< Of the payloads.
  double timeout_s = 30;            ///< For the whole run.
  double patience_s = 1;            ///< After which a datagram is lost.
  double duration_s = 1;            ///< Of blast.
  bool json = false;                ///< One JSON object instead of a sentence.
};

/// An address that a socket can be bound to or send to.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] sockaddr* get() noexcept {
    return reinterpret_cast<sockaddr*>(&storage);
  }
  [[nodiscard]] int family() const noexcept { return storage.ss_family; }
  /// Same family, address and port.
  [[nodiscard]] bool operator==(const Address& other) const noexcept;
};

/// `text`: a numeric IPv4 or IPv6 address. `port`: in host order.
sluice::Result<Address> parse_address(const std::string& text,
                                      std::uint16_t port);

/// A socket bound to any address of `family` and a free port.
sluice::Result<sluice::Fd> open_udp(int family);

/// CLOCK_MONOTONIC, in nanoseconds.
[[nodiscard]] std::uint64_t now_ns() noexcept;

/// What every datagram starts with; the rest is `fill`ed.
struct Tag {
  std::uint32_t flow = 0;
  std::uint32_t sequence = 0;
};

/// Writes the pseudo-random bytes that belong to (seed, stream, position).
/// `position`: of the first byte within its stream, a multiple of 8.
void fill(std::span<std::byte> bytes, std::uint64_t seed, std::uint64_t stream,
          std::uint64_t position) noexcept;

/// The payload of one datagram. `payload`: at least sizeof(Tag) bytes.
void write_payload(std::span<std::byte> payload, const Tag& tag,
                   std::uint64_t seed) noexcept;

/// Each runs one command to its end. 0: everything went as it must.
int run_udp(const Options& options);
int run_blast(const Options& options);
int run_tcp_serve(const Options& options);
int run_tcp_send(const Options& options);

/// Prints the error on standard error. Returns 1, to be returned by main.
int failed(const sluice::Error& error);

}  // namespace traffic
