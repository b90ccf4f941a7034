/* SPDX-License-Identifier: Apache-2.0 */
/* What the XDP program and user space agree on. Both compile this file: plain
   C11, fixed-width fields, no implicit padding, sizes asserted here once. The
   fields of a packet stay in network order and say so in their type.

   Rules: one list, looked through from the top, first match wins. A rule
   matches a packet that has all the facts it needs, and the address and the
   port it names. */
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
#define SLUICE_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size))
#else
#define SLUICE_ASSERT_SIZE(type, size) \
  _Static_assert(sizeof(type) == (size), #type " is BPF ABI")
#endif

/* Of this file. The owner of a running program may be another version. */
#define SLUICE_ABI_VERSION 1
/* Most queues of one interface that can be steered to. */
#define SLUICE_QUEUES_MAX 64
/* Most rules in a list. */
#define SLUICE_RULES_MAX 64
/* Counter slots of rules: twice the rules, so that a new list never takes a
   slot that the list it replaces still counts in. */
#define SLUICE_HANDLES_MAX 128
/* Counter slot of the packets that no rule matched. */
#define SLUICE_HANDLE_DEFAULT 128

/* What to do with a packet. */
enum sluice_action {
  SLUICE_PASS = 0,  /* To the Linux stack. */
  SLUICE_DROP = 1,  /* Nowhere. */
  SLUICE_STEER = 2, /* To the socket of the queue it arrived on. */
};

/* What became of a packet: index of the verdict counters. */
enum sluice_verdict {
  SLUICE_PASSED = 0,
  SLUICE_DROPPED = 1,
  SLUICE_STEERED = 2,
  SLUICE_PASSED_NO_SOCKET = 3,  /* Was to be steered; the queue has none. */
  SLUICE_DROPPED_NO_SOCKET = 4, /* The same, under `else drop`. */
  SLUICE_VERDICTS = 5,
};

/* What a packet is seen to be: bits of sluice_rule.need. A fact that would
   have to be read behind the end of the packet is not there. */
#define SLUICE_IS_ARP (1u << 0)
#define SLUICE_IS_IP (1u << 1)
#define SLUICE_IS_IP6 (1u << 2)
#define SLUICE_IS_UDP (1u << 3)
#define SLUICE_IS_TCP (1u << 4)
#define SLUICE_IS_ICMP (1u << 5)
#define SLUICE_IS_ICMP6 (1u << 6)
#define SLUICE_HAS_DST4 (1u << 7)     /* IPv4, or target of ARP and RARP. */
#define SLUICE_HAS_DST6 (1u << 8)     /* IPv6. */
#define SLUICE_HAS_DST_PORT (1u << 9) /* TCP, UDP or SCTP, at its place. */

/* One rule. */
struct sluice_rule {
  __u32 need;      /* SLUICE_IS_*, SLUICE_HAS_*: all of them. 0: any packet. */
  __u8 dst[16];    /* With SLUICE_HAS_DST4 (first 4 bytes) or _DST6; else 0. */
  __be16 dst_port; /* With SLUICE_HAS_DST_PORT; else 0. */
  __u8 action;     /* enum sluice_action. */
  __u8 otherwise;  /* Steer, but no socket: SLUICE_PASS or SLUICE_DROP. */
  __u32 handle;    /* Counter slot, < SLUICE_HANDLES_MAX. */
  __u32 reserved;  /* 0. */
};
SLUICE_ASSERT_SIZE(struct sluice_rule, 32);

/* A whole list. Replaced as one, so that no packet sees half of it. */
struct sluice_rule_list {
  __u32 version;        /* SLUICE_ABI_VERSION. */
  __u32 count;          /* Rules in use, <= SLUICE_RULES_MAX. */
  __u32 default_action; /* enum sluice_action, when no rule matches. */
  __u32 reserved;       /* 0. */
  struct sluice_rule rules[SLUICE_RULES_MAX];
};
SLUICE_ASSERT_SIZE(struct sluice_rule_list, 16 + 32 * SLUICE_RULES_MAX);

/* One counter of one CPU. */
struct sluice_count {
  __u64 packets;
  __u64 bytes; /* On the wire, without FCS. */
};
SLUICE_ASSERT_SIZE(struct sluice_count, 16);

/* "SLUI", the first word of the identity. */
#define SLUICE_MAGIC 0x534c5549u

/* Whose program this is. The whole of the program's read-only data, so that
   any process that may read BPF objects can ask a running program. */
struct sluice_identity {
  __u32 magic;       /* SLUICE_MAGIC. */
  __u32 abi_version; /* SLUICE_ABI_VERSION of who loaded it. */
  __u32 owner_pid;   /* In the owner's PID namespace. */
  __u32 frags;       /* 1: loaded for packets in several buffers. */
  __u64 owner_start; /* Field 22 of /proc/PID/stat: tells reused pids apart. */
  char version[16];  /* Of Sluice, NUL-terminated. */
};
SLUICE_ASSERT_SIZE(struct sluice_identity, 40);
