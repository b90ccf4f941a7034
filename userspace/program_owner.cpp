// SPDX-License-Identifier: Apache-2.0
#include "program_owner.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <span>
#include <string_view>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <unistd.h>

#include <sluice/program.hpp>
#include <sluice/sys.hpp>

#include "program_dispatcher.hpp"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "0.1.0"
#endif

namespace sluice {
namespace {

// Field 22 of /proc/PID/stat; 0 if there is no such process. The name in field
// 2 may hold anything, so counting starts behind its closing parenthesis.
// Source: man proc(5).
std::uint64_t start_time(std::uint32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  std::size_t at = line.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) {
    at = line.find(' ', at + 1);
  }
  if (at == std::string::npos) return 0;
  std::uint64_t start = 0;
  std::from_chars(line.data() + at + 1, line.data() + line.size(), start);
  return start;
}

std::optional<sluice_identity> identity_in(std::uint32_t map_id) {
  const Fd map(bpf_map_get_fd_by_id(map_id));
  return map ? identity_in_map(map.get()) : std::nullopt;
}

// Program and its maps by id. `loaded` gets the program's description.
Result<std::vector<std::uint32_t>> maps_of(std::uint32_t program_id,
                                           bpf_prog_info& loaded) {
  const std::string arguments = "program " + std::to_string(program_id);
  const Fd program(bpf_prog_get_fd_by_id(program_id));
  if (!program) return Error::last("bpf(PROG_GET_FD_BY_ID)", arguments);
  std::vector<std::uint32_t> maps(64);
  loaded = {};
  loaded.nr_map_ids = static_cast<__u32>(maps.size());
  loaded.map_ids = reinterpret_cast<std::uintptr_t>(maps.data());
  __u32 size = sizeof loaded;
  if (bpf_obj_get_info_by_fd(program.get(), &loaded, &size) != 0) {
    return Error::last("bpf(OBJ_GET_INFO_BY_FD)", arguments);
  }
  if (loaded.nr_map_ids < maps.size()) maps.resize(loaded.nr_map_ids);
  return maps;
}

std::optional<sluice_identity> first_identity(
    const std::vector<std::uint32_t>& maps) {
  for (const std::uint32_t id : maps) {
    if (auto identity = identity_in(id)) return identity;
  }
  return {};
}

// Name and owner of a program, as far as this process may know.
void describe(AttachedProgram& program) {
  bpf_prog_info loaded;
  if (const auto maps = maps_of(program.id, loaded)) {
    program.name = loaded.name;
    program.identity = first_identity(*maps);
  }
  if (program.identity) {
    program.owner_alive = program.identity->owner_start != 0 &&
                          start_time(program.identity->owner_pid) ==
                              program.identity->owner_start;
  }
}

}  // namespace

// A newer version may have appended fields.
std::optional<std::size_t> place_of_identity(std::span<const std::byte> data) {
  for (std::size_t at = 0; at + sizeof(sluice_identity) <= data.size();
       at += 8) {
    __u32 magic;
    std::memcpy(&magic, data.data() + at, sizeof magic);
    if (magic == SLUICE_MAGIC) return at;
  }
  return {};
}

std::optional<sluice_identity> identity_in_map(int map) {
  bpf_map_info found{};
  __u32 size = sizeof found;
  if (bpf_obj_get_info_by_fd(map, &found, &size) != 0) return {};
  if (found.type != BPF_MAP_TYPE_ARRAY || found.max_entries != 1 ||
      std::string_view(found.name).find(".rodata") == std::string_view::npos) {
    return {};
  }
  std::vector<std::byte> value(found.value_size);
  const __u32 first = 0;
  if (bpf_map_lookup_elem(map, &first, value.data()) != 0) return {};
  const auto at = place_of_identity(value);
  if (!at) return {};
  sluice_identity identity;
  std::memcpy(&identity, value.data() + *at, sizeof identity);
  identity.version[sizeof identity.version - 1] = '\0';
  return identity;
}

sluice_identity own_identity(std::uint32_t pid) {
  sluice_identity identity{};
  identity.magic = SLUICE_MAGIC;
  identity.abi_version = SLUICE_ABI_VERSION;
  identity.owner_pid = pid != 0 ? pid : static_cast<std::uint32_t>(getpid());
  identity.owner_start = start_time(identity.owner_pid);
  std::strncpy(identity.version, SLUICE_VERSION, sizeof identity.version - 1);
  return identity;
}

Result<std::optional<sluice_identity>> identity_of(std::uint32_t program_id) {
  bpf_prog_info loaded;
  const auto maps = maps_of(program_id, loaded);
  if (!maps) return maps.error();
  return first_identity(*maps);
}

Result<std::optional<AttachedProgram>> attached_program(int ifindex) {
  bpf_xdp_query_opts query{};
  query.sz = sizeof query;
  if (const int done = bpf_xdp_query(ifindex, 0, &query); done != 0) {
    return Error{
        -done, "bpf_xdp_query", "interface " + std::to_string(ifindex), {}};
  }
  AttachedProgram attached;
  // With programs in both places, the one in the driver sees packets first.
  if (query.drv_prog_id != 0 || query.hw_prog_id != 0) {
    attached.id = query.drv_prog_id != 0 ? query.drv_prog_id : query.hw_prog_id;
  } else {
    attached.id = query.skb_prog_id;
    attached.mode = AttachMode::generic;
  }
  if (attached.id == 0) return std::optional<AttachedProgram>{};
  describe(attached);
  if (attached.name == "xdp_dispatcher") {
    for (const std::uint32_t id :
         dispatched_on(ifindex).value_or(std::vector<std::uint32_t>{})) {
      AttachedProgram& each = attached.dispatched.emplace_back();
      each.id = id;
      each.mode = attached.mode;
      describe(each);
    }
  }
  return std::optional(std::move(attached));
}

bool AttachedProgram::runs(std::uint32_t program) const noexcept {
  return id == program ||
         std::ranges::any_of(dispatched, [program](const auto& each) {
           return each.id == program;
         });
}

std::string AttachedProgram::text() const {
  std::string text = name.empty() ? "a program" : name;
  text += " (id " + std::to_string(id) + ", " + to_string(mode) + ")";
  for (const AttachedProgram& each : dispatched) {
    text +=
        (&each == &dispatched.front() ? ", which calls " : ", ") + each.text();
  }
  if (!identity) return text;
  text += " of sluice " + std::string(identity->version) +
          ", owned by process " + std::to_string(identity->owner_pid);
  return owner_alive ? text : text + ", which is gone";
}

}  // namespace sluice
