/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* decide(): the first rule of the list in force that a packet matches.

   Each field of the packet is looked up on its own and comes to a class; a
   class is the set of clauses that its values allow, a bit vector; what is in
   all of them matches. Vectors are compressed to the few words of 64 clauses
   that are neither empty nor full, so that mostly one cache line is read for a
   field, and few words are left when all fields have been asked. Rules that
   name exact values are in hash tables of one cache line per rule instead.
   Why, and against what it was measured: docs/steering.md. */
#pragma once

#include "classes.h"
#include "parse.h"

#define SLUICE_NO_RULE 0xffffffffu

/* The look-up of one packet: handed from function to function. */
struct lookup {
  struct facts facts;
  __u32 active;                     /* Which of the two lists. */
  __u32 records[1 + SLUICE_FIELDS]; /* Class records; 0: no rule asks. */
  __u64 mixed[1 + SLUICE_FIELDS];   /* Of the bank in question. */
  __u32 tables;                     /* Bits: exact tables to ask. */
  __u32 best;                       /* Decision of the first match so far. */
  __u32 slot;                       /* Of its counter; none for a flow. */
  __u32 flow;                       /* Line of the entry; 0: not a flow. */
  __u32 noted; /* The last rule that went on to the next. */
  __u64 bytes; /* Of the packet. */
};

/* Keeps a decision, if its rule is the first match so far. `flow` is the line
   of the entry that counts, or 0: `slot` does. */
static __always_inline void keep_first(struct lookup* lookup, __u32 decision,
                                       __u32 slot, __u32 flow) {
  if ((decision & SLUICE_RULE_MASK) < (lookup->best & SLUICE_RULE_MASK)) {
    lookup->best = decision;
    lookup->slot = slot;
    lookup->flow = flow;
  }
}

/* --- Exact tables --------------------------------------------------------- */

/* Whether two keys of five words are the same. */
static __always_inline int same_key(const void* left, const void* right) {
  const __u64* a = left;
  const __u64* b = right;
  return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) |
           (a[4] ^ b[4]));
}

static __always_inline void take_entry(struct lookup* lookup,
                                       const struct sluice_entry* entry,
                                       __u32 at, __u32 flows) {
  keep_first(lookup, entry->decision, entry->slot_or_last, flows ? at : 0);
}

/* Says whether the search is at its end: the key, or an empty entry. */
__noinline int ask_entry(struct lookup* lookup, const struct sluice_key* key,
                         __u32 at, __u32 flows) {
  if (!lookup || !key) return 1;
  const struct sluice_entry* entry = writable_line_at(lookup->active, at);
  if (!entry) return 1;
  if (!same_key(&entry->key, key)) return entry->decision == SLUICE_EMPTY;
  take_entry(lookup, entry, at, flows);
  return 1;
}

static __always_inline void ask_table_inline(struct lookup* lookup,
                                             __u32 number) {
  const __u32 active = lookup->active;
  const struct sluice_hot* list = hot_list(active);
  void* image = image_of(active);
  if (!image) return;
  const struct sluice_table* table =
      line_in(image, active, list->tables + number);
  if (!table || table->first > (lookup->best & SLUICE_RULE_MASK)) return;
  struct sluice_key key;
  __u64* to = (void*)&key;
  const __u64* from = (const void*)&lookup->facts.key;
  const __u64* mask = (const void*)&table->mask;
  __u64 hash = 0;
#pragma unroll
  for (int i = 0; i < 5; ++i) {
    to[i] = from[i] & mask[i];
    hash += (i == 4 ? to[i] ^ to[i] >> 32 : to[i]) * list->hash[i];
  }
  const __u32 at = table->base + (__u32)((hash >> 32) * table->size >> 32);
  const __u32 flows = table->flows;
  /* Most keys are where their hash says. */
  const struct sluice_entry* entry = bpf_map_lookup_elem(image, &at);
  if (!entry) return;
  if (same_key(&entry->key, &key)) {
    take_entry(lookup, entry, at, flows);
    return;
  }
  if (entry->decision == SLUICE_EMPTY) return;
  for (__u32 i = 1; i < SLUICE_PROBES; ++i) {
    if (ask_entry(lookup, &key, at + i, flows)) return;
  }
}

__noinline int ask_table(struct lookup* lookup, __u32 number) {
  if (lookup) ask_table_inline(lookup, number);
  return 0;
}

/* Mostly one table is in question, and asked without a call. */
static __always_inline void ask_tables(struct lookup* lookup) {
  __u32 tables = lookup->tables;
  if (!tables) return;
  ask_table_inline(lookup, lowest(tables));
  tables &= tables - 1;
  for (__u32 i = 0; i < SLUICE_TABLES_MAX && tables; ++i) {
    ask_table(lookup, lowest(tables));
    tables &= tables - 1;
  }
}

/* --- Bit vectors ---------------------------------------------------------- */

#define SLUICE_RECORDS (1 + SLUICE_FIELDS)
/* Where the words of a record begin, in words. */
#define SLUICE_WORDS (__builtin_offsetof(struct sluice_record, words) / 8)

/* Clause `number`, which is at that place of `line`. */
static __always_inline const struct sluice_clause* clause_in(const void* line,
                                                             __u32 number) {
  return (const struct sluice_clause*)line + (number & 3);
}

/* In which words of a bank all fields allow something; and which words of each
   field are mixed, for allowed_in(). Banks are asked in their order: each goes
   on from the records of the one before. */
static __always_inline __u64 words_of(struct lookup* lookup, void* image,
                                      __u32 bank) {
  __u64 words = ~0ull;
#pragma unroll
  for (int i = 0; i < SLUICE_RECORDS; ++i) {
    if (!lookup->records[i]) continue;
    const struct sluice_record* record = line_of(image, lookup->records[i]);
    if (!record) return 0;
    if (bank) {
      lookup->records[i] = record->next;
      record = line_of(image, record->next);
      if (!record) return 0;
    }
    words &= record->any;
    lookup->mixed[i] = record->mixed;
  }
  return words;
}

/* Which clauses all fields allow of a word that words_of() named. A field whose
   word is full is not looked at. */
static __always_inline __u64 allowed_in(struct lookup* lookup, void* image,
                                        __u64 bit) {
  __u64 clauses = ~0ull;
#pragma unroll
  for (int i = 0; i < SLUICE_RECORDS; ++i) {
    if (lookup->mixed[i] & bit) {
      const __u32 at = SLUICE_WORDS + popcount(lookup->mixed[i] & (bit - 1));
      const __u64* words = line_of(image, lookup->records[i] + at / 8);
      if (!words) return 0;
      clauses &= words[at & 7];
    }
  }
  return clauses;
}

/* Asks the first of these words; says which of the others may have an earlier
   rule. Clauses of a word stand in the order of their rules. */
__noinline __u64 ask_word(struct lookup* lookup, __u32 bank, __u64 words) {
  if (!lookup) return 0;
  void* image = image_of(lookup->active);
  if (!image) return 0;
  const __u64 clauses = allowed_in(lookup, image, words & -words);
  const __u64 others = words & (words - 1);
  if (!clauses) return others;
  const struct sluice_hot* list = hot_list(lookup->active);
  const __u32 number =
      bank * SLUICE_BANK + lowest(words) * 64 + lowest(clauses);
  const void* line = line_of(image, list->clauses + number / 4);
  if (!line) return 0;
  const struct sluice_clause* clause = clause_in(line, number);
  keep_first(lookup, clause->rule.decision, clause->rule.slot, 0);
  return others & clause->before;
}

__noinline int ask_bank(struct lookup* lookup, __u32 bank) {
  if (!lookup) return 0;
  void* image = image_of(lookup->active);
  if (!image) return 0;
  __u64 words = words_of(lookup, image, bank);
  for (int i = 0; i < 64 && words; ++i) words = ask_word(lookup, bank, words);
  return 0;
}

/* --- All of it ------------------------------------------------------------ */

/* The class of each field that some rule asks for. `none` of the others is 0,
   which nobody asks; read rather than known, so that the verifier joins the
   ways again. */
static __always_inline void find_records(struct lookup* lookup, void* image,
                                         const struct sluice_hot* list) {
  const struct facts* facts = &lookup->facts;
  const __u32 active = lookup->active;
  const __u32 asked = list->fields & facts->have;
#define SLUICE_CLASS(field, found) \
  lookup->records[1 + (field)] =   \
      asked & SLUICE_HAVE(field) ? (found) : list->none[field];
#define SLUICE_CLASS16(field, value) \
  SLUICE_CLASS(field, classify16(image, active, list->root[field], value))
#define SLUICE_CLASS_ADDRESS(field, words)                                     \
  SLUICE_CLASS(                                                                \
      field, classify(image, active,                                           \
                      facts->is_ip6 ? list->root6[field] : list->root4[field], \
                      (words)[0], (words)[1]))
  SLUICE_CLASS_ADDRESS(SLUICE_SOURCE, facts->key.source);
  SLUICE_CLASS_ADDRESS(SLUICE_DESTINATION, facts->key.destination);
  SLUICE_CLASS16(SLUICE_SOURCE_PORT, facts->key.source_port);
  SLUICE_CLASS16(SLUICE_DESTINATION_PORT, facts->key.destination_port);
  SLUICE_CLASS16(SLUICE_DETAIL, facts->detail);
  SLUICE_CLASS16(SLUICE_VLAN0, facts->key.vlan[0]);
  SLUICE_CLASS16(SLUICE_VLAN1, facts->key.vlan[1]);
  SLUICE_CLASS16(SLUICE_ETHER_TYPE, facts->ether_type);
#undef SLUICE_CLASS_ADDRESS
#undef SLUICE_CLASS16
#undef SLUICE_CLASS
}

/* A list of one word, all in direct reach. */
static __always_inline void ask_short(struct lookup* lookup,
                                      const struct sluice_hot* list) {
  __u64 clauses = ~0ull;
#pragma unroll
  for (int i = 0; i < SLUICE_RECORDS; ++i) {
    const __u32 line = lookup->records[i];
    const struct sluice_record* record =
        (const void*)&list->lines[line % SLUICE_HOT_LINES];
    if (line) clauses &= record->words[0];
  }
  if (!clauses) return;
  const __u32 number = lowest(clauses);
  const __u32 line = (list->clauses + number / 4) % SLUICE_HOT_LINES;
  const struct sluice_clause* clause = clause_in(&list->lines[line], number);
  keep_first(lookup, clause->rule.decision, clause->rule.slot, 0);
}

static __always_inline void ask_banks(struct lookup* lookup, void* image,
                                      const struct sluice_hot* list) {
  find_records(lookup, image, list);
  if (list->is_short) {
    ask_short(lookup, list);
    return;
  }
  for (__u32 bank = 0; bank < SLUICE_BANKS_MAX && bank < list->banks; ++bank) {
    ask_bank(lookup, bank);
  }
}

/* REQUIRES: lookup->facts and lookup->active are set, the rest is zero. */
static __always_inline void decide(struct lookup* lookup) {
  const struct sluice_hot* list = hot_list(lookup->active);
  lookup->best = SLUICE_NO_RULE;
  lookup->flow = 0;
  const __u32 kind = list->kind_class[lookup->facts.kind % SLUICE_KINDS];
  const __u32 proto = list->proto_class[lookup->facts.proto % SLUICE_PROTOS];
  const __u32 pair = kind * list->proto_classes + proto;
  void* image = image_of(lookup->active);
  if (!image) return;
  const struct sluice_pair* pairs =
      line_in(image, lookup->active, list->pairs + pair / 8);
  if (!pairs) return;
  lookup->records[0] = pairs[pair & 7].record;
  lookup->tables = pairs[pair & 7].tables;
  if (list->banks + list->observers) ask_banks(lookup, image, list);
  ask_tables(lookup);
}
