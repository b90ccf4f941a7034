// SPDX-License-Identifier: Apache-2.0
// The lock-out guard: builds the packets an interface lives by and asks the
// rules about each. Checksums stay zero: no rule looks at them.
#include <algorithm>
#include <initializer_list>

#include <arpa/inet.h>

#include <sluice/rules.hpp>

namespace sluice {
namespace {

using Bytes = std::vector<std::byte>;

void put(Bytes& bytes, std::initializer_list<unsigned> values) {
  for (const unsigned value : values) {
    bytes.push_back(std::byte{static_cast<unsigned char>(value)});
  }
}

void put(Bytes& bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

// An address as inet_ntop or SSH_CONNECTION write it: 4 or 16 bytes. A scope
// ("%eth0") is not on the wire, a mapped IPv4 address is IPv4 there.
Bytes address_of(std::string text) {
  if (const auto scope = text.find('%'); scope != std::string::npos) {
    text.resize(scope);
  }
  if (text.starts_with("::ffff:") && text.find('.') != std::string::npos) {
    text.erase(0, 7);
  }
  Bytes address(16);
  if (inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  address.resize(4);
  if (inet_pton(AF_INET, text.c_str(), address.data()) == 1) return address;
  return {};
}

Bytes ethernet(unsigned type) {
  Bytes bytes(12);
  put(bytes, {type >> 8, type & 0xff});
  return bytes;
}

Bytes arp(unsigned operation, const Bytes& target) {
  Bytes bytes = ethernet(0x0806);
  put(bytes, {0, 1, 8, 0, 6, 4, 0, operation});
  put(bytes, Bytes(16));
  put(bytes, target);
  return bytes;
}

// `to` chooses the family; `from` is of the same one, or empty: unspecified.
Bytes ip(unsigned protocol, const Bytes& from, const Bytes& to,
         const Bytes& payload) {
  const auto size = static_cast<unsigned>(payload.size());
  Bytes bytes = ethernet(to.size() == 4 ? 0x0800 : 0x86dd);
  if (to.size() == 4) {
    put(bytes, {0x45, 0, (size + 20) >> 8, (size + 20) & 0xff, 0, 0, 0x40, 0,
                64, protocol, 0, 0});
  } else {
    put(bytes, {0x60, 0, 0, 0, size >> 8, size & 0xff, protocol, 255});
  }
  put(bytes, from.size() == to.size() ? from : Bytes(to.size()));
  put(bytes, to);
  put(bytes, payload);
  return bytes;
}

// Ports, and as many zeros as the smallest header of that protocol has left.
Bytes ports(unsigned from, unsigned to, std::size_t header) {
  Bytes bytes;
  put(bytes, {from >> 8, from & 0xff, to >> 8, to & 0xff});
  put(bytes, Bytes(header - bytes.size()));
  return bytes;
}

Bytes icmp6(unsigned type, const Bytes& target) {
  Bytes bytes;
  put(bytes, {type, 0, 0, 0, 0, 0, 0, 0});
  put(bytes, target);
  return bytes;
}

// RFC 4291, 2.7.1: ff02::1:ffXX:XXXX.
Bytes solicited_node(const Bytes& address) {
  Bytes group;
  put(group, {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff});
  group.insert(group.end(), address.end() - 3, address.end());
  return group;
}

class Guard {
 public:
  explicit Guard(const Rules& rules) : rules_(rules) {}

  // `loss`: what no longer works when `what` does not reach the stack.
  void check(const Bytes& packet, const std::string& what, const char* loss) {
    const Rules::Decision decision = rules_.decide(packet);
    if (decision.action == Action::pass) return;
    std::string sentence = decision.rule
                               ? "Rule " + std::to_string(*decision.rule + 1) +
                                     " (" + rules_[*decision.rule].text() + ")"
                               : "The default";
    sentence +=
        decision.action == Action::drop ? " would drop " : " would steer away ";
    sentence += what + ": " + loss + ".";
    if (std::ranges::find(sentences_, sentence) == sentences_.end()) {
      sentences_.push_back(std::move(sentence));
    }
  }
  std::vector<std::string> take() { return std::move(sentences_); }

 private:
  const Rules& rules_;
  std::vector<std::string> sentences_;
};

void check_ipv4(Guard& guard, const InUse::Address& own, const Bytes& address) {
  guard.check(arp(1, address), "ARP requests for " + own.address,
              "neighbours could no longer find this host");
  guard.check(arp(2, address), "ARP replies to " + own.address,
              "this host could no longer find its neighbours");
  if (!own.dynamic) return;
  const Bytes everyone(4, std::byte{0xff});
  for (const Bytes& to : {address, everyone}) {
    guard.check(ip(17, {}, to, ports(67, 68, 244)), "DHCP replies",
                "the lease of the interface's address could not be renewed");
  }
}

void check_ipv6(Guard& guard, const InUse::Address& own, const Bytes& address) {
  for (const Bytes& to : {solicited_node(address), address}) {
    guard.check(ip(58, {}, to, icmp6(135, address)),
                "neighbour solicitations for " + own.address,
                "neighbours could no longer find this host");
  }
  guard.check(ip(58, {}, address, icmp6(136, address)),
              "neighbour advertisements to " + own.address,
              "this host could no longer find its neighbours");
  if (!own.dynamic) return;
  Bytes all_nodes;
  put(all_nodes, {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  guard.check(ip(58, {}, all_nodes, icmp6(134, Bytes(8))),
              "router advertisements",
              "the interface's address and routes would expire");
}

void check_ssh(Guard& guard, const InUse::Connection& ssh) {
  const Bytes local = address_of(ssh.local);
  if (local.empty()) return;
  const auto segment = ports(ssh.peer_port, ssh.local_port, 20);
  guard.check(ip(6, address_of(ssh.peer), local, segment),
              "the SSH connection in use from " + ssh.peer,
              "the session would hang");
}

}  // namespace

std::vector<std::string> cut_off(const Rules& rules, const InUse& in_use) {
  Guard guard(rules);
  for (const InUse::Address& own : in_use.addresses) {
    const Bytes address = address_of(own.address);
    if (address.size() == 4) check_ipv4(guard, own, address);
    if (address.size() == 16) check_ipv6(guard, own, address);
  }
  if (in_use.ssh) check_ssh(guard, *in_use.ssh);
  return guard.take();
}

}  // namespace sluice
