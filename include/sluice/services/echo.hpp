// SPDX-License-Identifier: Apache-2.0
// Echo: a host of its own for a few addresses. It answers ARP and neighbour
// solicitations for them, pings, and UDP with what it was sent (RFC 862).
//
// Like any RFC 862 server it answers whoever asks: two of them, made to talk to
// each other by a forged source, do so for ever. Not for open networks.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <sluice/core.hpp>
#include <sluice/packet.hpp>
#include <sluice/parse.hpp>
#include <sluice/services/answer.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sluice::services {

class Echo {
 public:
  struct Config {
    std::vector<std::string> addresses;  ///< IPv4 and IPv6, at least one.
    std::vector<std::uint16_t> ports;    ///< UDP; none: all of them.
    std::string mac;                     ///< Empty: each interface's own.

    template <class Options>
    static void options(Options& options, Config& config) {
      options.add("--address", config.addresses,
                  "Address to be a host for, IPv4 or IPv6; several may be "
                  "given");
      options.add("--echo-port", config.ports,
                  "UDP port to answer on; several may be given (default: all)");
      options.add("--mac", config.mac,
                  "MAC address to answer with (default: the interface's)");
    }
  };

  /// What must be steered for this host to be reached: expressions of the rule
  /// language, one each, all of them needed.
  [[nodiscard]] static std::vector<std::string> rules(const Config& config) {
    std::vector<std::string> rules;
    for (const std::string& address : config.addresses) {
      if (const auto v6 = Ipv6Address::parse(address)) {
        rules.push_back("ip6 and dst host " + v6->text());
        rules.push_back("icmp6 and dst host " + v6->solicited_node().text());
      } else {
        // What is no address is refused where the rules are read.
        rules.push_back("arp and dst host " + address);
        rules.push_back("ip and dst host " + address);
      }
    }
    // Addresses may share their solicited-node group.
    std::sort(rules.begin(), rules.end());
    rules.erase(std::unique(rules.begin(), rules.end()), rules.end());
    return rules;
  }

  Echo(const Config& config, Core& core)
      : ports_(config.ports),
        unfit_(core),
        arp_(core.counter("answered_arp")),
        neighbour_(core.counter("answered_neighbour")),
        ping_(core.counter("answered_ping")),
        udp_(core.counter("answered_udp")),
        bad_checksum_(core.counter("dropped_bad_checksum")),
        not_ours_(core.counter("dropped_not_ours")) {
    for (const std::string& text : config.addresses) add_address(text, core);
    if (config.addresses.empty()) {
      core.fail({EINVAL, "echo", "without an address",
                 "Name at least one: --address 192.0.2.1."});
    }
    for (std::size_t i = 0; i < core.port_count(); ++i) {
      macs_.push_back({core.port(i).mac()});
    }
    if (config.mac.empty()) return;
    if (const auto mac = MacAddress::parse(config.mac)) {
      std::fill(macs_.begin(), macs_.end(), *mac);
    } else {
      core.fail(mac.error());
    }
  }

  void operator()(Packet packet, Core& core) noexcept {
    const Layers layers = parse(packet);
    if (layers.shape() != Shape::whole) return unfit_.count(layers.shape());
    const MacAddress& mac = macs_[packet.port()];
    if (layers.arp() != nullptr) {
      if (!answer_arp(layers, mac)) return;
    } else if (layers.checksum_state() == ChecksumState::bad) {
      ++bad_checksum_;
      return;
    } else if (is_solicitation(layers)) {
      if (!answer_solicitation(packet, mac)) return;
    } else if (!answer_host(layers, mac)) {
      return;
    }
    core.reply(std::move(packet));
  }

 private:
  void add_address(const std::string& text, Core& core) {
    if (const auto v4 = Ipv4Address::parse(text)) {
      v4_.push_back(*v4);
    } else if (const auto v6 = Ipv6Address::parse(text)) {
      v6_.push_back(*v6);
    } else {
      core.fail({EINVAL, "--address", "\"" + text + "\"",
                 "Write it like 192.0.2.1 or 2001:db8::1"});
    }
  }
  [[nodiscard]] bool ours(const Ipv4Address& address) const noexcept {
    return std::find(v4_.begin(), v4_.end(), address) != v4_.end();
  }
  [[nodiscard]] bool ours(const Ipv6Address& address) const noexcept {
    return std::find(v6_.begin(), v6_.end(), address) != v6_.end();
  }

  // Source: RFC 826.
  bool answer_arp(const Layers& layers, const MacAddress& mac) noexcept {
    Arp& arp = *layers.arp();
    if (arp.operation != Arp::kRequest || !ours(arp.target) ||
        ours(arp.sender)) {
      ++not_ours_;
      return false;
    }
    arp.operation = Arp::kReply;
    std::swap(arp.sender, arp.target);
    arp.target_mac = arp.sender_mac;
    arp.sender_mac = mac;
    layers.ethernet()->destination = arp.target_mac;
    layers.ethernet()->source = mac;
    ++arp_;
    return true;
  }

  static bool is_solicitation(const Layers& layers) noexcept {
    const Icmpv6* icmp = layers.icmpv6();
    return icmp != nullptr && icmp->type == Icmpv6::kNeighbourSolicitation;
  }

  // The checks of RFC 4861, 7.1.1; the sum is checked already.
  [[nodiscard]] bool valid_solicitation(const Layers& layers) const noexcept {
    const Ipv6& ip = *layers.ipv6();
    const auto* message = layers.message<NeighbourSolicitation>();
    if (message == nullptr || ip.hop_limit != 255 || message->code != 0) {
      return false;
    }
    // Only the group itself may be asked by one that has no address yet.
    const Ipv6Address group = message->target.solicited_node();
    if (ip.destination != group &&
        (ip.destination != message->target || ip.source.is_unspecified())) {
      return false;
    }
    auto options = layers.segment().subspan(sizeof(NeighbourSolicitation));
    while (!options.empty()) {
      if (options.size() < sizeof(LinkAddressOption)) return false;
      const std::size_t size = std::to_integer<std::size_t>(options[1]) * 8;
      if (size == 0 || size > options.size()) return false;
      options = options.subspan(size);
    }
    return ours(message->target);
  }

  // Source: RFC 4861, 7.2.4.
  bool answer_solicitation(Packet& packet, const MacAddress& mac) noexcept {
    constexpr Ipv6Address kAllNodes = {
        {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    constexpr std::size_t kBody = sizeof(NeighbourAdvertisement) +
                                  sizeof(LinkAddressOption) - sizeof(Icmpv6);
    // The answer has our own option, in the place of whatever came.
    if (!valid_solicitation(parse(packet)) || !resize_payload(packet, kBody)) {
      ++not_ours_;
      return false;
    }
    const Layers layers = parse(packet);
    auto* message = layers.message<NeighbourAdvertisement>();
    auto* option =
        layers.message<LinkAddressOption>(sizeof(NeighbourAdvertisement));
    Ipv6& ip = *layers.ipv6();
    const bool to_all = ip.source.is_unspecified();
    ip.destination = to_all ? kAllNodes : ip.source;
    ip.source = message->target;
    Ethernet& eth = *layers.ethernet();
    eth.destination = to_all ? kAllNodes.multicast_mac() : eth.source;
    eth.source = mac;
    message->type = Icmpv6::kNeighbourAdvertisement;
    message->flags = NeighbourAdvertisement::kOverride |
                     (to_all ? 0 : NeighbourAdvertisement::kSolicited);
    *option = {LinkAddressOption::kTarget, 1, mac};
    layers.complete_checksums();
    ++neighbour_;
    return true;
  }

  // Pings and UDP for our MAC and our addresses. A group is never answered.
  bool answer_host(const Layers& layers, const MacAddress& mac) noexcept {
    const Ipv4* ip = layers.ipv4();
    const Ipv6* ip6 = layers.ipv6();
    const bool to_us = ip != nullptr
                           ? ours(ip->destination) && is_host(ip->source)
                           : ours(ip6->destination) && is_host(ip6->source);
    if (!to_us || layers.ethernet()->destination != mac) {
      ++not_ours_;
      return false;
    }
    if (const Udp* udp = layers.udp()) {
      const bool open =
          ports_.empty() || std::find(ports_.begin(), ports_.end(),
                                      udp->destination_port) != ports_.end();
      if (!open) {
        ++not_ours_;
        return false;
      }
      ++udp_;
    } else if (answer_ping(layers)) {
      ++ping_;
    } else {
      unfit_.count(layers.shape());
      return false;
    }
    layers.reverse();
    restart_hops(layers);
    if (layers.unfinished()) layers.complete_checksums();
    return true;
  }

  // One that can be answered: neither a group, nor nobody, nor ourselves.
  template <class Address>
  [[nodiscard]] bool is_host(const Address& source) const noexcept {
    return !source.is_multicast() && source != Address{} && !ours(source);
  }

  // An answer starts its way anew. Source: RFC 1122, 3.2.1.7.
  static void restart_hops(const Layers& layers) noexcept {
    constexpr std::uint8_t kHops = 64;
    if (Ipv6* ip = layers.ipv6()) ip->hop_limit = kHops;
    if (Ipv4* ip = layers.ipv4()) {
      const Sum before =
          Sum().add(be16{static_cast<std::uint16_t>(ip->ttl << 8)});
      ip->ttl = kHops;
      mend_checksum(ip->checksum, before, Sum().add(be16{kHops << 8}));
    }
  }

  std::vector<Ipv4Address> v4_;
  std::vector<Ipv6Address> v6_;
  std::vector<std::uint16_t> ports_;
  std::vector<MacAddress> macs_;  // By port.
  Unfit unfit_;
  Counter& arp_;
  Counter& neighbour_;
  Counter& ping_;
  Counter& udp_;
  Counter& bad_checksum_;
  Counter& not_ours_;
};

}  // namespace sluice::services
