/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* Every map of the XDP program. User space reaches them by these names through
   the generated skeleton; keys and values are declared in sluice/abi.h. */
#pragma once

#include <linux/bpf.h> /* First: the helpers need its types. */

#include <bpf/bpf_helpers.h>
#include <sluice/abi.h>

/* Queue -> AF_XDP socket. User space fills a slot per bound socket. */
struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, SLUICE_QUEUES_MAX);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

/* One variable: the compiler lays several out as it pleases. */
struct sluice_direct direct SEC(".data.hot");

/* Filled in by user space before loading, read back by anyone who may. Where it
   is not read here, libbpf binds it to the program all the same. */
const volatile struct sluice_identity identity SEC(".rodata") = {
    .magic = SLUICE_MAGIC,
    .abi_version = SLUICE_ABI_VERSION,
};

/* The lines of a list. Sizes differ, which is what BPF_F_INNER_MAP is for; user
   space maps the memory instead of writing element by element. */
struct image_map {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  /* By size: clang drops the types that only an inner map names. */
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(struct sluice_line));
};

/* 0, 1 -> the image of that list. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 2);
  __type(key, __u32);
  __array(values, struct image_map);
} images SEC(".maps");

/* enum sluice_verdict, SLUICE_BYPASSED -> packets and bytes. Summed by the
   reader. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SLUICE_TOTALS);
  __type(key, __u32);
  __type(value, struct sluice_count);
} verdicts SEC(".maps");

/* struct sluice_mirrored, for whoever reads. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} mirror SEC(".maps");

/* Flows that are dealt with here: struct sluice_bypass_head and what follows.
   User space says how large it is before it loads the program. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct sluice_line);
} bypassed SEC(".maps");
