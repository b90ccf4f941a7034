// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sluice/testing/wire.hpp>

namespace sluice::testing {
namespace {

constexpr std::size_t kPacketMax = 65536 + 18;

// The kernel takes the outermost tag out of a packet and tells it apart.
void put_tag_back(const tpacket_auxdata& told, Bytes& packet) {
  if ((told.tp_status & TP_STATUS_VLAN_VALID) == 0 || packet.size() < 12) {
    return;
  }
  const std::uint16_t type = (told.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0
                                 ? told.tp_vlan_tpid
                                 : std::uint16_t{ETH_P_8021Q};
  const std::array tag = {htons(type), htons(told.tp_vlan_tci)};
  const auto bytes = std::as_bytes(std::span(tag));
  packet.insert(packet.begin() + 12, bytes.begin(), bytes.end());
}

}  // namespace

Result<Wire> Wire::open(const std::string& interface) {
  Wire wire;
  // Protocol 0: nothing is received before it is bound.
  wire.fd_ = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!wire.fd_) return Error::last("socket(AF_PACKET)", interface);
  const int fd = wire.fd_.get();
  const int yes = 1;
  const int memory = 64 << 20;
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
  if (address.sll_ifindex == 0) {
    return Error::last("if_nametoindex", interface);
  }
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &memory, sizeof memory);
  if (::setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes) !=
          0 ||
      ::setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &yes, sizeof yes) != 0 ||
      ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
          0) {
    return Error::last("bind(AF_PACKET)", interface);
  }
  return wire;
}

bool Wire::send(std::span<const std::byte> packet) {
  const auto sent = ::send(fd_.get(), packet.data(), packet.size(), 0);
  return sent == static_cast<ssize_t>(packet.size());
}

std::optional<Bytes> Wire::receive_now() {
  Bytes packet(kPacketMax);
  iovec part{packet.data(), packet.size()};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(tpacket_auxdata))>
      control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const auto got = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
  if (got < 0) return std::nullopt;
  packet.resize(static_cast<std::size_t>(got));
  for (auto* each = CMSG_FIRSTHDR(&message); each != nullptr;
       each = CMSG_NXTHDR(&message, each)) {
    if (each->cmsg_level != SOL_PACKET || each->cmsg_type != PACKET_AUXDATA) {
      continue;
    }
    tpacket_auxdata told;
    std::memcpy(&told, CMSG_DATA(each), sizeof told);
    put_tag_back(told, packet);
  }
  return packet;
}

std::optional<Bytes> Wire::receive(std::chrono::milliseconds patience,
                                   const Filter& filter) {
  using std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + patience;
  while (true) {
    while (auto packet = receive_now()) {
      if (!filter || filter(*packet)) return packet;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - steady_clock::now());
    if (left.count() <= 0) return std::nullopt;
    pollfd fd{fd_.get(), POLLIN, 0};
    ::poll(&fd, 1, static_cast<int>(left.count()));
  }
}

}  // namespace sluice::testing
