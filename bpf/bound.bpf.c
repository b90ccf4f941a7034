/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* sluice_bound: the program for one interface, which asks its driver for what
   the NIC knows of a packet. An object of its own: a program that only names
   such a function is loaded for one device, or not at all, and libbpf then
   wants the kernel's BTF, too.
   Source: Documentation/networking/xdp-rx-metadata.rst of Linux 6.8. */
#define SLUICE_ASKS_NIC
#include "steer.h"

/* Room for the instructions that the kernel puts in as it loads the program.
   Without it the program is moved to larger memory, and the list of programs
   that are bound to the device still names the old one: when the device goes,
   the kernel (seen with 6.18) reads what was freed, and dies with the RTNL lock
   held. These can't be reached, and are thrown away before others come in.
   Source: bpf_prog_realloc() and __bpf_prog_offload_destroy(). */
static __always_inline void leave_room(void) {
  if (identity.magic != SLUICE_MAGIC) {
    asm volatile(".rept 1024\nr0 = 0\n.endr" ::: "r0");
  }
}

SEC("xdp")
int sluice_bound(struct xdp_md* xdp) {
  leave_room();
  return steer_by_rules(xdp);
}
