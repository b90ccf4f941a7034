/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* parse(): what an Ethernet packet is, as libpcap 1.10 sees it.

   Offsets and quirks are libpcap's on purpose, so that a rule here means what
   the same words mean in tcpdump: no VLAN tag is looked through, IPv6 is looked
   into behind at most one fragment header, and the length of the IPv4 header is
   believed. Each helper reads nothing behind the end: a fact that does not fit
   into the packet is not reported.
   Source: gencode.c of libpcap, pcap-filter(7). */
#pragma once

#include <linux/bpf.h> /* First: the helpers need its types. */

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <sluice/abi.h>

#define SLUICE_ETH_P_RARP 0x8035

/* What parse() found. */
struct facts {
  __u32 seen;    /* SLUICE_IS_*, SLUICE_HAS_*. */
  __be32 dst[4]; /* IPv4 in the first, the rest 0. */
  __be16 dst_port;
};

/* A packet in direct reach. Headers are always in its first buffer: drivers
   fill that before they take another one. */
struct packet {
  struct xdp_md* xdp;
  const void* start;
  const void* end;
};

static __always_inline __u32 protocol_fact(__u8 protocol) {
  if (protocol == IPPROTO_UDP) return SLUICE_IS_UDP;
  if (protocol == IPPROTO_TCP) return SLUICE_IS_TCP;
  return 0;
}

static __always_inline int has_ports(__u8 protocol) {
  return protocol == IPPROTO_UDP || protocol == IPPROTO_TCP ||
         protocol == IPPROTO_SCTP;
}

/* ARP and RARP alike: the target address is 24 bytes in. */
static __always_inline void parse_arp(struct packet packet,
                                      struct facts* facts) {
  const __be32* target = packet.start + ETH_HLEN + 24;
  if ((const void*)(target + 1) > packet.end) return;
  facts->seen |= SLUICE_HAS_DST4;
  facts->dst[0] = *target;
}

/* The second port word of a first fragment. A header length below 20 is
   believed: it lets the port overlap the header, as in libpcap. */
static __always_inline void parse_ipv4_port(struct packet packet,
                                            const __u8* ip,
                                            struct facts* facts) {
  const __be16* fragment = (const void*)(ip + 6);
  if (*fragment & bpf_htons(0x1fff)) return;
  const __u32 header = 4 * (ip[0] & 0xf);
  __be16 port;
  if (header == sizeof(struct iphdr)) {
    const __be16* direct = (const void*)(ip + sizeof(struct iphdr) + 2);
    if ((const void*)(direct + 1) > packet.end) return;
    port = *direct;
  } else if (bpf_xdp_load_bytes(packet.xdp, ETH_HLEN + header + 2, &port,
                                sizeof port) != 0) {
    /* By helper: adding to a packet's pointer needs CAP_PERFMON. */
    return;
  }
  facts->seen |= SLUICE_HAS_DST_PORT;
  facts->dst_port = port;
}

static __always_inline void parse_ipv4(struct packet packet,
                                       struct facts* facts) {
  const __u8* ip = packet.start + ETH_HLEN;
  if (ip + 10 > (const __u8*)packet.end) return;
  const __u8 protocol = ip[9];
  facts->seen |= protocol_fact(protocol);
  if (protocol == IPPROTO_ICMP) facts->seen |= SLUICE_IS_ICMP;
  if (has_ports(protocol)) parse_ipv4_port(packet, ip, facts);
  const __be32* dst = (const void*)(ip + 16);
  if ((const void*)(dst + 1) > packet.end) return;
  facts->seen |= SLUICE_HAS_DST4;
  facts->dst[0] = *dst;
}

/* Protocols count behind one fragment header too, whichever fragment it is;
   ports only where no extension header is in between. */
static __always_inline void parse_ipv6(struct packet packet,
                                       struct facts* facts) {
  const __u8* ip = packet.start + ETH_HLEN;
  if (ip + 7 > (const __u8*)packet.end) return;
  const __u8 next = ip[6];
  __u8 protocol = next;
  if (next == IPPROTO_FRAGMENT) {
    protocol = ip + 41 > (const __u8*)packet.end ? IPPROTO_NONE : ip[40];
  }
  facts->seen |= protocol_fact(protocol);
  if (protocol == IPPROTO_ICMPV6) facts->seen |= SLUICE_IS_ICMP6;
  const __be32* dst = (const void*)(ip + 24);
  if ((const void*)(dst + 4) > packet.end) return;
  facts->seen |= SLUICE_HAS_DST6;
  __builtin_memcpy(facts->dst, dst, sizeof facts->dst);
  const __be16* port = (const void*)(ip + 42);
  if (!has_ports(next) || (const void*)(port + 1) > packet.end) return;
  facts->seen |= SLUICE_HAS_DST_PORT;
  facts->dst_port = *port;
}

/* REQUIRES: *facts is zero. */
static __always_inline void parse(struct packet packet, struct facts* facts) {
  const struct ethhdr* eth = packet.start;
  if ((const void*)(eth + 1) > packet.end) return;
  switch (eth->h_proto) {
    case bpf_htons(ETH_P_ARP):
      facts->seen |= SLUICE_IS_ARP;
      parse_arp(packet, facts);
      break;
    case bpf_htons(SLUICE_ETH_P_RARP):
      parse_arp(packet, facts);
      break;
    case bpf_htons(ETH_P_IP):
      facts->seen |= SLUICE_IS_IP;
      parse_ipv4(packet, facts);
      break;
    case bpf_htons(ETH_P_IPV6):
      facts->seen |= SLUICE_IS_IP6;
      parse_ipv6(packet, facts);
      break;
  }
}
