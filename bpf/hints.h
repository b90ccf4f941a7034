/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* ask_nic(): what the NIC tells of a packet beside its bytes. */
#pragma once

#include "maps.h"

struct told {
  __u64 time;  /* 0: none was taken. */
  __u32 hints; /* SLUICE_HINT_HASH, SLUICE_HINT_VLAN: what is there below. */
  __u32 hash;
  __u32 hash_type;
  __be16 vlan_protocol;
  __u16 vlan_control;
};

#ifdef SLUICE_ASKS_NIC
enum xdp_rss_hash_type { SLUICE_NO_HASH_TYPE };

extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md* xdp,
                                         __u64* time) __ksym;
extern int bpf_xdp_metadata_rx_hash(const struct xdp_md* xdp, __u32* hash,
                                    enum xdp_rss_hash_type* type) __ksym;
/* Linux 6.8. Below that the call is left out by libbpf; the verifier takes it
   as long as it can't be reached, see ask_nic(). */
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md* xdp,
                                        __be16* protocol,
                                        __u16* control) __ksym __weak;

/* Before anything is written in front of the packet: igc has its time there.
   What the program was not loaded to ask for is dead code to the verifier,
   since `identity` is constant. */
static __always_inline void ask_nic(struct xdp_md* xdp, __u32 wanted,
                                    struct told* told) {
  const __u32 asked = wanted & identity.hints;
  if (asked & SLUICE_HINT_TIME &&
      bpf_xdp_metadata_rx_timestamp(xdp, &told->time) != 0) {
    told->time = 0;
  }
  enum xdp_rss_hash_type type = SLUICE_NO_HASH_TYPE;
  if (asked & SLUICE_HINT_HASH &&
      bpf_xdp_metadata_rx_hash(xdp, &told->hash, &type) == 0) {
    told->hash_type = type;
    told->hints |= SLUICE_HINT_HASH;
  }
  if (asked & SLUICE_HINT_VLAN &&
      bpf_xdp_metadata_rx_vlan_tag(xdp, &told->vlan_protocol,
                                   &told->vlan_control) == 0) {
    told->hints |= SLUICE_HINT_VLAN;
  }
}
#else
static __always_inline void ask_nic(struct xdp_md* xdp, __u32 wanted,
                                    struct told* told) {
  (void)xdp, (void)wanted, (void)told;
}
#endif
