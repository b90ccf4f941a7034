// SPDX-License-Identifier: Apache-2.0
// What is known of one interface.
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <sluice/cpu.hpp>
#include <sluice/uapi.hpp>

#include "host_ethtool.hpp"
#include "host_files.hpp"
#include "netdev_netlink.hpp"
#include "netdev_query.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using netlink::Attribute;
using netlink::Request;

// An interface of this network namespace, as rtnetlink tells it.
struct Link {
  int index = 0;
  std::string name;
  std::string kind;
  int master = 0;
  int lower = 0;  // 0: none here.
};

void take_link_attribute(const Attribute& each, Link& link, bool& elsewhere) {
  switch (each.type) {
    case IFLA_IFNAME:
      link.name = each.text();
      break;
    case IFLA_MASTER:
      link.master = static_cast<int>(each.number());
      break;
    case IFLA_LINK:
      link.lower = static_cast<int>(each.number());
      break;
    case IFLA_LINK_NETNSID:
      elsewhere = true;
      break;
    case IFLA_LINKINFO:
      if (const auto kind = netlink::find(each.value, IFLA_INFO_KIND)) {
        link.kind = kind->text();
      }
      break;
    default:
      break;
  }
}

std::map<int, Link> all_links() {
  std::map<int, Link> links;
  auto talk = netlink::Talk::open(NETLINK_ROUTE);
  if (!talk) return links;
  Request request(RTM_GETLINK, NLM_F_DUMP);
  request.header(ifinfomsg{});
  (void)talk->ask(
      request, "rtnetlink(RTM_GETLINK)", {},
      [&](const nlmsghdr& header, std::span<const char> payload) {
        ifinfomsg info;
        if (header.nlmsg_type != RTM_NEWLINK || payload.size() < sizeof info) {
          return;
        }
        std::memcpy(&info, payload.data(), sizeof info);
        Link link;
        link.index = info.ifi_index;
        bool elsewhere = false;
        for (const Attribute& each :
             netlink::attributes(payload.subspan(sizeof info))) {
          take_link_attribute(each, link, elsewhere);
        }
        if (elsewhere) link.lower = 0;
        links[link.index] = std::move(link);
      });
  return links;
}

void read_links(InterfaceFacts& facts) {
  const auto links = all_links();
  const auto own = links.find(facts.device.index);
  if (own == links.end()) return;
  facts.kind = own->second.kind;
  if (const auto lower = links.find(own->second.lower); lower != links.end()) {
    facts.lower = lower->second.name;
  }
  if (const auto up = links.find(own->second.master); up != links.end()) {
    facts.master = up->second.name;
    facts.master_kind = up->second.kind;
  }
  for (const auto& [index, link] : links) {
    if (link.master == facts.device.index) facts.members.push_back(link.name);
  }
}

void read_xdp(InterfaceFacts& facts) {
  if (auto there = attached_program(facts.device.index)) {
    facts.program = std::move(*there);
  }
  const auto bits = netlink::told_of_device(facts.device.index,
                                            netdev_family::kDevXdpFeatures);
  if (bits) facts.xdp = XdpFeatures{*bits};
}

void read_ethtool(InterfaceFacts& facts) {
  auto ethtool = Ethtool::open(facts.device.name);
  if (!ethtool) return;
  if (auto features = ethtool->features()) {
    facts.features = std::move(features->active);
    facts.changeable = std::move(features->changeable);
  }
  if (auto channels = ethtool->channels()) facts.channels = *channels;
  if (auto coalescing = ethtool->coalescing()) facts.coalescing = *coalescing;
  if (auto ring = ethtool->rx_ring()) facts.rx_ring = *ring;
  if (facts.kind != "veth" || facts.lower.empty()) return;
  auto peer = Ethtool::open(facts.lower);
  if (!peer) return;
  if (auto features = peer->features()) {
    facts.peer_features = std::move(features->active);
  }
}

// The RX queue of each NAPI, where the driver tells; else nothing.
std::map<std::uint32_t, std::uint32_t> queues_by_interrupt(int ifindex) {
  std::map<std::uint32_t, std::uint32_t> by_napi;
  std::map<std::uint32_t, std::uint32_t> by_interrupt;
  auto family = netlink::Family::open("netdev");
  if (!family) return by_interrupt;
  const auto index = static_cast<std::uint32_t>(ifindex);
  const auto number = [](std::span<const char> answer, int type) {
    const auto found = netlink::find(answer, static_cast<std::uint16_t>(type));
    return found ? std::optional(static_cast<std::uint32_t>(found->number()))
                 : std::nullopt;
  };
  (void)family->ask(
      netdev_family::kQueueGet, "netdev(QUEUE_GET)", {},
      [&](Request& request) {
        request.add(netdev_family::kQueueIfindex, index);
      },
      [&](std::span<const char> answer) {
        const auto queue = number(answer, netdev_family::kQueueId);
        const auto napi = number(answer, netdev_family::kQueueNapi);
        const bool is_rx = number(answer, netdev_family::kQueueType) ==
                           std::uint32_t{netdev_family::kQueueTypeRx};
        if (queue && napi && is_rx) by_napi[*napi] = *queue;
      },
      true);
  (void)family->ask(
      netdev_family::kNapiGet, "netdev(NAPI_GET)", {},
      [&](Request& request) {
        request.add(netdev_family::kNapiIfindex, index);
      },
      [&](std::span<const char> answer) {
        const auto napi = number(answer, netdev_family::kNapiId);
        const auto irq = number(answer, netdev_family::kNapiIrq);
        if (!napi || !irq || !by_napi.contains(*napi)) return;
        by_interrupt[*irq] = by_napi[*napi];
      },
      true);
  return by_interrupt;
}

// "eth0-TxRx-3", "eth0-rx-3", "virtio2-input.3": the queue is the number at the
// end; what transmits alone is none.
std::optional<std::uint32_t> queue_in(const std::string& name) {
  const auto last = name.find_last_not_of("0123456789");
  if (last == std::string::npos || last + 1 == name.size()) return {};
  for (const char* tx : {"-tx-", "output"}) {
    if (name.find(tx) != std::string::npos) return {};
  }
  const char before = name[last];
  if (before != '-' && before != '.' && before != 'p') return {};
  return static_cast<std::uint32_t>(std::stoul(name.substr(last + 1)));
}

std::optional<std::uint32_t> queue_by_name(std::uint32_t irq) {
  std::error_code error;
  const fs::path folder = "/proc/irq/" + std::to_string(irq);
  for (const auto& each : fs::directory_iterator(folder, error)) {
    if (!each.is_directory(error)) continue;
    if (auto queue = queue_in(each.path().filename())) return queue;
  }
  return {};
}

// `folder`: of the interface in sysfs; empty: there is none to be seen.
void read_interrupts(InterfaceFacts& facts, const fs::path& folder) {
  const auto told = queues_by_interrupt(facts.device.index);
  std::set<std::uint32_t> numbers;
  for (const auto& [irq, queue] : told) numbers.insert(irq);
  if (numbers.empty() && !folder.empty()) {
    // virtio's device is below the bus's own, which has the interrupts.
    std::error_code error;
    for (const char* where : {"device/msi_irqs", "device/../msi_irqs"}) {
      for (const auto& each : fs::directory_iterator(folder / where, error)) {
        numbers.insert(
            static_cast<std::uint32_t>(std::stoul(each.path().filename())));
      }
    }
  }
  for (const std::uint32_t irq : numbers) {
    const auto found = told.find(irq);
    const auto queue =
        found != told.end() ? std::optional(found->second) : queue_by_name(irq);
    if (!queue) continue;
    const auto text =
        read_line("/proc/irq/" + std::to_string(irq) + "/smp_affinity_list");
    facts.interrupts.push_back({irq, *queue, numbers_in(text)});
  }
}

void read_deferral(InterfaceFacts& facts, const std::string& folder) {
  const std::string defer = read_line(folder + "/napi_defer_hard_irqs");
  const std::string timeout = read_line(folder + "/gro_flush_timeout");
  if (defer.empty() || timeout.empty()) return;
  facts.deferral = {std::stoull(defer), std::stoull(timeout)};
}

}  // namespace

Result<InterfaceFacts> InterfaceFacts::read(const std::string& name) {
  auto device = Netdev::read(name);
  if (!device) return device.error();
  InterfaceFacts facts;
  facts.device = std::move(*device);
  read_links(facts);
  read_xdp(facts);
  read_ethtool(facts);
  facts.rss = rss_table(name);
  if (auto fields = hash_fields(name, "udp4")) facts.udp_hash = *fields;
  FlowTable table = flow_table(name);
  facts.flow_rules = std::move(table.rules);
  facts.flow_rules_max = table.most;
  const std::string folder = sysfs_folder(facts.device);
  read_interrupts(facts, folder);
  if (folder.empty()) return facts;
  read_deferral(facts, folder);
  std::error_code error;
  facts.virtual_function = fs::exists(folder + "/device/physfn", error);
  const std::string node = read_line(folder + "/device/numa_node");
  if (!node.empty()) facts.node = std::stoi(node);
  return facts;
}

}  // namespace sluice
