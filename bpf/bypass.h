/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* bypass(): what user space has said about the packet's flow, before any rule
   is asked. Fragments have no flow here, and neither have tagged packets nor
   those with IPv6 extension headers. */
#pragma once

#include "lookup.h"

#define SLUICE_NO_BYPASS SLUICE_NO_RULE

/* Says whether the packet is of a flow that may be in the table. */
static __always_inline int bypass_key(const struct facts* facts,
                                      struct sluice_bypass_key* key) {
  __u64 version = 4;
  __u64 protocol = facts->proto / 10;
  if (facts->fragment) return 0;
  if (facts->kind == 16 * SLUICE_LINK_IP6 + SLUICE_IP6_DESTINATION) {
    if (facts->proto >= SLUICE_PROTO6_FRAGMENT(0)) return 0;
    version = 6;
    protocol = (facts->proto - SLUICE_PROTO6(0, 0)) / 4;
    if (may_hide_fragment((__u32)protocol)) return 0;
  } else if (facts->kind != 16 * SLUICE_LINK_IP + SLUICE_IP_DESTINATION) {
    return 0;
  }
  key->word[0] = facts->key.source[0];
  key->word[1] = facts->key.source[1];
  key->word[2] = facts->key.destination[0];
  key->word[3] = facts->key.destination[1];
  key->word[4] = version << 40 | protocol << 32;
  if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) {
    key->word[4] |= (__u64)facts->key.source_port << 16;
    key->word[4] |= facts->key.destination_port;
  }
  return 1;
}

/* The entry's decision, if it is the flow's and has time left. Counting is also
   what keeps the loads in order, on every processor: atomic operations that
   return something do. An entry whose state is the same before and behind them
   was not written in between, where its key is looked at. */
__noinline __u32 ask_bypassed(const struct sluice_bypass_key* key, __u32 line,
                              __u64 bytes) {
  if (!key) return SLUICE_NO_BYPASS;
  struct sluice_bypassed* entry = bpf_map_lookup_elem(&bypassed, &line);
  if (!entry) return SLUICE_NO_BYPASS;
  const __u64 state = *(volatile __u64*)&entry->state;
  const __u64 now = bpf_ktime_get_coarse_ns() >> SLUICE_BYPASS_UNIT;
  if (state & SLUICE_BYPASS_BUSY) return SLUICE_NO_BYPASS;
  if (state >> SLUICE_BYPASS_UNTIL <= now) return SLUICE_NO_BYPASS;
  if (!same_key(&entry->key, key)) return SLUICE_NO_BYPASS;
  __u64 fence = __sync_fetch_and_add(&entry->packets, 1);
  asm volatile("" : "+r"(fence)); /* Or clang drops what it returned. */
  const int same = same_key(&entry->key, key);
  fence = __sync_fetch_and_add(&entry->bytes, bytes);
  asm volatile("" : "+r"(fence));
  if (!same || *(volatile __u64*)&entry->state != state) {
    return SLUICE_NO_BYPASS;
  }
  return (__u32)(state & 7) << 28 | SLUICE_RULE_MASK; /* Of no rule. */
}

/* A decision, or SLUICE_NO_BYPASS. */
__noinline __u32 bypass(struct lookup* lookup) {
  if (!lookup) return SLUICE_NO_BYPASS;
  struct sluice_bypass_key key;
  if (!bypass_key(&lookup->facts, &key)) return SLUICE_NO_BYPASS;
  __u32 line = 0;
  const struct sluice_bypass_head* head = bpf_map_lookup_elem(&bypassed, &line);
  if (!head) return SLUICE_NO_BYPASS;
  __u64 hash = 0;
#pragma unroll
  for (int i = 0; i < 5; ++i) hash += key.word[i] * head->hash[i];
  /* Twice: once would leave flows whose addresses follow each other crowded. */
#pragma unroll
  for (int i = 0; i < 2; ++i) hash = (hash ^ hash >> 32) * head->hash[5];
  line = 1 + (__u32)((hash >> 32) * head->buckets >> 32);
  line *= SLUICE_BYPASS_WAYS;
  const __u32 tag = (__u32)hash | 1;
  const struct sluice_bypass_tags* tags = bpf_map_lookup_elem(&bypassed, &line);
  if (!tags) return SLUICE_NO_BYPASS;
#pragma unroll
  for (__u32 i = 1; i < SLUICE_BYPASS_WAYS; ++i) {
    if (tags->tag[i] != tag) continue;
    const __u32 decision = ask_bypassed(&key, line + i, lookup->bytes);
    if (decision != SLUICE_NO_BYPASS) return decision;
  }
  return SLUICE_NO_BYPASS;
}
