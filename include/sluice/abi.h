/* SPDX-License-Identifier: Apache-2.0 */
/* What the XDP program and user space agree on. Both compile this file: plain
   C11, fixed-width fields, no implicit padding, sizes asserted here once. The
   fields of a packet stay in network order and say so in their type. */
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
#define SLUICE_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size))
#else
#define SLUICE_ASSERT_SIZE(type, size) \
  _Static_assert(sizeof(type) == (size), #type " is BPF ABI")
#endif

/* Of this file. The owner of a running program may be another version. */
#define SLUICE_ABI_VERSION 4
/* Most queues of one interface that can be steered to. */
#define SLUICE_QUEUES_MAX 64

/* What to do with a packet. */
enum sluice_action {
  SLUICE_PASS = 0,    /* To the Linux stack. */
  SLUICE_DROP = 1,    /* Nowhere. */
  SLUICE_STEER = 2,   /* To the socket of the queue it arrived on. */
  SLUICE_REFLECT = 3, /* Back where it came from, both sides swapped. */
  SLUICE_MIRROR = 4,  /* Its first bytes to user space, and on to the next. */
  SLUICE_COUNT = 5,   /* Counted, and on to the next rule. */
};

/* What became of a packet: index of the verdict counters. */
enum sluice_verdict {
  SLUICE_PASSED = 0,
  SLUICE_DROPPED = 1,
  SLUICE_STEERED = 2,
  SLUICE_PASSED_NO_SOCKET = 3,  /* Was to be steered; the queue has none. */
  SLUICE_DROPPED_NO_SOCKET = 4, /* The same, under `else drop`. */
  SLUICE_REFLECTED = 5,
  SLUICE_VERDICTS = 6,
};
/* Of the same array, beside them: what no rule was asked about. */
#define SLUICE_BYPASSED SLUICE_VERDICTS
#define SLUICE_TOTALS (SLUICE_VERDICTS + 1)

/* --- What the program sees of a packet ------------------------------------

   Two small numbers say how a packet is built and how much of it is there;
   the values of its fields come beside them. Between them the numbers decide
   which questions of libpcap's language have an answer.

   Kind: tags, what is behind them, and how far that reaches.
   kind = 16 * link + level. */
#define SLUICE_KINDS 2048
#define SLUICE_LINK_OTHER 0
#define SLUICE_LINK_IP 1
#define SLUICE_LINK_IP6 2
#define SLUICE_LINK_ARP 3
#define SLUICE_LINK_RARP 4
#define SLUICE_LINK_CUT 5 /* Tagged; ends before the EtherType behind. */
#define SLUICE_TAG_CUT 6  /* Tagged; ends before the tag's id. */
/* Plus, for one tag of type a, and two of types a and b, where 0, 1, 2 are
   0x8100, 0x88a8, 0x9100. Tags further in are SLUICE_LINK_OTHER. */
#define SLUICE_LINK_TAG1(a) (8 + 8 * (a))
#define SLUICE_LINK_TAG2(a, b) (32 + 8 * (3 * (a) + (b)))
#define SLUICE_LINKS 104
/* Levels: the last of these that is wholly there, counted from 1. Each needs
   so many bytes behind the EtherType.
     ip:   protocol 10, source 16, destination 20.
     ip6:  next header 7, then source and destination word by word: 12, 16, 20,
           24, 28, 32, 36, 40.
     arp, rarp: sender 18, target 28. */
#define SLUICE_IP_PROTOCOL 1
#define SLUICE_IP_SOURCE 2
#define SLUICE_IP_DESTINATION 3
#define SLUICE_IP6_NEXT 1
#define SLUICE_IP6_SOURCE 5
#define SLUICE_IP6_DESTINATION 9
#define SLUICE_ARP_SENDER 1
#define SLUICE_ARP_TARGET 2

/* Proto: the protocol number p and how much of its header is there.
   ip:  reach 0..4: less than 1, 1, 2, 4 and 14 bytes behind the header. Not
        the first fragment: `later` is 1.
   ip6: reach 0..3: less than 1, 1, 2 and 4 bytes behind the fixed header.
        Behind a fragment header p is the next one's. */
#define SLUICE_PROTOS 4096
#define SLUICE_PROTO4(p, later, reach) (((p) * 2 + (later)) * 5 + (reach))
#define SLUICE_PROTO6(p, reach) (2560 + (p) * 4 + (reach))
#define SLUICE_PROTO6_FRAGMENT(p) (3584 + (p))
#define SLUICE_PROTO_NONE 3840

/* Fields with values. */
enum sluice_field {
  SLUICE_SOURCE = 0,
  SLUICE_DESTINATION = 1,
  SLUICE_SOURCE_PORT = 2,
  SLUICE_DESTINATION_PORT = 3,
  SLUICE_DETAIL = 4, /* TCP: flags. ICMP, ICMPv6: type << 8 | code. */
  SLUICE_VLAN0 = 5,  /* Id of the outer tag. */
  SLUICE_VLAN1 = 6,
  SLUICE_ETHER_TYPE = 7, /* Behind the tags. */
  SLUICE_FIELDS = 8,
};

/* --- A list of rules, ready to be looked up ---------------------------------

   All but the small `sluice_hot` lies in one array of lines: the image. Parts
   name each other by index of line; line 0 is all zero. */
struct sluice_line {
  __u64 word[8];
};
SLUICE_ASSERT_SIZE(struct sluice_line, 64);

/* A way from a value to its class: a reference to a node or a leaf. Values are
   taken in chunks of 16 bits, the highest first. */
#define SLUICE_LEAF (1u << 31)   /* The rest is the line of a class record. */
#define SLUICE_DIRECT (1u << 30) /* 16 lines: 256 references, by a byte. */
#define SLUICE_WIDE (1u << 29)   /* 4096 lines: references by a whole chunk. */
#define SLUICE_REF 0x1fffffffu
/* Ten intervals of a chunk, or of its low byte: the first whose `last` is not
   less than the value. */
struct sluice_node {
  __u32 ref[10];
  __u16 last[9]; /* The tenth's is the largest there is. */
  __u16 reserved[3];
};
SLUICE_ASSERT_SIZE(struct sluice_node, 64);

/* The bit vector of a class: a bit for each of the 4096 clauses of a bank, in
   64 words, of which only those are stored that are neither empty nor full. A
   class has one record for each bank. */
#define SLUICE_BANK 4096
#define SLUICE_BANKS_MAX 8
struct sluice_record {
  __u64 any;   /* Words that are not empty. */
  __u64 mixed; /* Words that are neither empty nor full. If none is, the first
                  word stands in `words` nevertheless. */
  __u32 next;  /* Line of the record of the next bank. */
  __u32 reserved;
  __u64 words[5]; /* The others follow on the lines behind. */
};
SLUICE_ASSERT_SIZE(struct sluice_record, 64);

/* What a class of kinds and a class of protos come to together. */
struct sluice_pair {
  __u32 record; /* Line of their class record. */
  __u32 tables; /* Bit by exact table: whose rules may match. */
};

/* What to do, and by which rule. */
#define SLUICE_RULE_MASK 0x0fffffffu
#define SLUICE_RULE_ACTION(decision) ((decision) >> 28 & 7)
#define SLUICE_RULE_ELSE_DROP (1u << 31)
struct sluice_decision {
  __u32 decision; /* Rule, action, otherwise. The rule orders them. */
  __u32 slot;     /* Of its counter. */
};
/* The same of a clause. */
struct sluice_clause {
  struct sluice_decision rule;
  __u64 before; /* Words of its bank that have clauses of earlier rules. */
};
SLUICE_ASSERT_SIZE(struct sluice_clause, 16);

/* The fields of a packet in one place: key of the exact tables. */
struct sluice_key {
  __u64 source[2]; /* Host order; IPv4: the first 32 bits. */
  __u64 destination[2];
  __u16 vlan[2];
  __u16 destination_port;
  __u16 source_port;
};
SLUICE_ASSERT_SIZE(struct sluice_key, 40);

/* A table of rules that name exact values, or prefixes of one length, of the
   same fields. Open addressing: entries stand in the order of their hashes, at
   most SLUICE_PROBES lines from the one that the hash names. */
#define SLUICE_TABLES_MAX 32
#define SLUICE_PROBES 32
struct sluice_table {
  struct sluice_key mask;
  __u32 base;  /* Line of the first entry. */
  __u32 size;  /* Entries that a hash may name. */
  __u32 flows; /* 1: entries count themselves, as each names a whole flow. */
  __u32 first; /* Rule: the others are later. */
  __u32 reserved[2];
};
SLUICE_ASSERT_SIZE(struct sluice_table, 64);

struct sluice_entry {
  struct sluice_key key; /* Under the mask. */
  __u32 decision;        /* All ones: empty. */
  __u32 slot_or_last;    /* Or last hit, in units of 2^24 ns. */
  __u64 packets;         /* Of flows; added to atomically. */
  __u64 bytes;
};
SLUICE_ASSERT_SIZE(struct sluice_entry, 64);
#define SLUICE_EMPTY 0xffffffffu

/* One counter of one CPU; two to a line. */
struct sluice_counter {
  __u64 packets;
  __u64 bytes;    /* On the wire, without FCS. */
  __u64 last_hit; /* CLOCK_MONOTONIC, coarse, in ns; 0: never. */
  __u64 reserved;
};
SLUICE_ASSERT_SIZE(struct sluice_counter, 32);

/* What is read for each packet, in direct reach of the program. There are two,
   for the list in force and the one that is being built. */
#define SLUICE_HOT_LINES 512
struct sluice_hot {
  __u64 version;        /* Of the list; each is one more. */
  __u64 hash[5];        /* Odd, random: multipliers of the key's words. */
  __u32 fields;         /* Bit by enum sluice_field: some rule asks for it. */
  __u32 pass_fragments; /* 1: fragments pass before the rules are asked. */
  __u32 banks;          /* Of clauses, and... */
  __u32 observers;      /* ...those at their end which count and mirror. */
  __u32 root4[2];       /* References: of source, destination. */
  __u32 root6[2];       /* The same for IPv6. */
  __u32 root[SLUICE_FIELDS]; /* Of the others. */
  __u32 none[SLUICE_FIELDS]; /* Class record where a field is not there. */
  __u32 pairs;               /* Line: struct sluice_pair, by kind and proto. */
  __u32 proto_classes;       /* Pairs of one class of kinds. */
  __u32 clauses;             /* Line: struct sluice_clause of each. */
  __u32 tables;              /* Line: struct sluice_table of each table. */
  __u32 counters;            /* Line: counters of the first CPU. */
  __u32 counter_lines;       /* Of one CPU. */
  struct sluice_decision otherwise; /* When no rule matches. */
  __u32 fragment_slot;
  __u32 text; /* Line: the list as it is written, and its bytes. */
  __u32 text_bytes;
  __u32 flows_count; /* 1: rules that name whole flows count in entries. */
  __u32 is_short;    /* One word of clauses, no observers, all in `lines`. */
  __u32 labels;      /* Line: label ids by rule, 16 to a line; 0: none. */
  __u32 hints;       /* SLUICE_HINT_: packets are steered with these. */
  __u32 reserved;
  __u16 kind_class[SLUICE_KINDS];
  __u16 proto_class[SLUICE_PROTOS];
  struct sluice_line lines[SLUICE_HOT_LINES]; /* The first of the image. */
};

/* In direct reach of the program, and of whoever maps its memory. */
struct sluice_direct {
  __u32 in_force;     /* Which of the lists. Read once for each packet, so that
                         no packet sees parts of both. */
  __u32 bypassing;    /* Whether any flow was ever bypassed. Beside the other,
                         so that it costs no cache line of its own. */
  __u64 mirrors_lost; /* Packets that found the ring buffer full. */
  /* The list in force, and one that is being built. User space's. */
  struct sluice_hot hot[2];
};

/* What a NIC can tell of a packet beside its bytes: the bits of the kernel's
   enum netdev_xdp_rx_metadata. */
#define SLUICE_HINT_TIME 1
#define SLUICE_HINT_HASH 2
#define SLUICE_HINT_VLAN 4

/* In front of a packet that is steered: which rule of which list did it. Where
   a driver has no room for it, a packet comes without. */
#define SLUICE_METADATA_MAGIC 0x534c4d44u /* "SLMD" */
enum sluice_clock {
  SLUICE_CLOCK_NONE = 0,
  SLUICE_CLOCK_MONOTONIC = 1,
  SLUICE_CLOCK_HARDWARE = 2,
  SLUICE_CLOCK_FILE = 3, /* Of a capture. */
};
struct sluice_metadata {
  __u32 magic;   /* First: further from the packet than all else. */
  __u32 rule;    /* Number in the list; SLUICE_RULE_MASK: the default. */
  __u64 version; /* Of the list. */
  __u64 time;    /* In ns, by `clock`. */
  __u32 label;   /* Id of the rule's label; 0: it has none. */
  __u8 clock;    /* enum sluice_clock. */
  __u8 hints; /* SLUICE_HINT_HASH, SLUICE_HINT_VLAN: of struct sluice_hints. */
  __u16 hash_type; /* As enum xdp_rss_hash_type of Linux 6.3. */
};
SLUICE_ASSERT_SIZE(struct sluice_metadata, 32); /* More is refused by 6.1. */

/* In front of the metadata, where its `hints` name any of these. */
struct sluice_hints {
  __u32 hash;          /* By the NIC. */
  __u16 vlan_protocol; /* Host order, as the next. */
  __u16 vlan_control;
};
SLUICE_ASSERT_SIZE(struct sluice_hints, 8);

/* One counter of one CPU. */
struct sluice_count {
  __u64 packets;
  __u64 bytes; /* On the wire, without FCS. */
};
SLUICE_ASSERT_SIZE(struct sluice_count, 16);

/* What a mirror rule sends to user space: a record of the ring buffer. */
#define SLUICE_MIRROR_BYTES 256
struct sluice_mirrored {
  __u64 time;     /* CLOCK_MONOTONIC, ns. */
  __u32 rule;     /* Of the list in force then. */
  __u32 size;     /* Of the packet. */
  __u32 captured; /* Bytes of it below. */
  __u32 queue;
  __u8 bytes[SLUICE_MIRROR_BYTES];
};
SLUICE_ASSERT_SIZE(struct sluice_mirrored, 24 + SLUICE_MIRROR_BYTES);

/* --- Flows that the program deals with itself ------------------------------

   A table of its own, written by user space while packets are looked up. All
   of it lies in one array of lines: 16 for the head, then buckets of 16, of
   which the first holds the tags of the 15 entries behind it, so that a flow
   that is not there costs one cache line. */
#define SLUICE_BYPASS_WAYS 16 /* Lines of a bucket: tags, and 15 entries. */
struct sluice_bypass_head {
  __u64 hash[6]; /* Odd, random: multipliers of the key's words; of the sum. */
  __u32 buckets;
  __u32 reserved;
  __u64 reserved2;
};
SLUICE_ASSERT_SIZE(struct sluice_bypass_head, 64);
/* Line 1; user space's. */
struct sluice_bypass_counts {
  __u64 inserted;
  __u64 evicted; /* Entries that had time left. */
  __u64 reserved[6];
};
SLUICE_ASSERT_SIZE(struct sluice_bypass_counts, 64);
/* Hashes; 0: never used. tag[0] is none. */
struct sluice_bypass_tags {
  __u32 tag[SLUICE_BYPASS_WAYS];
};
SLUICE_ASSERT_SIZE(struct sluice_bypass_tags, 64);
/* Source, destination: as in struct sluice_key. Then IP version << 40,
   protocol << 32, source port << 16, destination port: 0 but for TCP, UDP. */
struct sluice_bypass_key {
  __u64 word[5];
};
/* State: until << 20, generation << 4, SLUICE_BYPASS_BUSY, action (3 bits).
   Until: CLOCK_MONOTONIC in units of 2^20 ns. Each change is another
   generation, so that who reads the same state twice has read one entry. */
#define SLUICE_BYPASS_BUSY 8u /* Is being written. */
#define SLUICE_BYPASS_UNTIL 20
#define SLUICE_BYPASS_UNIT 20
struct sluice_bypassed {
  struct sluice_bypass_key key;
  __u64 state;
  __u64 packets; /* Added to atomically. */
  __u64 bytes;
};
SLUICE_ASSERT_SIZE(struct sluice_bypassed, 64);

/* "SLUI", the first word of the identity. */
#define SLUICE_MAGIC 0x534c5549u

/* Whose program this is. The whole of the program's read-only data, so that
   any process that may read BPF objects can ask a running program. */
struct sluice_identity {
  __u32 magic;       /* SLUICE_MAGIC. */
  __u32 abi_version; /* SLUICE_ABI_VERSION of who loaded it. */
  __u32 owner_pid;   /* In the owner's PID namespace. */
  __u16 frags;       /* 1: loaded for packets in several buffers. */
  __u16 hints;       /* SLUICE_HINT_: asks the NIC for these, which takes a
                        program for one interface; 0: it is for any. */
  __u64 owner_start; /* Field 22 of /proc/PID/stat: tells reused pids apart. */
  char version[16];  /* Of Sluice, NUL-terminated. */
};
SLUICE_ASSERT_SIZE(struct sluice_identity, 40);
