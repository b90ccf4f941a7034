// SPDX-License-Identifier: Apache-2.0
// LiveList: a list of rules in the kernel's memory, and what it has counted.
#pragma once

#include <cstdint>
#include <memory>
#include <sluice/program.hpp>
#include <sluice/rules.hpp>
#include <sluice/sys.hpp>
#include <vector>

#include "image.hpp"

namespace sluice::steering {

class LiveList {
 public:
  // Builds the list and writes it into a map of its own; nobody looks it up
  // yet. System calls: bpf(MAP_CREATE), mmap(2).
  static Result<LiveList> make(const Rules& rules, std::size_t counters_max);

  // The list that somebody else made: its image, and what was put beside it.
  // Errors: EPROTO, if it is not what this version makes of its own text.
  // System calls: bpf(OBJ_GET_INFO_BY_FD), mmap(2).
  static Result<LiveList> open(Fd map, const sluice_hot& hot);

  [[nodiscard]] int map() const { return map_.get(); }
  [[nodiscard]] const sluice_hot& hot() const { return image_.hot(); }
  [[nodiscard]] const Rules& rules() const { return rules_; }

  // What was counted here, and what was carried over.
  [[nodiscard]] RuleCount count(std::size_t rule) const;
  [[nodiscard]] RuleCount unmatched() const {
    return read_slot(Image::kUnmatched);
  }
  [[nodiscard]] RuleCount fragments() const {
    return read_slot(Image::kFragments);
  }

  // Takes over the counts of the list before, by label or else by text. Packets
  // may be counted meanwhile. REQUIRES: no packet is looked up in `old`.
  void carry_over(const LiveList& old);

  // Memory of the kernel's, in bytes.
  [[nodiscard]] std::size_t bytes() const { return memory_.bytes().size(); }

 private:
  LiveList(const Rules& rules, Image image, Fd map, Mapping memory);
  [[nodiscard]] sluice_line* line(std::uint32_t index) const;
  [[nodiscard]] sluice_counter* counter(std::uint32_t row,
                                        std::uint32_t slot) const;
  [[nodiscard]] RuleCount read_slot(std::uint32_t slot) const;
  [[nodiscard]] std::span<const Image::Flow> flows_of(std::size_t rule) const;
  void carry(std::uint32_t slot, const RuleCount& count);
  void carry_rule(std::size_t rule, const RuleCount& count);

  Rules rules_;
  Image image_;
  Fd map_;
  Mapping memory_;
};

}  // namespace sluice::steering
