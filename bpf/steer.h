/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* The program: takes the packets the rules choose out of the receive path and
   into the AF_XDP socket of the queue they arrived on; counts every packet. */
#pragma once

#include "act.h"
#include "bypass.h"

/* Asks the rules, and counts for the one that decides. */
static __always_inline __u32 ask(struct xdp_md* xdp, struct lookup* lookup) {
  const __u32 active = lookup->active;
  const struct sluice_hot* list = hot_list(active);
  if (lookup->facts.fragment && list->pass_fragments) {
    count_rule(active, list->fragment_slot, lookup->bytes);
    return SLUICE_PASS << 28;
  }
  decide(lookup);
  if (list->observers) note(xdp, lookup);
  if (lookup->best == SLUICE_NO_RULE) {
    count_rule(active, list->otherwise.slot, lookup->bytes);
    return list->otherwise.decision;
  }
  if (lookup->flow) {
    count_flow(active, lookup->flow, lookup->bytes);
  } else {
    count_rule(active, lookup->slot, lookup->bytes);
  }
  return lookup->best;
}

/* All of the program. */
static __always_inline int steer_by_rules(struct xdp_md* xdp) {
  struct lookup lookup = {};
  /* Not end - start: that is only the first buffer, and needs CAP_PERFMON. */
  lookup.bytes = bpf_xdp_get_buff_len(xdp);
  lookup.active = *(volatile __u32*)&direct.in_force & 1;
  parse(xdp, &lookup.facts);
  __u32 decision = SLUICE_NO_BYPASS;
  if (*(volatile __u32*)&direct.bypassing) decision = bypass(&lookup);
  if (decision == SLUICE_NO_BYPASS) {
    decision = ask(xdp, &lookup);
  } else {
    count_verdict(SLUICE_BYPASSED, lookup.bytes);
  }
  __u32 verdict;
  const int result = act(xdp, &lookup, decision, &verdict);
  count_verdict(verdict, lookup.bytes);
  return result;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
