// SPDX-License-Identifier: Apache-2.0
// Image: a list of rules, laid out as the XDP program looks it up.
#pragma once

#include <sluice/abi.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/result.hpp>
#include <sluice/rules.hpp>
#include <span>
#include <string>
#include <vector>

namespace sluice::steering {

// What the tables hash with: odd numbers that no sender can know.
using HashSeed = std::array<std::uint64_t, 5>;
HashSeed random_seed();

class Image {
 public:
  // Counters that are no rule's, and where a rule has none.
  static constexpr std::uint32_t kUnmatched = 0;
  static constexpr std::uint32_t kFragments = 1;
  static constexpr std::uint32_t kNoSlot = 0xffffffff;
  static constexpr std::size_t kCountersMax = std::size_t{256} << 20;

  // The same list and seed are the same image. Errors: E2BIG, with the rule
  // that is one too many or too complicated. Rules that name whole flows count
  // per CPU as all others do, unless counters would take more than
  // `counters_max` bytes: then in the flows' entries, which takes nothing, but
  // atomic additions.
  static Result<Image> build(const Rules& rules, unsigned cpus,
                             const HashSeed& seed = random_seed(),
                             std::size_t counters_max = kCountersMax);

  // Lines of the whole image.
  [[nodiscard]] std::uint32_t lines() const { return lines_; }
  // Fills an image that is all zero. REQUIRES: lines.size() == this->lines().
  void write(std::span<sluice_line> lines) const;

  // All but the version.
  [[nodiscard]] const sluice_hot& hot() const { return *hot_; }
  // The rule's counter, or kNoSlot: it counts in flows() alone.
  [[nodiscard]] std::uint32_t slot_of(std::size_t rule) const {
    return slots_[rule];
  }
  // Entries that count for themselves: rule and line, by rule.
  struct Flow {
    std::uint32_t rule;
    std::uint32_t line;
  };
  [[nodiscard]] std::span<const Flow> flows() const { return flows_; }

 private:
  friend class ImageBuilder;
  struct Entry {
    std::uint32_t line;
    sluice_entry entry;
  };

  std::unique_ptr<sluice_hot> hot_ = std::make_unique<sluice_hot>();
  std::vector<sluice_line> small_;  // Lines 0 and on: all but what follows.
  std::vector<Entry> entries_;
  std::string text_;  // Of the list, for those who find the image.
  std::vector<Flow> flows_;
  std::vector<std::uint32_t> slots_;
  std::uint32_t lines_ = 0;
};

}  // namespace sluice::steering
