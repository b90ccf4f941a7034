/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* steer: takes the packets the rules choose out of the receive path and into
   the AF_XDP socket of the queue they arrived on; counts every packet. */
#include "lookup.h"
#include "maps.h"
#include "parse.h"

/* Filled in by user space before loading, read back by anyone who may. Not
   read here: libbpf binds it to the program. */
const volatile struct sluice_identity identity SEC(".rodata") = {
    .magic = SLUICE_MAGIC,
    .abi_version = SLUICE_ABI_VERSION,
};

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

/* Carries a decision out. The redirect tells whether there was a socket by
   what it returns, so no look-up before it can be out of date. */
static __always_inline int act(struct xdp_md* xdp, __u32 decision,
                               __u32* verdict) {
  const __u32 action = SLUICE_RULE_ACTION(decision);
  if (action == SLUICE_DROP) {
    *verdict = SLUICE_DROPPED;
    return XDP_DROP;
  }
  if (action == SLUICE_REFLECT) {
    *verdict = SLUICE_REFLECTED;
    return XDP_TX;
  }
  *verdict = SLUICE_PASSED;
  if (action != SLUICE_STEER) return XDP_PASS;
  const int drop = (decision & SLUICE_RULE_ELSE_DROP) != 0;
  const int result = bpf_redirect_map(&sockets, xdp->rx_queue_index,
                                      drop ? XDP_DROP : XDP_PASS);
  if (result == XDP_REDIRECT) {
    *verdict = SLUICE_STEERED;
  } else {
    *verdict = drop ? SLUICE_DROPPED_NO_SOCKET : SLUICE_PASSED_NO_SOCKET;
  }
  return result;
}

SEC("xdp")
int sluice_steer(struct xdp_md* xdp) {
  /* Not end - start: that is only the first buffer, and needs CAP_PERFMON. */
  const __u64 bytes = bpf_xdp_get_buff_len(xdp);
  struct lookup lookup = {};
  parse(xdp, &lookup.facts);
  const __u32 active = *(volatile __u32*)&in_force & 1;
  lookup.active = active;
  const struct sluice_hot* list = hot_list(active);
  __u32 decision = SLUICE_PASS << 28;
  if (lookup.facts.fragment && list->pass_fragments) {
    count_rule(active, list->fragment_slot, bytes);
  } else {
    decide(&lookup);
    if (lookup.best == SLUICE_NO_RULE) {
      decision = list->otherwise.decision;
      count_rule(active, list->otherwise.slot, bytes);
    } else {
      decision = lookup.best;
      if (lookup.flow) {
        count_flow(active, lookup.flow, bytes);
      } else {
        count_rule(active, lookup.slot, bytes);
      }
    }
  }
  __u32 verdict;
  const int result = act(xdp, decision, &verdict);
  count_verdict(verdict, bytes);
  return result;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
