// SPDX-License-Identifier: Apache-2.0
// ImageBuilder: the steps from a list of rules to its image.
#pragma once

#include <sluice/abi.h>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <sluice/result.hpp>
#include <sluice/rules.hpp>
#include <span>
#include <vector>

#include "classes.hpp"
#include "clause.hpp"
#include "exact.hpp"
#include "image.hpp"

namespace sluice::steering {

class ImageBuilder {
 public:
  ImageBuilder(const Rules& rules, unsigned cpus, const HashSeed& seed,
               std::size_t counters_max);

  Result<Image> build();

 private:
  // A clause for the bit vectors, and its bit.
  struct Wild {
    std::uint32_t rule;
    Clause clause;
    std::size_t place = 0;
  };

  Result<void> split();
  void choose_tables();
  Result<void> place_clauses();
  void order_words(std::size_t finals);
  void number_slots();
  void classify_pairs();
  void classify_addresses(std::size_t side);
  void classify_numbers(std::size_t number);
  void write_clauses();
  void write_labels();
  void write_tables();
  void finish();

  [[nodiscard]] bool counts_itself(const Shape& shape) const {
    return hot_.flows_count != 0 && shape.is_flow();
  }
  [[nodiscard]] std::uint32_t decision_of(std::uint32_t rule) const;
  // The places of no clause, and of those for which `is_any`.
  template <class IsAny>
  [[nodiscard]] Bits indifferent(const IsAny& is_any) const;
  [[nodiscard]] sluice_pair pair_of(std::span<const std::uint32_t> kinds,
                                    std::span<const std::uint32_t> protos);

  const Rules& rules_;
  unsigned cpus_;
  std::size_t counters_max_;
  Image image_;
  sluice_hot& hot_;
  ClauseCompiler compiler_;
  std::map<Shape, std::vector<Exact>> shapes_;
  std::vector<decltype(shapes_)::const_iterator> tables_;
  std::vector<Wild> wild_;
  // The clauses of the same kinds and protos.
  std::map<std::pair<Kinds::Id, Protos::Id>, Bits> groups_;
  std::size_t banks_ = 0;
  Bits padding_;
  Lines lines_;
  std::unique_ptr<Records> records_;
  std::uint32_t next_slot_ = 0;
  std::uint32_t tables_end_ = 0;
};

}  // namespace sluice::steering
