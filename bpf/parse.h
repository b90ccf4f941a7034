/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* parse(): what an Ethernet packet is, as libpcap 1.10 sees it.

   Offsets and quirks are libpcap's on purpose, so that a rule here means what
   the same words mean in tcpdump: IPv6 is looked into behind at most one
   fragment header, and the length of the IPv4 header is believed. Nothing is
   read behind the end: what is not wholly there is not reported.

   Ordinary packets, untagged, long enough and without IPv4 options, are read
   where they lie. All others are copied first, which costs more and is rare.
   Source: gencode.c of libpcap, pcap-filter(7). */
#pragma once

#include <linux/bpf.h> /* First: the helpers need its types. */

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <sluice/abi.h>

#define SLUICE_ETH_P_RARP 0x8035
#define SLUICE_ETH_P_QINQ1 0x9100

/* What parse() found. */
struct facts {
  struct sluice_key key; /* 0 where a field is not there. */
  __u32 have;            /* Bits by enum sluice_field. */
  __u32 kind;
  __u32 proto;
  __u16 detail;
  __u16 ether_type;
  __u32 is_ip6;    /* The addresses are IPv6. */
  __u32 network;   /* Offset of what is behind the EtherType. */
  __u32 transport; /* Offset of the ports; 0: there are none. */
  __u32 fragment;  /* A part of an IP datagram, the first one too. */
};

#define SLUICE_HAVE(field) (1u << (field))

/* The first bytes of the network layer, and how many of them there are. */
struct network {
  __u8 bytes[48];
  __u32 size;
};

/* REQUIRES: on the stack, `at` is a multiple of the size: the verifier's. */
static __always_inline __u16 half_at(const void* at) {
  return bpf_ntohs(*(const __be16*)at);
}

static __always_inline __u64 word_at(const void* at) {
  return bpf_ntohl(*(const __be32*)at);
}

static __always_inline int has_ports(__u32 protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
         protocol == IPPROTO_SCTP;
}

/* Fields of layer 4: `size` bytes of it, of which `at` has up to 14. */
static __always_inline void parse_transport(const __u8* at, __u32 size,
                                            __u32 protocol, __u32 offset,
                                            struct facts* facts) {
  if (has_ports(protocol)) {
    facts->transport = offset;
    if (size >= 2) {
      facts->key.source_port = half_at(at);
      facts->have |= SLUICE_HAVE(SLUICE_SOURCE_PORT);
    }
    if (size >= 4) {
      facts->key.destination_port = half_at(at + 2);
      facts->have |= SLUICE_HAVE(SLUICE_DESTINATION_PORT);
    }
    if (protocol == IPPROTO_TCP && size >= 14) {
      facts->detail = at[13];
      facts->have |= SLUICE_HAVE(SLUICE_DETAIL);
    }
  } else if ((protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) &&
             size >= 1) {
    facts->detail = (__u16)(at[0] << 8);
    if (size >= 2) facts->detail |= at[1];
    facts->have |= SLUICE_HAVE(SLUICE_DETAIL);
  }
}

/* The fixed header of IPv4, 20 bytes. `size` bytes of layer 4 are there. */
static __always_inline void parse_ip_header(const __u8* ip,
                                            struct facts* facts) {
  facts->key.source[0] = word_at(ip + 12) << 32;
  facts->key.destination[0] = word_at(ip + 16) << 32;
  facts->have |= SLUICE_HAVE(SLUICE_SOURCE) | SLUICE_HAVE(SLUICE_DESTINATION);
}

static __always_inline __u32 reach4(__u32 size) {
  return size >= 14 ? 4 : size >= 4 ? 3 : size >= 2 ? 2 : size;
}

static __always_inline __u32 reach6(__u32 size) {
  return size >= 4 ? 3 : size >= 2 ? 2 : size;
}

static __always_inline void parse_ip6_addresses(const __u8* ip,
                                                struct facts* facts) {
  facts->key.source[0] = word_at(ip + 8) << 32 | word_at(ip + 12);
  facts->key.source[1] = word_at(ip + 16) << 32 | word_at(ip + 20);
  facts->key.destination[0] = word_at(ip + 24) << 32 | word_at(ip + 28);
  facts->key.destination[1] = word_at(ip + 32) << 32 | word_at(ip + 36);
  facts->have |= SLUICE_HAVE(SLUICE_SOURCE) | SLUICE_HAVE(SLUICE_DESTINATION);
  facts->is_ip6 = 1;
}

/* The next header, and what stands behind the fixed one: `next` is its first
   bytes, of which `size` are there. */
static __always_inline void parse_ip6_next(__u32 protocol, const __u8* next,
                                           __u32 size, struct facts* facts) {
  if (protocol == IPPROTO_FRAGMENT && size >= 1) {
    facts->proto = SLUICE_PROTO6_FRAGMENT(next[0]);
    return;
  }
  facts->proto = SLUICE_PROTO6(protocol, reach6(size));
  parse_transport(next, size < 4 ? size : 4, protocol, facts->network + 40,
                  facts);
}

static __always_inline int may_hide_fragment(__u32 next) {
  return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
         next == IPPROTO_DSTOPTS || next == IPPROTO_AH ||
         next == IPPROTO_FRAGMENT;
}

/* Whether there is a fragment header among the first eight extension headers,
   and it says "fragment". The first of them, of type `next`, is at `at`. */
static __noinline int is_fragment6(struct xdp_md* xdp, __u32 next, __u32 at) {
  for (int i = 0; i < 8; ++i) {
    __u8 header[4];
    if (!may_hide_fragment(next)) return 0;
    if (bpf_xdp_load_bytes(xdp, at, header, sizeof header) != 0) return 0;
    if (next == IPPROTO_FRAGMENT) {
      /* Offset, and the bit that says that more follow. */
      return (half_at(header + 2) & 0xfff9) != 0;
    }
    if (next == IPPROTO_AH) {
      at += (header[1] + 2u) * 4;
    } else {
      at += (header[1] + 1u) * 8;
    }
    next = header[0];
  }
  return 0;
}

/* --- Packets that are copied first ---------------------------------------- */

/* Copies the first of `left` bytes that are at `at`, as many as `most`; says
   how many. Counted from 0 and not merged by the compiler, so that the verifier
   of every kernel sees a number from 1 to `most`: before Linux 6.8 it learns
   nothing from a comparison with 0. */
static __always_inline __u32 copy(struct xdp_md* xdp, __u32 at, __u32 left,
                                  __u8* to, __u32 most) {
  if (left == 0) return 0;
  __u32 last = left - 1;
  asm volatile("" : "+r"(last));
  if (last > most - 1) last = most - 1;
  asm volatile("" : "+r"(last));
  const __u32 size = last + 1;
  return bpf_xdp_load_bytes(xdp, at, to, size) == 0 ? size : 0;
}

static __always_inline __u32 ip6_level(__u32 size) {
  if (size < 12) return size >= 7 ? SLUICE_IP6_NEXT : 0;
  const __u32 level = size / 4 - 1; /* 12 is 2, 40 is 9. */
  return level < SLUICE_IP6_DESTINATION ? level : SLUICE_IP6_DESTINATION;
}

static __always_inline void parse_copied_ip(struct xdp_md* xdp,
                                            const struct network* network,
                                            struct facts* facts) {
  const __u8* ip = network->bytes;
  const __u32 size = network->size;
  facts->fragment = size >= 8 && (half_at(ip + 6) & 0x3fff) != 0;
  if (size < 10) return;
  facts->kind += size >= 20   ? SLUICE_IP_DESTINATION
                 : size >= 16 ? SLUICE_IP_SOURCE
                              : SLUICE_IP_PROTOCOL;
  if (size >= 16) {
    facts->key.source[0] = word_at(ip + 12) << 32;
    facts->have |= SLUICE_HAVE(SLUICE_SOURCE);
  }
  if (size >= 20) {
    facts->key.destination[0] = word_at(ip + 16) << 32;
    facts->have |= SLUICE_HAVE(SLUICE_DESTINATION);
  }
  const __u32 protocol = ip[9];
  const __u32 later = (half_at(ip + 6) & 0x1fff) != 0;
  const __u32 header = 4u * (ip[0] & 15);
  __u8 transport[16] = {};
  const __u32 left = copy(xdp, facts->network + header,
                          size > header ? size - header : 0, transport, 14);
  facts->proto = SLUICE_PROTO4(protocol, later, reach4(left));
  if (!later) {
    parse_transport(transport, left, protocol, facts->network + header, facts);
  }
}

static __always_inline void parse_copied_ip6(struct xdp_md* xdp,
                                             const struct network* network,
                                             struct facts* facts) {
  const __u8* ip = network->bytes;
  const __u32 size = network->size;
  facts->kind += ip6_level(size);
  if (size < 7) return;
  /* Words that are only partly there count as not there. */
  parse_ip6_addresses(ip, facts);
  const __u32 next = ip[6];
  if (size < 40) {
    facts->proto = SLUICE_PROTO6(next, 0);
    return;
  }
  parse_ip6_next(next, ip + 40, size - 40, facts);
  facts->fragment = (__u32)is_fragment6(xdp, next, facts->network + 40);
}

/* A word at an odd multiple of two. */
static __always_inline __u64 halves_at(const __u8* at) {
  return (__u64)half_at(at) << 16 | half_at(at + 2);
}

static __always_inline void parse_copied_arp(const struct network* network,
                                             struct facts* facts) {
  const __u8* arp = network->bytes;
  if (network->size < 18) return;
  facts->kind += SLUICE_ARP_SENDER;
  facts->key.source[0] = halves_at(arp + 14) << 32;
  facts->have |= SLUICE_HAVE(SLUICE_SOURCE);
  if (network->size < 28) return;
  facts->kind += SLUICE_ARP_TARGET - SLUICE_ARP_SENDER;
  facts->key.destination[0] = word_at(arp + 24) << 32;
  facts->have |= SLUICE_HAVE(SLUICE_DESTINATION);
}

/* The number of a tag's type, 0 to 2, or 3: it is none. */
static __always_inline __u32 tag_type(__u32 type) {
  if (type == ETH_P_8021Q) return 0;
  if (type == ETH_P_8021AD) return 1;
  return type == SLUICE_ETH_P_QINQ1 ? 2 : 3;
}

static __always_inline __u32 link_of(__u32 type) {
  switch (type) {
    case ETH_P_IP:
      return SLUICE_LINK_IP;
    case ETH_P_IPV6:
      return SLUICE_LINK_IP6;
    case ETH_P_ARP:
      return SLUICE_LINK_ARP;
    case SLUICE_ETH_P_RARP:
      return SLUICE_LINK_RARP;
    default:
      return SLUICE_LINK_OTHER;
  }
}

/* Walks over up to two tags. Says what is behind; its place goes to *facts. */
static __always_inline __u32 parse_tags(struct xdp_md* xdp, __u32 size,
                                        __u32 type, struct facts* facts) {
  __u32 base = 0;
  __u32 outer = 0;
  for (int i = 0; i < 2; ++i) {
    const __u32 tag = tag_type(type);
    if (tag == 3) break;
    __u8 bytes[4] = {};
    const __u32 left = size - facts->network;
    base = i == 0 ? SLUICE_LINK_TAG1(tag) : SLUICE_LINK_TAG2(outer, tag);
    outer = tag;
    if (left < 2) return base + SLUICE_TAG_CUT;
    if (bpf_xdp_load_bytes(xdp, facts->network, bytes, left < 4 ? 2 : 4) != 0) {
      return base + SLUICE_TAG_CUT;
    }
    facts->key.vlan[i] = half_at(bytes) & 0x0fff;
    facts->have |= SLUICE_HAVE(SLUICE_VLAN0 + i);
    if (left < 4) return base + SLUICE_LINK_CUT;
    type = half_at(bytes + 2);
    facts->network += 4;
  }
  facts->ether_type = (__u16)type;
  facts->have |= SLUICE_HAVE(SLUICE_ETHER_TYPE);
  return base + link_of(type);
}

/* Global, so that the verifier looks at it once, and not for each caller. */
__noinline int parse_copied(struct xdp_md* xdp, __u32 type,
                            struct facts* facts) {
  if (!facts) return 0;
  const __u32 size = (__u32)bpf_xdp_get_buff_len(xdp);
  facts->network = ETH_HLEN;
  const __u32 link = parse_tags(xdp, size, type, facts);
  facts->kind = 16 * link;
  facts->proto = SLUICE_PROTO_NONE;
  struct network network = {};
  network.size = size > facts->network ? size - facts->network : 0;
  copy(xdp, facts->network, network.size, network.bytes, sizeof network.bytes);
  switch (link & 7) { /* A link of tags is a multiple of 8 more. */
    case SLUICE_LINK_IP:
      parse_copied_ip(xdp, &network, facts);
      break;
    case SLUICE_LINK_IP6:
      parse_copied_ip6(xdp, &network, facts);
      break;
    case SLUICE_LINK_ARP:
    case SLUICE_LINK_RARP:
      parse_copied_arp(&network, facts);
      break;
  }
  return 0;
}

/* --- Packets that are read in place --------------------------------------- */

/* REQUIRES: *facts is zero. */
static __always_inline void parse(struct xdp_md* xdp, struct facts* facts) {
  const __u8* data = (const void*)(long)xdp->data;
  const __u8* end = (const void*)(long)xdp->data_end;
  const __u8* network = data + ETH_HLEN;
  if (network > end) return;
  const __u32 type = half_at(data + 12);
  facts->ether_type = (__u16)type;
  facts->have = SLUICE_HAVE(SLUICE_ETHER_TYPE);
  facts->network = ETH_HLEN;
  if (type == ETH_P_IP && network + 34 <= end && network[0] % 16 == 5) {
    const __u32 protocol = network[9];
    const __u32 later = (half_at(network + 6) & 0x1fff) != 0;
    facts->kind = 16 * SLUICE_LINK_IP + SLUICE_IP_DESTINATION;
    facts->proto = SLUICE_PROTO4(protocol, later, 4);
    facts->fragment = (half_at(network + 6) & 0x3fff) != 0;
    parse_ip_header(network, facts);
    if (!later) {
      parse_transport(network + 20, 14, protocol, ETH_HLEN + 20, facts);
    }
    return;
  }
  if (type == ETH_P_IPV6 && network + 44 <= end) {
    facts->kind = 16 * SLUICE_LINK_IP6 + SLUICE_IP6_DESTINATION;
    parse_ip6_addresses(network, facts);
    parse_ip6_next(network[6], network + 40, 4, facts);
    if (may_hide_fragment(network[6])) {
      facts->fragment = (__u32)is_fragment6(xdp, network[6], ETH_HLEN + 40);
    }
    return;
  }
  if (tag_type(type) == 3 && link_of(type) == SLUICE_LINK_OTHER) {
    facts->kind = 16 * SLUICE_LINK_OTHER;
    facts->proto = SLUICE_PROTO_NONE;
    return;
  }
  facts->have = 0;
  parse_copied(xdp, type, facts);
}
