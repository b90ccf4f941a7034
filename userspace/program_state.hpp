// SPDX-License-Identifier: Apache-2.0
// What a program is made of; private to userspace/program*.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include <sluice/abi.h>
#include <sluice/program.hpp>
#include <sluice/sys.hpp>

#include "steering/live_list.hpp"

namespace sluice {

class ObjectFile;

struct Program::State {
  enum Map : std::size_t {
    sockets,
    images,
    verdicts,
    mirror,
    hot,
    constants,
    bypassed
  };
  static constexpr std::size_t kMaps = 7;
  /// As they are called where they are pinned; in the order of Map.
  static constexpr std::array<const char*, kMaps> kMapNames = {
      "sockets", "images", "verdicts", "mirror", "hot", "identity", "bypassed"};

  Fd program;
  std::array<Fd, kMaps> maps;
  std::uint32_t id = 0;
  Mapping memory;  // sluice_direct.
  Mapping bypass_memory;
  std::optional<BypassTable> bypass;  // There is one, and it is large enough.
  std::optional<steering::LiveList> list;
  std::size_t counters_max = steering::Image::kCountersMax;
  std::uint64_t version = 0;   // Of the list.
  bool dispatcher = false;     // Called by one; there is no link then.
  std::uint32_t priority = 0;  // Among those that the dispatcher calls.
  bool frags = false;
  bool plain = false;  // It gives packets no metadata.
  Fd link;
  int ifindex = 0;   // 0: not attached.
  Fd folder;         // Of the pins; locked. None: not pinned.
  std::string path;  // Of the folder.

  /// Loads `program` and `maps`; no list yet.
  Result<void> load(const ProgramOptions& options);
  /// The loaded program is `program`.
  Result<void> take_program(const ObjectFile& file);
  /// What is loaded next from there has these maps, and all that they hold.
  [[nodiscard]] Result<void> reuse_maps(const ObjectFile& file) const;
  Result<void> attach_alone(int to, AttachMode mode,
                            const std::string& arguments);
  /// One attempt of dispatch(). REQUIRES: a Captured.
  Result<void> join(ObjectFile file, int to, AttachMode mode,
                    const std::string& arguments);
  /// Loads `program` and has the interface's dispatcher call it.
  Result<void> dispatch(int to, AttachMode mode, const std::string& arguments);
  /// `id` and `plain`.
  Result<void> look_at_program();
  /// The same, and `memory`, of what is loaded.
  Result<void> look();
  /// `bypass`. A new table is made for so many flows.
  Result<void> look_at_bypass(std::uint32_t flows);
  /// The list that another process put into force.
  Result<void> read_list();
  Result<void> publish(steering::LiveList next);
  [[nodiscard]] sluice_direct& data() const {
    return *reinterpret_cast<sluice_direct*>(memory.bytes().data());
  }
  [[nodiscard]] Result<Count> read_verdict(std::uint32_t index) const;
};

/// libbpf 1.x: a negative errno, or null with errno set.
inline Error bpf_failed(int code, const char* call, std::string arguments,
                        std::string advice = {}) {
  return {code < 0 ? -code : code, call, std::move(arguments),
          std::move(advice)};
}

}  // namespace sluice
