/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* steer: takes the packets the rules choose out of the receive path and into
   the AF_XDP socket of the queue they arrived on; counts every packet. */
#include "maps.h"
#include "parse.h"

/* Filled in by user space before loading, read back by anyone who may. Not
   read here: libbpf binds it to the program. */
const volatile struct sluice_identity identity SEC(".rodata") = {
    .magic = SLUICE_MAGIC,
    .abi_version = SLUICE_ABI_VERSION,
};

/* What decide() said. */
struct decision {
  __u32 action;    /* enum sluice_action. */
  __u32 otherwise; /* For SLUICE_STEER: the action without a socket. */
  __u32 handle;    /* Counter slot. */
};

static __always_inline void add(struct sluice_count* count, __u64 bytes) {
  if (!count) return;
  count->packets += 1;
  count->bytes += bytes;
}

/* Whether `rule` wants a packet with these facts. Without branches: the
   verifier walks every path of all turns of the loop around it. */
static __always_inline int matches_rule(const struct sluice_rule* rule,
                                        const struct facts* facts) {
  const __u32 need = rule->need;
  const __be32* dst = (const void*)rule->dst;
  const __u32 dst_differs = (dst[0] ^ facts->dst[0]) |
                            (dst[1] ^ facts->dst[1]) |
                            (dst[2] ^ facts->dst[2]) | (dst[3] ^ facts->dst[3]);
  const __u32 port_differs = rule->dst_port ^ facts->dst_port;
  /* All ones when the rule names an address, a port. */
  const __u32 names_dst =
      -(((need >> 7) | (need >> 8)) & 1);      /* SLUICE_HAS_DST4, _DST6. */
  const __u32 names_port = -((need >> 9) & 1); /* SLUICE_HAS_DST_PORT. */
  return ((need & ~facts->seen) | (dst_differs & names_dst) |
          (port_differs & names_port)) == 0;
}

/* The look-up: first matching rule of the list in force. A function of its own
   in the object too, which keeps the verifier's work and the registers apart.
 */
static __noinline void decide(const struct facts* facts,
                              struct decision* decision) {
  *decision =
      (struct decision){SLUICE_PASS, SLUICE_PASS, SLUICE_HANDLE_DEFAULT};
  const __u32 first = 0;
  void* map = bpf_map_lookup_elem(&rules, &first);
  if (!map) return;
  const struct sluice_rule_list* list = bpf_map_lookup_elem(map, &first);
  if (!list) return;
  decision->action = list->default_action;
  const struct sluice_rule* rule = list->rules;
  for (__u32 i = 0; i < list->count; ++i) {
    if (matches_rule(rule, facts)) {
      decision->action = rule->action;
      decision->otherwise = rule->otherwise;
      decision->handle = rule->handle;
      break;
    }
    if (i == SLUICE_RULES_MAX - 1) break;
    ++rule;
    /* Keeps clang from indexing: without CAP_PERFMON the verifier takes only
       constants added to a pointer, and none that leads out of the map. */
    asm volatile("" : "+r"(rule));
  }
}

/* Carries a decision out. The redirect tells whether there was a socket by
   what it returns, so no look-up before it can be out of date. */
static __always_inline int act(struct xdp_md* xdp, struct decision decision,
                               __u32* verdict) {
  if (decision.action == SLUICE_DROP) {
    *verdict = SLUICE_DROPPED;
    return XDP_DROP;
  }
  *verdict = SLUICE_PASSED;
  if (decision.action != SLUICE_STEER) return XDP_PASS;
  const int drop = decision.otherwise == SLUICE_DROP;
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
  const struct packet packet = {xdp, (const void*)(long)xdp->data,
                                (const void*)(long)xdp->data_end};
  /* Not end - start: that is only the first buffer, and needs CAP_PERFMON. */
  const __u64 bytes = bpf_xdp_get_buff_len(xdp);
  struct facts facts = {};
  parse(packet, &facts);
  struct decision decision;
  decide(&facts, &decision);
  __u32 verdict;
  const int result = act(xdp, decision, &verdict);
  add(bpf_map_lookup_elem(&verdicts, &verdict), bytes);
  add(bpf_map_lookup_elem(&matches, &decision.handle), bytes);
  return result;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
