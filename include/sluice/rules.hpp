// SPDX-License-Identifier: Apache-2.0
// Rules: which packets are steered, passed or dropped, in tcpdump's language.
//
//   steer @dns  udp and dst port 53            # first match wins
//   drop        icmp and dst host 192.0.2.1
//   steer       tcp and dst port 80 else drop  # else: no socket on the queue
//   default pass
//
// What is understood means exactly what libpcap 1.10 makes of it on Ethernet;
// everything else is refused by name. No system calls here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/abi.h>
#include <sluice/result.hpp>

namespace sluice {

enum class Action : std::uint8_t {
  pass = SLUICE_PASS,
  drop = SLUICE_DROP,
  steer = SLUICE_STEER,
};

/// "pass", "drop" or "steer".
[[nodiscard]] const char* to_string(Action action) noexcept;

/// One condition of a rule. A rule matches where all of its terms hold.
struct Term {
  enum class Kind : std::uint8_t {
    arp,
    ip,
    ip6,
    udp,
    tcp,
    icmp,
    icmp6,
    dst_host4,
    dst_host6,
    dst_port
  };
  Kind kind = Kind::ip;
  std::array<std::byte, 16> address{};  ///< dst_host4: the first 4 bytes.
  std::uint16_t port = 0;               ///< Host order.
};

/// One line of a list.
struct Rule {
  Action action = Action::steer;
  Action otherwise = Action::pass;  ///< Steered, but the queue has no socket.
  std::string label;                ///< Without the @; may be empty.
  std::string expression;           ///< As written, spaces squeezed; or "all".
  std::vector<Term> terms;          ///< None: every packet.

  /// The line: "steer @dns udp and dst port 53 else drop". Two rules of the
  /// same text do the same.
  [[nodiscard]] std::string text() const;
};

/// An ordered list of rules and a default. Immutable; copied freely.
class Rules {
 public:
  /// What a list says of one packet.
  struct Decision {
    std::optional<std::size_t> rule;  ///< Index; none: the default.
    Action action = Action::pass;
    Action otherwise = Action::pass;
  };

  /// No rule, default pass.
  Rules();

  /// Parses a list, one rule a line: `ACTION [@label] EXPRESSION [else
  /// pass|drop]`, `default ACTION`, comments from `#`, blank lines. `source`
  /// names the text in errors: "SOURCE line 3 column 12", both from 1, columns
  /// in bytes. Errors: EINVAL (not the language), EOPNOTSUPP (the language, but
  /// not supported), E2BIG (more than SLUICE_RULES_MAX rules).
  [[nodiscard]] static Result<Rules> parse(std::string_view text,
                                           std::string_view source = "rules");

  /// One steer rule per expression, default pass: what `--steer` options say.
  [[nodiscard]] static Result<Rules> steer(
      std::span<const std::string> expressions);

  [[nodiscard]] std::size_t size() const noexcept { return rules_.size(); }
  /// REQUIRES: index < size().
  [[nodiscard]] const Rule& operator[](std::size_t index) const {
    return rules_[index];
  }
  [[nodiscard]] std::span<const Rule> list() const noexcept { return rules_; }
  [[nodiscard]] Action default_action() const noexcept { return default_; }

  /// The list as parse() reads it back.
  [[nodiscard]] std::string text() const;

  /// The list as the XDP program takes it; counter slot i belongs to rule i.
  [[nodiscard]] sluice_rule_list compiled() const noexcept;

  /// What the list says of an Ethernet packet of any length, read straight from
  /// its bytes: the reference the XDP program is tested against.
  [[nodiscard]] Decision decide(
      std::span<const std::byte> packet) const noexcept;

 private:
  std::vector<Rule> rules_;
  Action default_ = Action::pass;
};

/// What an interface is used for by this very host, to see what a list would
/// cut off. Addresses as inet_ntop writes them.
struct InUse {
  struct Address {
    std::string address;
    bool dynamic = false;  ///< From DHCP, or from router advertisements (v6).
  };
  struct Connection {
    std::string local;
    std::uint16_t local_port = 0;
    std::string peer;
    std::uint16_t peer_port = 0;
  };
  std::vector<Address> addresses;  ///< The interface's own, not link-local.
  std::optional<Connection> ssh;   ///< The session in use, if it comes in here.
};

/// One sentence for each kind of packet `in_use` lives by that `rules` would
/// keep from the Linux stack: ARP, neighbour discovery, DHCP, SSH. Empty: safe.
/// An address that does not parse is left out.
[[nodiscard]] std::vector<std::string> cut_off(const Rules& rules,
                                               const InUse& in_use);

}  // namespace sluice
