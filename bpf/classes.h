/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* classify(): from the value of a field to its class, which is a line of the
   image. Source: include/sluice/abi.h. */
#pragma once

#include "maps.h"

static __always_inline const struct sluice_hot* hot_list(__u32 active) {
  return &direct.hot[active & 1];
}

static __always_inline void* image_of(__u32 active) {
  return bpf_map_lookup_elem(&images, &active);
}

/* A line of the image. An index from the image itself is never out of it. */
static __always_inline void* line_of(void* image, __u32 index) {
  return bpf_map_lookup_elem(image, &index);
}

/* The same, to read. The first lines are in direct reach as well: all there is
   of a short list, and some of a long one. */
static __always_inline const void* line_in(void* image, __u32 active,
                                           __u32 index) {
  if (index < SLUICE_HOT_LINES) {
    return &hot_list(active)->lines[index % SLUICE_HOT_LINES];
  }
  return bpf_map_lookup_elem(image, &index);
}

static __always_inline const void* line_at(__u32 active, __u32 index) {
  void* image = image_of(active);
  return image ? line_in(image, active, index) : 0;
}

/* One that the program writes. */
static __always_inline void* writable_line_at(__u32 active, __u32 index) {
  void* image = image_of(active);
  return image ? bpf_map_lookup_elem(image, &index) : 0;
}

static __always_inline __u32 popcount(__u64 bits) {
  return (__u32)__builtin_popcountll(bits);
}

/* Number of the lowest bit. Mostly the lowest of all, which is cheap. */
static __always_inline __u32 lowest(__u64 bits) {
  return bits & 1 ? 0 : popcount((bits & -bits) - 1);
}

/* --- Classes ---------------------------------------------------------------

   Many functions here are global, so that the verifier looks at each of them
   once, and not at every way through all of them. */

static __always_inline __u32 next_of(const struct sluice_node* node,
                                     __u32 value) {
  __u32 rank = 0;
#pragma unroll
  for (int i = 0; i < 9; ++i) {
    __u32 less = node->last[i] - value;
    asm volatile("" : "+r"(less)); /* Or clang makes it a branch. */
    rank += less >> 31;
  }
  return node->ref[rank & 15];
}

/* One step down: from a node, by a chunk or what is left of it. */
__noinline __u32 descend(__u32 active, __u32 ref, __u32 value) {
  const struct sluice_node* node = line_at(active, ref & SLUICE_REF);
  return node ? next_of(node, value) : SLUICE_LEAF;
}

/* The same by table. */
__noinline __u32 descend_direct(__u32 active, __u32 ref, __u32 value) {
  const __u32* refs = line_at(active, (ref & SLUICE_REF) + value / 16);
  return refs ? refs[value & 15] : SLUICE_LEAF;
}

/* All the way down. */
__noinline __u32 descend_far(__u32 active, __u32 ref, __u64 high, __u64 low) {
  __u32 half = 0; /* The high byte of the chunk is used up. */
  for (int i = 0; i < 16; ++i) {
    if (ref & SLUICE_LEAF) break;
    const __u32 chunk = (__u32)(high >> 48);
    if (ref & SLUICE_DIRECT) {
      ref = descend_direct(active, ref, half ? chunk & 255 : chunk >> 8);
      half = !half;
    } else if (ref & SLUICE_WIDE) {
      ref = descend_direct(active, ref, chunk);
    } else {
      ref = descend(active, ref, half ? chunk & 255 : chunk);
      half = 0;
    }
    if (!half) {
      high = high << 16 | low >> 48;
      low <<= 16;
    }
  }
  return ref & ~SLUICE_LEAF;
}

/* The class of a value: of `high` and then `low`, as far as it is needed. An
   IPv4 address is mostly a table and a node away. */
static __always_inline __u32 classify(void* image, __u32 active, __u32 ref,
                                      __u64 high, __u64 low) {
  if (!(ref & SLUICE_WIDE)) return descend_far(active, ref, high, low);
  const __u32 chunk = (__u32)(high >> 48);
  const __u32* refs = line_of(image, (ref & SLUICE_REF) + chunk / 16);
  if (!refs) return 0;
  ref = refs[chunk & 15];
  if (ref & SLUICE_LEAF) return ref & ~SLUICE_LEAF;
  high = high << 16 | low >> 48;
  low <<= 16;
  if (!(ref & (SLUICE_DIRECT | SLUICE_WIDE))) {
    const struct sluice_node* node = line_of(image, ref);
    if (!node) return 0;
    ref = next_of(node, (__u32)(high >> 48));
    if (ref & SLUICE_LEAF) return ref & ~SLUICE_LEAF;
    high = high << 16 | low >> 48;
    low <<= 16;
  }
  return descend_far(active, ref, high, low);
}

/* The same of a value of 16 bits, which is mostly one step away. */
static __always_inline __u32 classify16(void* image, __u32 active, __u32 ref,
                                        __u32 value) {
  if (ref < SLUICE_HOT_LINES) {
    const struct sluice_line* line = &hot_list(active)->lines[ref];
    return next_of((const void*)line, value) & ~SLUICE_LEAF;
  }
  if (ref & SLUICE_WIDE) {
    const __u32* refs = line_of(image, (ref & SLUICE_REF) + value / 16);
    return refs ? refs[value & 15] & ~SLUICE_LEAF : 0;
  }
  return descend_far(active, ref, (__u64)value << 48, 0);
}
