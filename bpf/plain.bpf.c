/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* sluice_plain: the program without metadata, for dispatchers. From Linux 6.13
   on one that moves the borders of a packet can't take the place of a function
   that does not, and the functions of most releases of libxdp's dispatcher do
   not. An object of its own, since the verifier asks before it knows what is
   dead. */
#define SLUICE_NO_METADATA
#include "steer.h"

SEC("xdp")
int sluice_plain(struct xdp_md* xdp) { return steer_by_rules(xdp); }
