/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* sluice_steer: the program for any interface and kernel. */
#include "steer.h"

SEC("xdp")
int sluice_steer(struct xdp_md* xdp) { return steer_by_rules(xdp); }
