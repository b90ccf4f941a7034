/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* What bench/steering measures with: a program that makes each packet another
   one before the program under test sees it, and other designs to compare. */
#include <bpf/parse.h>

/* What differs between packets: from the EtherType on. */
struct draw_packet {
  __u8 bytes[64];
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct draw_packet);
} packets SEC(".maps");

/* 0: the program under test. */
struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} subject SEC(".maps");

__u64 count = 1; /* Of packets. */
__u64 state = 88172645463325252ull;

SEC("xdp")
int draw(struct xdp_md* xdp) {
  __u8* data = (void*)(long)xdp->data;
  if (data + 76 > (__u8*)(long)xdp->data_end) return XDP_ABORTED;
  state ^= state << 13; /* xorshift64. */
  state ^= state >> 7;
  state ^= state << 17;
  const __u32 index = (__u32)((state >> 32) * count >> 32);
  const struct draw_packet* packet = bpf_map_lookup_elem(&packets, &index);
  if (!packet) return XDP_ABORTED;
  __builtin_memcpy(data + 12, packet->bytes, 64);
  bpf_tail_call(xdp, &subject, 0);
  return XDP_ABORTED;
}

/* In place of the program under test: what drawing costs. */
SEC("xdp")
int nothing(struct xdp_md* xdp) {
  (void)xdp;
  return XDP_PASS;
}

/* --- Another design: the kernel's hash maps, one look-up for each mask
 * -------- */

struct hash_value {
  __u32 rule;
  __u32 reserved;
  __u64 packets;
  __u64 bytes;
};

struct hash_key {
  struct sluice_key key; /* Under the mask. */
  __u32 mask;
  __u32 protocol;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __type(key, struct hash_key);
  __type(value, struct hash_value);
} hashes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, struct sluice_key);
} masks SEC(".maps");
__u32 mask_count = 1;

struct tuple_walk {
  struct facts facts;
  __u32 best; /* Rule; all ones: none. */
  __u32 mask; /* Its mask. */
};

static __always_inline struct hash_value* ask_hash(
    const struct tuple_walk* walk, __u32 index) {
  const __u64* mask = bpf_map_lookup_elem(&masks, &index);
  if (!mask) return 0;
  struct hash_key key = {.mask = index, .protocol = walk->facts.proto / 10};
  const __u64* from = (const void*)&walk->facts.key;
  __u64* to = (void*)&key.key;
#pragma unroll
  for (int i = 0; i < 5; ++i) to[i] = from[i] & mask[i];
  return bpf_map_lookup_elem(&hashes, &key);
}

static long ask_mask(__u32 index, struct tuple_walk* walk) {
  if (index >= mask_count) return 1;
  const struct hash_value* found = ask_hash(walk, index);
  if (found && found->rule < walk->best) {
    walk->best = found->rule;
    walk->mask = index;
  }
  return 0;
}

SEC("xdp")
int tuples(struct xdp_md* xdp) {
  struct tuple_walk walk = {.best = ~0u};
  parse(xdp, &walk.facts);
  bpf_loop(1024, ask_mask, &walk, 0);
  if (walk.best == ~0u) return XDP_PASS;
  struct hash_value* found = ask_hash(&walk, walk.mask);
  if (!found) return XDP_PASS;
  __sync_fetch_and_add(&found->packets, 1);
  __sync_fetch_and_add(&found->bytes, bpf_xdp_get_buff_len(xdp));
  return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
