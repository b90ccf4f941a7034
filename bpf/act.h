/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* What becomes of a packet, and of the counters. */
#pragma once

#include "hints.h"
#include "lookup.h"

static __always_inline void count_verdict(__u32 verdict, __u64 bytes) {
  struct sluice_count* count = bpf_map_lookup_elem(&verdicts, &verdict);
  if (!count) return;
  count->packets += 1;
  count->bytes += bytes;
}

/* A rule's counter of this CPU: nobody else writes it. */
static __always_inline void count_rule(__u32 active, __u32 slot, __u64 bytes) {
  const struct sluice_hot* list = hot_list(active);
  const __u32 line = list->counters +
                     bpf_get_smp_processor_id() * list->counter_lines +
                     slot / 2;
  struct sluice_counter* counter = writable_line_at(active, line);
  if (!counter) return;
  counter += slot & 1;
  counter->packets += 1;
  counter->bytes += bytes;
  counter->last_hit = bpf_ktime_get_coarse_ns();
}

/* A flow counts in its entry, which was just read: one cache line for the whole
   look-up. Several CPUs may see a flow. */
static __always_inline void count_flow(__u32 active, __u32 line, __u64 bytes) {
  struct sluice_entry* entry = writable_line_at(active, line);
  if (!entry) return;
  __sync_fetch_and_add(&entry->packets, 1);
  __sync_fetch_and_add(&entry->bytes, bytes);
  entry->slot_or_last = (__u32)(bpf_ktime_get_coarse_ns() >> 24);
}

/* --- Rules that go on to the next ----------------------------------------- */

static __always_inline void mirror_packet(struct xdp_md* xdp, __u32 rule,
                                          __u32 size) {
  struct sluice_mirrored* to = bpf_ringbuf_reserve(&mirror, sizeof *to, 0);
  if (!to) {
    __sync_fetch_and_add(&direct.mirrors_lost, 1);
    return;
  }
  to->time = bpf_ktime_get_ns();
  to->rule = rule;
  to->size = size;
  to->queue = xdp->rx_queue_index;
  to->captured = copy(xdp, 0, size, to->bytes, sizeof to->bytes);
  bpf_ringbuf_submit(to, 0);
}

/* A clause of an observer that matches. Clauses of a rule stand in a row. */
__noinline int note_clause(struct xdp_md* xdp, struct lookup* lookup,
                           __u32 clause) {
  if (!lookup) return 0;
  const struct sluice_hot* list = hot_list(lookup->active);
  const void* line = line_at(lookup->active, list->clauses + clause / 4);
  if (!line) return 0;
  const struct sluice_decision* found = &clause_in(line, clause)->rule;
  const __u32 decision = found->decision;
  const __u32 rule = decision & SLUICE_RULE_MASK;
  if (rule >= (lookup->best & SLUICE_RULE_MASK)) return 1;
  if (rule == lookup->noted) return 0;
  lookup->noted = rule;
  count_rule(lookup->active, found->slot, lookup->bytes);
  if (SLUICE_RULE_ACTION(decision) == SLUICE_MIRROR) {
    mirror_packet(xdp, rule, (__u32)lookup->bytes);
  }
  return 0;
}

/* A function of its own, since stacks add up. */
__noinline __u64 observers_in(struct lookup* lookup, __u32 word) {
  if (!lookup) return 0;
  void* image = image_of(lookup->active);
  return image ? allowed_in(lookup, image, 1ull << word % 64) : 0;
}

/* The observers of a word that come before the rule that decides. */
__noinline int note_word(struct xdp_md* xdp, struct lookup* lookup,
                         __u32 word) {
  if (!lookup) return 1;
  __u64 clauses = observers_in(lookup, word);
  for (int i = 0; i < 64 && clauses; ++i) {
    if (note_clause(xdp, lookup, word * 64 + lowest(clauses))) return 1;
    clauses &= clauses - 1;
  }
  return 0;
}

__noinline int note_bank(struct xdp_md* xdp, struct lookup* lookup,
                         __u32 bank) {
  if (!lookup) return 1;
  void* image = image_of(lookup->active);
  if (!image) return 1;
  __u64 words = words_of(lookup, image, bank);
  for (int i = 0; i < 64 && words; ++i) {
    if (note_word(xdp, lookup, bank * 64 + lowest(words))) return 1;
    words &= words - 1;
  }
  return 0;
}

static __always_inline void note(struct xdp_md* xdp, struct lookup* lookup) {
  const struct sluice_hot* list = hot_list(lookup->active);
  lookup->noted = SLUICE_NO_RULE;
  for (__u32 i = 0; i < SLUICE_BANKS_MAX && i < list->observers; ++i) {
    if (note_bank(xdp, lookup, list->banks + i)) break;
  }
}

/* --- Reflection ----------------------------------------------------------- */

/* Swaps two fields of `size` bytes, one behind the other. */
static __always_inline void swap(struct xdp_md* xdp, __u32 at, __u8* both,
                                 __u32 size) {
  if (bpf_xdp_load_bytes(xdp, at, both, 2 * size) != 0) return;
  for (__u32 i = 0; i < size; ++i) {
    const __u8 byte = both[i];
    both[i] = both[size + i];
    both[size + i] = byte;
  }
  bpf_xdp_store_bytes(xdp, at, both, 2 * size);
}

/* Turns a packet round: MAC addresses, IP addresses, ports. Checksums stay
   right, for swapping does not change them. */
__noinline int turn_round(struct xdp_md* xdp, struct facts* facts) {
  if (!facts) return 0;
  __u8 both[32];
  swap(xdp, 0, both, 6);
  const __u32 link = facts->kind / 16 & 7;
  if (link == SLUICE_LINK_IP) swap(xdp, facts->network + 12, both, 4);
  if (link == SLUICE_LINK_IP6) swap(xdp, facts->network + 8, both, 16);
  if (facts->transport) swap(xdp, facts->transport, both, 2);
  return 0;
}

/* --- Metadata ------------------------------------------------------------- */

#ifndef SLUICE_NO_METADATA
static __always_inline __u32 label_of(__u32 active, __u32 rule) {
  const struct sluice_hot* list = hot_list(active);
  if (!list->labels || rule == SLUICE_RULE_MASK) return 0;
  const __u32* labels = line_at(active, list->labels + rule / 16);
  return labels ? labels[rule & 15] : 0;
}

/* Says in front of the packet what steers it. Says whether it did: a driver may
   have no room for it, or something there of its own. */
__noinline int put_metadata(struct xdp_md* xdp, struct lookup* lookup,
                            __u32 decision) {
  if (!lookup) return 0;
  if ((void*)(long)xdp->data_meta < (void*)(long)xdp->data) return 0;
  const struct sluice_hot* list = hot_list(lookup->active);
  struct told told = {};
  ask_nic(xdp, list->hints, &told);
  int size = sizeof(struct sluice_metadata) + sizeof(struct sluice_hints);
  if (!told.hints || bpf_xdp_adjust_meta(xdp, -size)) {
    told.hints = 0;
    size = sizeof(struct sluice_metadata);
    if (bpf_xdp_adjust_meta(xdp, -size)) return 0;
  }
  void* at = (void*)(long)xdp->data_meta;
  void* const packet = (void*)(long)xdp->data;
  if (told.hints) {
    struct sluice_hints* hints = at;
    at = hints + 1;
    if (at > packet) return 0;
    hints->hash = told.hash;
    hints->vlan_protocol = bpf_ntohs(told.vlan_protocol);
    hints->vlan_control = told.vlan_control;
  }
  struct sluice_metadata* metadata = at;
  if ((void*)(metadata + 1) > packet) return 0;
  metadata->magic = SLUICE_METADATA_MAGIC;
  metadata->rule = decision & SLUICE_RULE_MASK;
  metadata->version = list->version;
  metadata->time = told.time;
  metadata->clock = SLUICE_CLOCK_HARDWARE;
  if (!told.time) {
    const int timed = (list->hints & SLUICE_HINT_TIME) != 0;
    metadata->time = timed ? bpf_ktime_get_ns() : 0;
    metadata->clock = timed ? SLUICE_CLOCK_MONOTONIC : SLUICE_CLOCK_NONE;
  }
  metadata->label = label_of(lookup->active, metadata->rule);
  metadata->hints = told.hints;
  metadata->hash_type = told.hash_type;
  return size;
}

/* The stack joins only packets of one flow whose metadata is the same, and with
   a time in it that never is. */
static __always_inline void take_metadata(struct xdp_md* xdp, int size) {
  bpf_xdp_adjust_meta(xdp, size);
}
#else
static __always_inline int put_metadata(struct xdp_md* xdp,
                                        struct lookup* lookup, __u32 decision) {
  (void)xdp, (void)lookup, (void)decision;
  return 0;
}
static __always_inline void take_metadata(struct xdp_md* xdp, int size) {
  (void)xdp, (void)size;
}
#endif

/* --- The verdict ---------------------------------------------------------- */

/* To the socket of the queue. The redirect tells whether there was one by what
   it returns, so no look-up before it can be out of date. Global, so that the
   verifier looks at it once, and not for each way to it. */
__noinline int steer(struct xdp_md* xdp, struct lookup* lookup,
                     __u32 decision) {
  if (!lookup) return XDP_PASS;
  const int drop = (decision & SLUICE_RULE_ELSE_DROP) != 0;
  const int told = put_metadata(xdp, lookup, decision);
  const int result = bpf_redirect_map(&sockets, xdp->rx_queue_index,
                                      drop ? XDP_DROP : XDP_PASS);
  if (told && result == XDP_PASS) take_metadata(xdp, told);
  return result;
}

/* Carries a decision out. */
static __always_inline int act(struct xdp_md* xdp, struct lookup* lookup,
                               __u32 decision, __u32* verdict) {
  const __u32 action = SLUICE_RULE_ACTION(decision);
  if (action == SLUICE_DROP) {
    *verdict = SLUICE_DROPPED;
    return XDP_DROP;
  }
  if (action == SLUICE_REFLECT) {
    *verdict = SLUICE_REFLECTED;
    turn_round(xdp, &lookup->facts);
    return XDP_TX;
  }
  *verdict = SLUICE_PASSED;
  if (action != SLUICE_STEER) return XDP_PASS;
  const int result = steer(xdp, lookup, decision);
  *verdict = result == XDP_REDIRECT ? SLUICE_STEERED
             : result == XDP_DROP   ? SLUICE_DROPPED_NO_SOCKET
                                    : SLUICE_PASSED_NO_SOCKET;
  return result;
}
