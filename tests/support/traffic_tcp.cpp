// SPDX-License-Identifier: Apache-2.0
// traffic tcp-serve and tcp-send: verified bytes through the kernel's TCP.
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "traffic.hpp"

namespace traffic {
namespace {

using sluice::Error;
using sluice::Fd;
using sluice::Result;

/// What was moved, as each end saw it.
struct Sum {
  std::uint64_t bytes = 0;
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a.

  void add(std::span<const std::byte> more) noexcept {
    for (std::byte byte : more) {
      hash = (hash ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3;
    }
    bytes += more.size();
  }
  [[nodiscard]] bool operator==(const Sum&) const noexcept = default;
};

class Deadline {
 public:
  explicit Deadline(double seconds)
      : end_ns_(now_ns() + static_cast<std::uint64_t>(seconds * 1e9)) {}

  /// Waits until `fd` is ready for `events`, an error, or the deadline.
  Result<void> wait(const Fd& fd, short events, const char* what) const {
    const auto now = now_ns();
    if (now < end_ns_) {
      pollfd poll_fd{fd.get(), events, 0};
      const auto left_ms = static_cast<int>((end_ns_ - now) / 1'000'000) + 1;
      const int n = ::poll(&poll_fd, 1, left_ms);
      if (n > 0 || (n < 0 && errno == EINTR)) return {};
      if (n < 0) return Error::last("poll");
    }
    return Error{ETIMEDOUT, what, {}, "See --timeout"};
  }
  [[nodiscard]] bool passed() const { return now_ns() >= end_ns_; }

 private:
  std::uint64_t end_ns_;
};

bool again() { return errno == EAGAIN || errno == EINTR; }

Result<void> send_all(const Fd& fd, std::span<const std::byte> bytes,
                      const Deadline& deadline) {
  while (!bytes.empty()) {
    const auto n = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    } else if (!again()) {
      return Error::last("send");
    } else if (auto ready = deadline.wait(fd, POLLOUT, "send"); !ready) {
      return ready;
    }
  }
  return {};
}

/// Reads until `bytes` is full or the peer is done. Returns how many came.
Result<std::size_t> receive_all(const Fd& fd, std::span<std::byte> bytes,
                                const Deadline& deadline) {
  std::size_t got = 0;
  while (got < bytes.size()) {
    const auto n = ::recv(fd.get(), &bytes[got], bytes.size() - got, 0);
    if (n == 0) break;
    if (n > 0) {
      got += static_cast<std::size_t>(n);
    } else if (!again()) {
      return Error::last("recv");
    } else if (auto ready = deadline.wait(fd, POLLIN, "recv"); !ready) {
      return ready.error();
    }
  }
  return got;
}

Result<Fd> open_tcp(int family) {
  Fd fd{::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd) return Error::last("socket(SOCK_STREAM)");
  return fd;
}

Result<Fd> listen_on(const Options& options) {
  auto address = parse_address(options.bind, options.port);
  if (!address) return address.error();
  auto fd = open_tcp(address->family());
  if (!fd) return fd;
  const int on = 1;
  ::setsockopt(fd->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (options.receive_bytes > 0) {
    // Bounds what the sender may have in flight, and with it the packets that
    // a device must queue.
    const auto room = static_cast<int>(options.receive_bytes);
    ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  }
  if (::bind(fd->get(), address->get(), address->size) != 0)
    return Error::last("bind(SOCK_STREAM)", options.bind);
  if (::listen(fd->get(), 1) != 0) return Error::last("listen");
  return fd;
}

Result<Fd> accept_one(const Fd& listener, const Deadline& deadline) {
  while (true) {
    Fd fd{::accept4(listener.get(), nullptr, nullptr,
                    SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (fd) return fd;
    if (!again()) return Error::last("accept4");
    auto ready = deadline.wait(listener, POLLIN, "accept");
    if (!ready) return ready.error();
  }
}

Result<Fd> connect_once(Address address, const Deadline& deadline) {
  auto fd = open_tcp(address.family());
  if (!fd) return fd;
  if (::connect(fd->get(), address.get(), address.size) == 0) return fd;
  if (errno != EINPROGRESS) return Error::last("connect");
  auto ready = deadline.wait(*fd, POLLOUT, "connect");
  if (!ready) return ready.error();
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd->get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return Error{error, "connect", {}, {}};
  return fd;
}

/// The server may be a moment late, so a refusal is tried again.
Result<Fd> connect_to(const Options& options, const Deadline& deadline) {
  auto address = parse_address(options.to.front(), options.port);
  if (!address) return address.error();
  while (true) {
    auto fd = connect_once(*address, deadline);
    if (fd || fd.error().code != ECONNREFUSED || deadline.passed()) return fd;
    ::poll(nullptr, 0, 20);
  }
}

void report(const Options& options, const char* kind, const char* verdict,
            const Sum& sum, std::uint64_t start_ns) {
  const double seconds = static_cast<double>(now_ns() - start_ns) / 1e9;
  const double megabits =
      static_cast<double>(sum.bytes) * 8 / 1e6 / std::max(seconds, 1e-9);
  if (options.json) {
    fmt::print(R"({{"schema":1,"kind":"{}","verdict":"{}","bytes":{},)"
               R"("seconds":{:.3f},"mbit_s":{:.0f}}})"
               "\n",
               kind, verdict, sum.bytes, seconds, megabits);
  } else {
    fmt::print("{}: {} bytes {} in {:.3f} s, {:.0f} Mbit/s\n", kind, sum.bytes,
               verdict, seconds, megabits);
  }
}

Result<Sum> receive_stream(const Fd& fd, const Deadline& deadline) {
  std::vector<std::byte> block(1 << 16);
  Sum sum;
  while (true) {
    auto n = receive_all(fd, block, deadline);
    if (!n) return n.error();
    sum.add(std::span(block).first(*n));
    if (*n < block.size()) return sum;
  }
}

Result<Sum> send_stream(const Fd& fd, const Options& options,
                        const Deadline& deadline) {
  std::vector<std::byte> block(1 << 16);
  Sum sum;
  while (sum.bytes < options.bytes) {
    const auto size =
        std::min<std::uint64_t>(block.size(), options.bytes - sum.bytes);
    const auto part = std::span(block).first(size);
    fill(part, options.seed, 0, sum.bytes);
    auto sent = send_all(fd, part, deadline);
    if (!sent) return sent.error();
    sum.add(part);
  }
  if (::shutdown(fd.get(), SHUT_WR) != 0) return Error::last("shutdown");
  return sum;
}

}  // namespace

int run_tcp_serve(const Options& options) {
  const Deadline deadline(options.timeout_s);
  auto listener = listen_on(options);
  if (!listener) return failed(listener.error());
  auto fd = accept_one(*listener, deadline);
  if (!fd) return failed(fd.error());
  const auto start = now_ns();
  auto sum = receive_stream(*fd, deadline);
  if (!sum) return failed(sum.error());
  auto answered =
      send_all(*fd, std::as_bytes(std::span<const Sum, 1>(&*sum, 1)), deadline);
  if (!answered) return failed(answered.error());
  report(options, "tcp-serve", "received", *sum, start);
  return 0;
}

int run_tcp_send(const Options& options) {
  const Deadline deadline(options.timeout_s);
  auto fd = connect_to(options, deadline);
  if (!fd) return failed(fd.error());
  const auto start = now_ns();
  auto sent = send_stream(*fd, options, deadline);
  if (!sent) return failed(sent.error());
  Sum theirs;
  auto got = receive_all(
      *fd, std::as_writable_bytes(std::span<Sum, 1>(&theirs, 1)), deadline);
  if (!got) return failed(got.error());
  const bool ok = *got == sizeof theirs && theirs == *sent;
  report(options, "tcp-send", ok ? "equal" : "differ", *sent, start);
  return ok ? 0 : 1;
}

}  // namespace traffic
