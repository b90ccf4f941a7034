// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sluice/control.hpp>
#include <utility>

namespace sluice {
namespace {

constexpr std::string_view kPrefix = "sluice/";
// A list of as many rules as there may be.
constexpr std::size_t kTextMax = std::size_t{1} << 30;
constexpr timeval kPatience{0, 200'000};

struct Address {
  sockaddr_un value{};
  socklen_t size = 0;
  explicit Address(const std::string& interface) {
    value.sun_family = AF_UNIX;
    const std::string name = std::string(kPrefix) + interface;
    // A zero in front makes it abstract.
    const std::size_t length = std::min(name.size(), sizeof value.sun_path - 1);
    std::memcpy(value.sun_path + 1, name.data(), length);
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
  }
  const sockaddr* get() const {
    return reinterpret_cast<const sockaddr*>(&value);
  }
};

Fd make_socket() {
  return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

std::optional<ucred> peer_of(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return {};
  return peer;
}

void be_patient(int fd) {
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
}

bool send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// Up to the end of the stream, or `most` bytes.
std::string receive_all(int fd, std::size_t most) {
  std::string text;
  std::array<char, 65536> piece;
  while (text.size() < most) {
    const auto got = ::recv(fd, piece.data(), piece.size(), 0);
    if (got <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  return text;
}

Result<Fd> connect_to(const std::string& interface) {
  Fd fd = make_socket();
  const Address address(interface);
  if (!fd || ::connect(fd.get(), address.get(), address.size) != 0) {
    const int error = errno == ECONNREFUSED ? ENOENT : errno;
    return Error{error, "owner of", interface,
                 "No sluice runs on that interface in this network namespace."};
  }
  return fd;
}

}  // namespace

Result<Control> Control::claim(const std::string& interface) {
  Control control;
  control.fd_ = make_socket();
  const Address address(interface);
  if (!control.fd_) return Error::last("socket(AF_UNIX)", interface);
  if (::bind(control.fd_.get(), address.get(), address.size) != 0) {
    const int error = errno == EADDRINUSE ? EBUSY : errno;
    const auto pid = owner(interface);
    const std::string who = pid ? "process " + std::to_string(*pid) : "another";
    return Error{error, "interface", interface,
                 "It belongs to " + who + ": stop that first (kill -INT " +
                     (pid ? std::to_string(*pid) : "PID") +
                     "), or use another interface."};
  }
  if (::listen(control.fd_.get(), 8) != 0) return Error::last("listen");
  return control;
}

void Control::serve_one(const Answer& answer) {
  Fd client(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client) return;
  const auto peer = peer_of(client.get());
  if (!peer || (peer->uid != 0 && peer->uid != ::geteuid())) return;
  be_patient(client.get());
  const std::string request = receive_all(client.get(), kTextMax);
  (void)send_all(client.get(), answer(request));
}

Result<std::string> Control::ask(const std::string& interface,
                                 std::string_view request, Duration patience) {
  auto fd = connect_to(interface);
  if (!fd) return fd.error();
  const timeval limit{patience.count() / 1'000'000'000,
                      patience.count() / 1000 % 1'000'000};
  ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (!send_all(fd->get(), request)) return Error::last("send", interface);
  ::shutdown(fd->get(), SHUT_WR);
  std::string text = receive_all(fd->get(), kTextMax);
  if (text.empty()) {
    return Error{EACCES, "owner of", interface,
                 "It did not answer: ask as root, or as the user who runs it."};
  }
  return text;
}

std::optional<int> Control::owner(const std::string& interface) {
  auto fd = connect_to(interface);
  if (!fd) return std::nullopt;
  const auto peer = peer_of(fd->get());
  return peer ? std::optional<int>(peer->pid) : std::nullopt;
}

// /proc/net/unix shows an abstract name behind an @; one that listens has the
// flag __SO_ACCEPTCON.
std::vector<std::string> Control::owned() {
  std::vector<std::string> interfaces;
  std::ifstream table("/proc/thread-self/net/unix");
  const std::string mark = " @" + std::string(kPrefix);
  for (std::string line; std::getline(table, line);) {
    const auto at = line.find(mark);
    if (at == std::string::npos ||
        line.find(" 00010000 ") == std::string::npos) {
      continue;
    }
    interfaces.push_back(line.substr(at + mark.size()));
  }
  return interfaces;
}

}  // namespace sluice
