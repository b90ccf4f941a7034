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

/* One list of rules, in one piece. Never written after it went live. */
struct rule_list_map {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_RDONLY_PROG);
  __uint(max_entries, 1);
  /* By size: clang drops the types that only an inner map names. */
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(struct sluice_rule_list));
};

/* 0 -> the list in force. User space puts another list into the slot; that
   waits until no packet is looking through the old one. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 1);
  __type(key, __u32);
  __array(values, struct rule_list_map);
} rules SEC(".maps");

/* enum sluice_verdict -> packets and bytes. Summed by the reader. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SLUICE_VERDICTS);
  __type(key, __u32);
  __type(value, struct sluice_count);
} verdicts SEC(".maps");

/* sluice_rule.handle, or SLUICE_HANDLE_DEFAULT -> packets and bytes. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SLUICE_HANDLE_DEFAULT + 1);
  __type(key, __u32);
  __type(value, struct sluice_count);
} matches SEC(".maps");
