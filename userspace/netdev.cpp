// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sluice/address.hpp>
#include <sluice/netdev.hpp>
#include <sluice/packet.hpp>
#include <sluice/uapi.hpp>
#include <sstream>

#include "host_files.hpp"
#include "netdev_netlink.hpp"
#include "netdev_query.hpp"

namespace sluice {
namespace {

std::string interface_names() {
  std::string names;
  struct if_nameindex* const all = ::if_nameindex();
  if (all == nullptr) return names;
  for (auto* each = all; each->if_index != 0; ++each) {
    names += (names.empty() ? "" : ", ") + std::string(each->if_name);
  }
  ::if_freenameindex(all);
  return names;
}

// One address of the interface, or nothing where it is link-local.
void take_address(const nlmsghdr& header, std::span<const char> payload,
                  int index, InUse& in_use) {
  ifaddrmsg address{};
  if (header.nlmsg_type != RTM_NEWADDR || payload.size() < sizeof address) {
    return;
  }
  std::memcpy(&address, payload.data(), sizeof address);
  if (static_cast<int>(address.ifa_index) != index ||
      address.ifa_scope != RT_SCOPE_UNIVERSE) {
    return;
  }
  std::span<const char> local;
  std::uint32_t flags = address.ifa_flags;
  for (const auto& each :
       netlink::attributes(payload.subspan(sizeof address))) {
    const bool own = each.type == IFA_LOCAL;
    if (own || (each.type == IFA_ADDRESS && local.empty())) {
      local = each.value;
    } else if (each.type == IFA_FLAGS) {
      flags = static_cast<std::uint32_t>(each.number());
    }
  }
  char text[INET6_ADDRSTRLEN] = "";
  if (!local.empty() && ::inet_ntop(address.ifa_family, local.data(), text,
                                    sizeof text) != nullptr) {
    in_use.addresses.push_back({text, (flags & IFA_F_PERMANENT) == 0});
  }
}

std::optional<InUse::Connection> ssh_connection() {
  const char* variable = std::getenv("SSH_CONNECTION");
  if (variable == nullptr) return std::nullopt;
  std::istringstream fields(variable);
  InUse::Connection ssh;
  fields >> ssh.peer >> ssh.peer_port >> ssh.local >> ssh.local_port;
  if (!fields) return std::nullopt;
  return ssh;
}

// What ethtool calls queues are those that were configured: a driver may have
// more for RX, and none for TX beside them, while an XDP program is attached.
void read_sysfs(Netdev& device) {
  const std::string folder = sysfs_folder(device);
  if (folder.empty()) return;
  std::uint32_t rx = 0;
  std::uint32_t tx = 0;
  std::error_code failed;
  for (const auto& each :
       std::filesystem::directory_iterator(folder + "/queues", failed)) {
    const std::string name = each.path().filename();
    rx += name.starts_with("rx-") ? 1 : 0;
    tx += name.starts_with("tx-") ? 1 : 0;
  }
  if (rx == 0 || tx == 0) return;
  device.rx_queues = rx;
  device.tx_queues = tx;
  // Refused (EINVAL) while the interface is down.
  int carrier = 0;
  std::ifstream(folder + "/carrier") >> carrier;
  device.running = device.running && carrier == 1;
}

}  // namespace

std::string sysfs_folder(const Netdev& device) {
  const std::string folder = "/sys/class/net/" + device.name;
  int index = 0;
  std::string address;
  std::ifstream(folder + "/ifindex") >> index;
  std::ifstream(folder + "/address") >> address;
  const bool same =
      index == device.index && address == MacAddress{device.mac}.text();
  return same ? folder : std::string();
}

std::vector<int> Netdev::served(const std::vector<int>& named) const {
  if (!named.empty()) return named;
  std::vector<int> all(rx_queues);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// What a driver with a step of 1 KiB makes of a frame: a larger packet would
// come in pieces, each taken for a packet. Source: igb_setup_srrctl(),
// igc_configure_rx_ring(), ixgbe_configure_srrctl().
bool too_small_for_zero_copy(const Netdev& device, std::uint32_t frame_size) {
  const bool steps = device.driver == "igb" || device.driver == "igc" ||
                     device.driver == "ixgbe";
  const std::uint32_t whole = (frame_size - Packet::kHeadroom) / 1024 * 1024;
  return steps && device.mtu + Packet::kEthernetAndVlan > whole;
}

Result<Netdev> Netdev::read(const std::string& name) {
  Netdev device;
  device.name = name;
  Query query(name);
  if (name.empty() || name.size() >= IFNAMSIZ || !query.ask(SIOCGIFINDEX)) {
    return Error{ENODEV, "interface", "'" + name + "'",
                 "The interfaces here are: " + interface_names() + "."};
  }
  device.index = query.answer().ifr_ifindex;
  if (query.ask(SIOCGIFMTU)) {
    device.mtu = static_cast<std::uint32_t>(query.answer().ifr_mtu);
  }
  if (query.ask(SIOCGIFFLAGS)) {
    device.up = (query.answer().ifr_flags & IFF_UP) != 0;
    device.running = (query.answer().ifr_flags & IFF_RUNNING) != 0;
  }
  if (query.ask(SIOCGIFHWADDR)) {
    std::memcpy(device.mac.data(), query.answer().ifr_hwaddr.sa_data, 6);
  }
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  if (query.ethtool(&driver)) device.driver = driver.driver;
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (query.ethtool(&channels)) {
    // Some drivers tell combined channels, some (veth) RX and TX apart.
    device.rx_queues =
        std::max(1U, channels.combined_count + channels.rx_count);
    device.tx_queues =
        std::max(1U, channels.combined_count + channels.tx_count);
    device.queues_max = std::max(channels.max_combined, channels.max_rx);
  }
  read_sysfs(device);
  return device;
}

std::vector<std::uint32_t> rss_table(const std::string& name) {
  Query query(name);
  ethtool_rxfh_indir size{};
  size.cmd = ETHTOOL_GRXFHINDIR;
  if (!query.ethtool(&size) || size.size == 0) return {};
  std::vector<std::uint32_t> command(2 + size.size);
  command[0] = ETHTOOL_GRXFHINDIR;
  command[1] = size.size;
  if (!query.ethtool(command.data())) return {};
  return {command.begin() + 2, command.end()};
}

RxHints driver_rx_hints(int ifindex) {
  return RxHints::of(
      netlink::told_of_device(ifindex, netdev_family::kDevRxMetadata)
          .value_or(0));
}

TxOffload driver_tx_offload(int ifindex) {
  const std::uint64_t offered =
      netlink::told_of_device(ifindex, netdev_family::kDevXskFeatures)
          .value_or(0);
  TxOffload offload;
  offload.checksum = (offered & netdev_family::kXskTxChecksum) != 0;
  offload.launch_time = (offered & netdev_family::kXskTxLaunchTime) != 0;
  if ((offered & netdev_family::kXskTxTimestamp) != 0) {
    offload.timestamp = Timestamp::Clock::hardware;
  }
  return offload;
}

Result<InUse> in_use(const std::string& name) {
  const auto index = static_cast<int>(::if_nametoindex(name.c_str()));
  auto talk = netlink::Talk::open(NETLINK_ROUTE);
  if (!talk) return talk.error();
  netlink::Request request(RTM_GETADDR, NLM_F_DUMP);
  request.header(ifaddrmsg{});
  InUse in_use;
  auto asked =
      talk->ask(request, "rtnetlink(RTM_GETADDR)", name,
                [&](const nlmsghdr& header, std::span<const char> payload) {
                  take_address(header, payload, index, in_use);
                });
  if (!asked) return asked.error();
  const auto ssh = ssh_connection();
  const auto is_local = [&](const InUse::Address& each) {
    return each.address == ssh->local;
  };
  if (ssh && std::ranges::any_of(in_use.addresses, is_local)) in_use.ssh = ssh;
  return in_use;
}

Result<void> check_cut_off(const std::string& name, const Rules& rules) {
  auto used = in_use(name);
  if (!used) return used.error();
  std::string all;
  for (const std::string& each : cut_off(rules, *used)) all += each + " ";
  if (all.empty()) return {};
  return Error{EPERM, "rules", "for " + name,
               all + "Narrow the rules (--steer), or say --force."};
}

Result<LinkWatch> LinkWatch::open() {
  LinkWatch watch;
  watch.fd_ = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (!watch.fd_ ||
      ::bind(watch.fd_.get(), reinterpret_cast<sockaddr*>(&address),
             sizeof address) != 0) {
    return Error::last("bind(AF_NETLINK)");
  }
  return watch;
}

Result<std::vector<LinkWatch::Change>> LinkWatch::changes() {
  std::vector<Change> changes;
  alignas(nlmsghdr) std::array<char, 32768> bytes;
  while (true) {
    const auto size = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (size < 0) {
      if (errno == EAGAIN || errno == EINTR) return changes;
      return Error::last("recv(AF_NETLINK)");
    }
    (void)netlink::each_message(
        {bytes.data(), static_cast<std::size_t>(size)},
        [&](const nlmsghdr& header, std::span<const char> payload) {
          ifinfomsg link;
          if ((header.nlmsg_type != RTM_NEWLINK &&
               header.nlmsg_type != RTM_DELLINK) ||
              payload.size() < sizeof link) {
            return;
          }
          std::memcpy(&link, payload.data(), sizeof link);
          constexpr unsigned kRunning = IFF_UP | IFF_RUNNING;
          changes.push_back({link.ifi_index, header.nlmsg_type == RTM_DELLINK,
                             (link.ifi_flags & kRunning) == kRunning});
        });
  }
}

}  // namespace sluice
