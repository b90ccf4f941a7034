// SPDX-License-Identifier: Apache-2.0
#include "parts.hpp"

#include <linux/if_ether.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::steering {
namespace {

using Kind = Primitive::Kind;
using Values = PrimitivePart::Values;
using KindSet = std::bitset<SLUICE_KINDS>;
using ProtoSet = std::bitset<SLUICE_PROTOS>;

// --- What the numbers of abi.h say -------------------------------------------

struct KindView {
  unsigned tags = 0;
  std::array<std::uint16_t, 2> types{};  // Of the tags.
  unsigned link = 0;
  unsigned level = 0;
};

constexpr std::array<std::uint16_t, 3> kTagTypes = {0x8100, 0x88a8, 0x9100};

KindView view(unsigned kind) {
  KindView seen;
  seen.level = kind % 16;
  const unsigned code = kind / 16;
  seen.link = code % 8;
  if (code < 8) return seen;
  if (code < 32) {
    seen.tags = 1;
    seen.types[0] = kTagTypes[code / 8 - 1];
    return seen;
  }
  const unsigned pair = code / 8 - 4;
  seen.tags = 2;
  seen.types = {kTagTypes[pair / 3], kTagTypes[pair % 3]};
  return seen;
}

struct ProtoView {
  enum class Where : std::uint8_t { nowhere, ip, ip6, behind_fragment6 };
  Where where = Where::nowhere;
  unsigned protocol = 0;
  bool later = false;
  unsigned reach = 0;
};
using Where = ProtoView::Where;

ProtoView view_proto(unsigned proto) {
  if (proto < 2560) {
    return {Where::ip, proto / 10, proto / 5 % 2 == 1, proto % 5};
  }
  if (proto < 3584) {
    return {Where::ip6, (proto - 2560) / 4, false, (proto - 2560) % 4};
  }
  if (proto < SLUICE_PROTO_NONE) {
    return {Where::behind_fragment6, proto - 3584, false, 0};
  }
  return {};
}

template <class Predicate>
KindSet kinds_where(const Predicate& holds) {
  KindSet set;
  for (unsigned kind = 0; kind < 16 * SLUICE_LINKS; ++kind) {
    if (holds(view(kind))) set.set(kind);
  }
  return set;
}

template <class Predicate>
ProtoSet protos_where(const Predicate& holds) {
  ProtoSet set;
  for (unsigned proto = 0; proto <= SLUICE_PROTO_NONE; ++proto) {
    if (holds(view_proto(proto))) set.set(proto);
  }
  return set;
}

ProtoSet all_protos() { return ProtoSet().set(); }

bool inside(std::span<const NumberRange> ranges, unsigned number) {
  return std::ranges::any_of(ranges, [number](const NumberRange& range) {
    return range.first <= number && number <= range.last;
  });
}

// --- Where a primitive looks -------------------------------------------------

bool is_deeper(const Primitive& primitive, const KindView& kind) {
  return kind.tags > primitive.depth;
}
bool is_here(const Primitive& primitive, const KindView& kind) {
  return kind.tags == primitive.depth && kind.link <= SLUICE_LINK_RARP;
}
// The EtherType belongs to a family that the primitive names.
bool is_named(const Primitive& primitive, unsigned link) {
  constexpr std::array<std::uint8_t, 5> kFamilies = {
      0, Primitive::kIp, Primitive::kIp6, Primitive::kArp, Primitive::kRarp};
  return (primitive.families & kFamilies[link]) != 0;
}
bool is_ip(unsigned link) {
  return link == SLUICE_LINK_IP || link == SLUICE_LINK_IP6;
}

bool carries_ports(unsigned protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
         protocol == IPPROTO_SCTP;
}

bool has_detail(const ProtoView& proto) {
  if (proto.later || proto.where == Where::nowhere ||
      proto.where == Where::behind_fragment6) {
    return false;
  }
  if (proto.protocol == IPPROTO_TCP) {
    return proto.where == Where::ip && proto.reach == 4;
  }
  return (proto.protocol == IPPROTO_ICMP || proto.protocol == IPPROTO_ICMPV6) &&
         proto.reach >= 1;
}

// --- One function for each kind of primitive ---------------------------------

PrimitiveParts of_ether_type(const Primitive& primitive) {
  constexpr std::array<unsigned, 5> kTypes = {0, ETH_P_IP, ETH_P_IPV6,
                                              ETH_P_ARP, 0x8035};
  const auto asks = [&](unsigned type) {
    return inside(primitive.numbers(), type);
  };
  // Kinds that say the type by themselves, and whether it is asked for.
  const auto known = [&](bool wanted) {
    return kinds_where([&](const KindView& kind) {
      if (is_deeper(primitive, kind)) {
        return asks(kind.types[primitive.depth]) == wanted;
      }
      return is_here(primitive, kind) && kind.link != SLUICE_LINK_OTHER &&
             asks(kTypes[kind.link]) == wanted;
    });
  };
  const KindSet other = kinds_where([&](const KindView& kind) {
    return is_here(primitive, kind) && kind.link == SLUICE_LINK_OTHER;
  });
  const bool of_known =
      std::ranges::all_of(primitive.numbers(), [&](const NumberRange& range) {
        return range.first == range.last &&
               (std::ranges::count(kTypes, range.first) != 0 ||
                (primitive.depth < 2 &&
                 std::ranges::count(kTagTypes, range.first) != 0));
      });
  PrimitiveParts parts;
  parts.seen = {{known(true) | known(false) | other, all_protos()}};
  parts.yes = {{known(true), all_protos()}};
  if (of_known) {
    parts.no = {{known(false) | other, all_protos()}};
    return parts;
  }
  parts.yes.push_back({other, all_protos(), Values::inside});
  parts.no = {{known(false), all_protos()},
              {other, all_protos(), Values::outside}};
  return parts;
}

PrimitiveParts of_vlan(const Primitive& primitive) {
  const unsigned depth = primitive.depth;
  const auto numbers = primitive.numbers();
  const bool any = numbers.size() == 1 && numbers[0] == NumberRange{0, 4095};
  const KindSet untagged = kinds_where(
      [&](const KindView& kind) { return is_here(primitive, kind); });
  const KindSet tagged = kinds_where([&](const KindView& kind) {
    const bool cut = kind.tags == depth + 1 && kind.link == SLUICE_TAG_CUT;
    return kind.tags > depth && (any || !cut);
  });
  PrimitiveParts parts;
  parts.seen = {{untagged | tagged, all_protos()}};
  parts.yes = {{tagged, all_protos(), any ? Values::all : Values::inside}};
  parts.no = {{untagged, all_protos()}};
  if (!any) parts.no.push_back({tagged, all_protos(), Values::outside});
  return parts;
}

// Kinds with another EtherType than the primitive's, or no place to look.
KindSet elsewhere(const Primitive& primitive) {
  return kinds_where([&](const KindView& kind) {
    return is_deeper(primitive, kind) ||
           (is_here(primitive, kind) && !is_named(primitive, kind.link));
  });
}

PrimitiveParts of_protocol(const Primitive& primitive) {
  const KindSet asked = kinds_where([&](const KindView& kind) {
    return is_here(primitive, kind) && is_named(primitive, kind.link) &&
           kind.level >= 1;
  });
  const auto asks = [&](unsigned protocol) {
    return inside(primitive.numbers(), protocol);
  };
  const ProtoSet yes = protos_where([&](const ProtoView& proto) {
    if (proto.where == Where::nowhere) return false;
    return asks(proto.protocol) ||
           (proto.where == Where::behind_fragment6 && asks(IPPROTO_FRAGMENT));
  });
  const ProtoSet unseen = protos_where([&](const ProtoView& proto) {
    return proto.where == Where::ip6 && proto.protocol == IPPROTO_FRAGMENT &&
           !asks(IPPROTO_FRAGMENT);
  });
  const KindSet others = elsewhere(primitive);
  return {.yes = {{asked, yes}},
          .no = {{others, all_protos()}, {asked, ~(yes | unseen)}},
          .seen = {{others, all_protos()}, {asked, ~unseen}}};
}

bool has_address4(unsigned link) {
  return link == SLUICE_LINK_IP || link == SLUICE_LINK_ARP ||
         link == SLUICE_LINK_RARP;
}

PrimitiveParts of_address4(const Primitive& primitive) {
  const bool source = primitive.side == Primitive::Side::source;
  const auto level = [source](unsigned link) -> unsigned {
    if (link == SLUICE_LINK_IP) {
      return source ? SLUICE_IP_SOURCE : SLUICE_IP_DESTINATION;
    }
    return source ? SLUICE_ARP_SENDER : SLUICE_ARP_TARGET;
  };
  const auto is_asked = [&](const KindView& kind) {
    return is_here(primitive, kind) && is_named(primitive, kind.link) &&
           has_address4(kind.link) && kind.level >= level(kind.link);
  };
  const KindSet asked = kinds_where(is_asked);
  // Without such an address in the field.
  const KindSet lacking = kinds_where([&](const KindView& kind) {
    return is_here(primitive, kind) && !has_address4(kind.link);
  });
  const KindSet others = elsewhere(primitive) & ~lacking;
  return {.yes = {{asked, all_protos(), Values::inside}},
          .no = {{others, all_protos()},
                 {asked | lacking, all_protos(), Values::outside}},
          .seen = {{others | asked | lacking, all_protos()}}};
}

PrimitiveParts of_address6(const Primitive& primitive) {
  const bool source = primitive.side == Primitive::Side::source;
  const unsigned full = source ? SLUICE_IP6_SOURCE : SLUICE_IP6_DESTINATION;
  const KindSet asked = kinds_where([&](const KindView& kind) {
    return is_here(primitive, kind) && kind.link == SLUICE_LINK_IP6 &&
           kind.level >= full;
  });
  const KindSet lacking = kinds_where([&](const KindView& kind) {
    return is_here(primitive, kind) && kind.link != SLUICE_LINK_IP6;
  });
  const KindSet deeper = kinds_where(
      [&](const KindView& kind) { return is_deeper(primitive, kind); });
  PrimitiveParts parts;
  parts.yes = {{asked, all_protos(), Values::inside}};
  parts.no = {{deeper, all_protos()},
              {asked | lacking, all_protos(), Values::outside}};
  parts.seen = {{deeper | asked | lacking, all_protos()}};
  for (unsigned words = 1; words < 4; ++words) {
    const KindSet cut = kinds_where([&](const KindView& kind) {
      return is_here(primitive, kind) && kind.link == SLUICE_LINK_IP6 &&
             kind.level == full - 4 + words;
    });
    parts.no.push_back({cut, all_protos(), Values::outside, words});
    parts.seen.push_back(parts.no.back());
  }
  return parts;
}

// Of fields in layer 4. `is_ours`: the field has the meaning asked for, `has`:
// it is there, in whatever meaning, `reaches`: ours is there.
struct Transport {
  ProtoSet ours, has, reaches;
};

PrimitiveParts of_transport(const Primitive& primitive, const Transport& at) {
  const KindSet asked = kinds_where([&](const KindView& kind) {
    return is_here(primitive, kind) && is_named(primitive, kind.link) &&
           kind.level >= 1;
  });
  const KindSet deeper_or_not_named = kinds_where([&](const KindView& kind) {
    return is_deeper(primitive, kind) ||
           (is_here(primitive, kind) && is_ip(kind.link) &&
            !is_named(primitive, kind.link));
  });
  const KindSet lacking = kinds_where([&](const KindView& kind) {
    return is_here(primitive, kind) && !is_ip(kind.link);
  });
  const ProtoSet ours = at.ours & at.reaches;
  const ProtoSet nothing = ~at.has & ~at.ours;
  const ProtoSet foreign = at.has & ~at.ours;
  return {.yes = {{asked, ours, Values::inside}},
          .no = {{deeper_or_not_named, all_protos()},
                 {asked | lacking, ours | nothing, Values::outside},
                 {asked, foreign}},
          .seen = {{deeper_or_not_named | lacking, all_protos()},
                   {asked, ours | ~at.ours}}};
}

PrimitiveParts of_port(const Primitive& primitive) {
  const unsigned bytes = primitive.side == Primitive::Side::source ? 2 : 4;
  const auto reaches = [bytes](const ProtoView& proto) {
    return proto.reach >= (bytes == 2 ? 2u : 3u);
  };
  const auto carries = [](const ProtoView& proto) {
    return (proto.where == Where::ip || proto.where == Where::ip6) &&
           !proto.later && carries_ports(proto.protocol);
  };
  const auto named = [&](unsigned protocol) {
    if (protocol == IPPROTO_TCP) return primitive.transports & Primitive::kTcp;
    if (protocol == IPPROTO_UDP) return primitive.transports & Primitive::kUdp;
    return primitive.transports & Primitive::kSctp;
  };
  Transport at;
  at.ours = protos_where([&](const ProtoView& proto) {
    return carries(proto) && named(proto.protocol) != 0;
  });
  at.has = protos_where(
      [&](const ProtoView& proto) { return carries(proto) && reaches(proto); });
  at.reaches = protos_where(reaches);
  return of_transport(primitive, at);
}

PrimitiveParts of_detail(Primitive primitive) {
  Where where = Where::ip;
  unsigned protocol = IPPROTO_TCP;
  unsigned reach = 4;
  if (primitive.kind != Kind::tcp_flags) {
    const bool is_ip6 = primitive.kind == Kind::icmp6_type ||
                        primitive.kind == Kind::icmp6_code;
    where = is_ip6 ? Where::ip6 : Where::ip;
    protocol = is_ip6 ? unsigned{IPPROTO_ICMPV6} : unsigned{IPPROTO_ICMP};
    reach =
        primitive.kind == Kind::icmp_type || primitive.kind == Kind::icmp6_type
            ? 1
            : 2;
  }
  primitive.families = where == Where::ip ? Primitive::kIp : Primitive::kIp6;
  Transport at;
  at.ours = protos_where([&](const ProtoView& proto) {
    return proto.where == where && !proto.later && proto.protocol == protocol;
  });
  at.has = protos_where(has_detail);
  at.reaches = protos_where(
      [&](const ProtoView& proto) { return proto.reach >= reach; });
  return of_transport(primitive, at);
}

}  // namespace

PrimitiveParts parts_of(const Primitive& primitive) {
  switch (primitive.kind) {
    case Kind::ether_type:
      return of_ether_type(primitive);
    case Kind::vlan:
      return of_vlan(primitive);
    case Kind::protocol:
      return of_protocol(primitive);
    case Kind::address4:
      return of_address4(primitive);
    case Kind::address6:
      return of_address6(primitive);
    case Kind::port:
      return of_port(primitive);
    case Kind::tcp_flags:
    case Kind::icmp_type:
    case Kind::icmp_code:
    case Kind::icmp6_type:
    case Kind::icmp6_code:
      return of_detail(primitive);
  }
  return {};
}

}  // namespace sluice::steering
