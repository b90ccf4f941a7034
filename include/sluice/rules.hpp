// SPDX-License-Identifier: Apache-2.0
// Rules: what becomes of which packets, in tcpdump's language.
//
//   define resolvers = { 192.0.2.1, 2001:db8::/48 }
//   steer @dns  udp and src host $resolvers    # first match wins
//   drop        icmp and not src net 192.0.2.0/24
//   steer       tcp dst port 80 else drop      # else: no socket on the queue
//   default pass
//
// An expression means exactly what libpcap 1.10 makes of it on Ethernet; what
// is not supported is refused by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/abi.h>
#include <sluice/expression.hpp>
#include <sluice/result.hpp>

namespace sluice {

enum class Action : std::uint8_t {
  pass = SLUICE_PASS,    ///< To the Linux stack.
  drop = SLUICE_DROP,    ///< Nowhere.
  steer = SLUICE_STEER,  ///< To the socket of the queue it arrived on.
  reflect =
      SLUICE_REFLECT,  ///< Back, with addresses and ports swapped (XDP_TX).
  mirror =
      SLUICE_MIRROR,     ///< Its first bytes to user space; then the next rule.
  count = SLUICE_COUNT,  ///< Counted; then the next rule.
};

/// "pass", "drop", "steer", "reflect", "mirror" or "count".
[[nodiscard]] const char* to_string(Action action) noexcept;

/// Whether no rule is asked after one with this action.
[[nodiscard]] constexpr bool is_final(Action action) noexcept {
  return action != Action::mirror && action != Action::count;
}

/// One rule of a list.
struct Rule {
  Action action = Action::steer;
  Action otherwise = Action::pass;  ///< Steered, but the queue has no socket.
  std::uint32_t source = 0;         ///< Of Rules::source(): where it stands.
  std::uint32_t line = 0;           ///< There, from 1; 0: an option.
  std::string label;                ///< Without the @; may be empty.
  std::string expression;           ///< As written, spaces squeezed; or "all".
  Expression match;                 ///< What it means.

  /// The line: "steer @dns udp and dst port 53 else drop". Two rules of the
  /// same text do the same, as long as the sets they name are the same.
  [[nodiscard]] std::string text() const;
};

/// Something that may surprise who wrote the list.
struct Warning {
  std::string place;     ///< "rules line 3", or empty: the whole list.
  std::string sentence;  ///< "'vlan 7' matches nothing where the NIC ...".
};

/// Whether an Ethernet packet is a piece of a fragmented one: IPv4 with more
/// fragments to come or an offset, or the same of IPv6's fragment header, which
/// is looked for behind hop-by-hop, routing, destination and authentication
/// headers, eight headers far. Looks behind up to two VLAN tags. What ends
/// before it can be seen is none. Source: RFC 791, RFC 8200.
[[nodiscard]] bool is_fragment(std::span<const std::byte> packet) noexcept;

/// An ordered list of rules and a default. Immutable; copied freely: copies
/// share their rules.
class Rules {
 public:
  /// Most rules of one list.
  static constexpr std::size_t kMax = 4'000'000;

  /// What a list says of one packet.
  struct Decision {
    std::optional<std::size_t> rule;  ///< Index; none: the default.
    Action action = Action::pass;     ///< A final one.
    Action otherwise = Action::pass;
    bool fragment = false;  ///< Passed as one before any rule was asked.
  };

  /// No rule, default pass.
  Rules();

  /// Parses a list. A line is one of
  ///
  ///     ACTION [@label] EXPRESSION [else pass|drop]
  ///     define NAME = { ADDRESS, PREFIX, ... }     (or ports and ranges)
  ///     fragments pass|match
  ///     default ACTION
  ///
  /// or blank; a comment begins with `#`. Braces may go over lines. `source`
  /// names the text in errors: "SOURCE line 3 column 12", both from 1, columns
  /// in bytes. Errors: EINVAL (not the language), EOPNOTSUPP (the language, but
  /// not supported), E2BIG (more than kMax rules; nested too deeply).
  [[nodiscard]] static Result<Rules> parse(std::string_view text,
                                           std::string_view source = "rules");

  /// Reads a list from a file. There, `include FILE` reads another, named
  /// relative to the folder of the one that includes it, at most eight deep and
  /// never itself. Errors as parse(), and those of open(2) and read(2). May
  /// block.
  [[nodiscard]] static Result<Rules> load(const std::string& path);

  /// One steer rule per expression, default pass: what `--steer` options say.
  [[nodiscard]] static Result<Rules> steer(
      std::span<const std::string> expressions);

  [[nodiscard]] std::size_t size() const noexcept;
  /// REQUIRES: index < size().
  [[nodiscard]] const Rule& operator[](std::size_t index) const;
  [[nodiscard]] std::span<const Rule> list() const noexcept;
  [[nodiscard]] Action default_action() const noexcept;
  /// Whether fragments pass before any rule is asked; `fragments match`: not.
  [[nodiscard]] bool fragments_pass() const noexcept;
  /// The name of the text a rule is from, see Rule::source.
  [[nodiscard]] const std::string& source(std::uint32_t index) const;
  /// Where a rule was read, "SOURCE line 3". REQUIRES: rule < size().
  [[nodiscard]] std::string place(std::size_t rule) const;

  /// The list as parse() reads it back, sets first.
  [[nodiscard]] std::string text() const;

  /// What the list says of an Ethernet packet of any length, read straight from
  /// its bytes: the reference the XDP program is tested against.
  [[nodiscard]] Decision decide(
      std::span<const std::byte> packet) const noexcept;

  /// The mirror and count rules that match the packet before the one that
  /// decide() came to, in order.
  [[nodiscard]] std::vector<std::size_t> noted(
      std::span<const std::byte> packet, const Decision& decision) const;

  /// What may surprise: rules that match nothing or are never asked, what VLAN
  /// tags, extension headers and ARP do to an expression.
  [[nodiscard]] std::vector<Warning> warnings() const;

  struct List;  ///< Internal.

 private:
  explicit Rules(std::shared_ptr<const List> list) : list_(std::move(list)) {}

  std::shared_ptr<const List> list_;
};

/// Why a list does with a packet what it does.
struct Explanation {
  /// One rule that was asked.
  struct Step {
    std::size_t rule = 0;  ///< Index.
    Truth truth = Truth::no;
    std::string reason;  ///< "dst port 53: is 80"; of many the first four.
  };
  Rules::Decision decision;
  std::vector<Step> steps;  ///< In order, up to the rule that decided.

  /// A line for each step, and one for the decision.
  [[nodiscard]] std::string text(const Rules& rules) const;
};

/// Explains what Rules::decide() says of the packet.
[[nodiscard]] Explanation explain(const Rules& rules,
                                  std::span<const std::byte> packet);

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
