// SPDX-License-Identifier: Apache-2.0
// Loading: from the object file in this library to descriptors of the kernel's.
#include <cerrno>
#include <string>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <sluice/uapi.hpp>

#include "program_object.hpp"
#include "program_owner.hpp"
#include "program_state.hpp"

namespace sluice {
namespace {

// A descriptor that lives on when libbpf closes its own.
Result<Fd> kept(int fd) {
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) return Error::last("fcntl(F_DUPFD_CLOEXEC)");
  return copy;
}

// libbpf makes of a map that it could not open something else, and tells that.
Result<void> check_descriptors(std::size_t count) {
  std::vector<Fd> free;
  while (free.size() < count) {
    free.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (free.back()) continue;
    return Error::last(
        "open", "/dev/null",
        errno == EMFILE ? "Raise the limit: ulimit -n 1024." : "");
  }
  return {};
}

Result<void> set_bypass_size(bpf_map* bypassed, std::uint32_t flows) {
  if (flows == 0) return {};
  if (flows > BypassTable::kFlowsMax) {
    return Error{EINVAL, "bypass flows", std::to_string(flows),
                 "At most " + std::to_string(BypassTable::kFlowsMax) +
                     " can be bypassed."};
  }
  const std::size_t lines = BypassTable::bytes(flows) / sizeof(sluice_line);
  const int done =
      bpf_map__set_max_entries(bypassed, static_cast<__u32>(lines));
  if (done == 0) return {};
  return bpf_failed(done, "bpf_map__set_max_entries", std::to_string(lines));
}

Result<void> set_up(ObjectFile& file, const ProgramOptions& options) {
  const bool timed = options.bound_to != 0;
  sluice_identity own = own_identity(options.owner_pid);
  own.frags = options.frags ? 1 : 0;
  own.timed = timed ? 1 : 0;
  if (auto set = file.set_identity(own); !set) return set;
  __u32 flags = options.frags ? BPF_F_XDP_HAS_FRAGS : 0;
  if (timed) {
    flags |= BPF_F_XDP_DEV_BOUND_ONLY;
    bpf_program__set_ifindex(file.program(),
                             static_cast<__u32>(options.bound_to));
  }
  bpf_program__set_flags(file.program(), flags);
  return set_bypass_size(file.map(Program::State::bypassed),
                         options.bypass_flows);
}

}  // namespace

Result<void> Program::State::load(const ProgramOptions& options) {
  // The maps and the program, libbpf's and ours, and what it opens in between.
  constexpr std::size_t kDescriptors = 2 * (kMaps + 1) + 4;
  if (auto enough = check_descriptors(kDescriptors); !enough) return enough;
  const Captured captured;
  auto file = ObjectFile::open(options.bound_to != 0 ? ObjectFile::Kind::timed
                                                     : ObjectFile::Kind::steer);
  if (!file) return file.error();
  if (auto set = set_up(*file, options); !set) return set;
  dispatcher = options.dispatcher;
  priority = options.priority;
  frags = options.frags;
  // A program that is called by another is loaded for that one: dispatch().
  bpf_program__set_autoload(file->program(), !dispatcher);
  if (auto loaded = file->load(); !loaded) return loaded;
  for (std::size_t i = 0; i < kMaps; ++i) {
    auto map = kept(bpf_map__fd(file->map(static_cast<Map>(i))));
    if (!map) return map.error();
    maps[i] = std::move(*map);
  }
  if (!dispatcher) {
    auto copy = kept(bpf_program__fd(file->program()));
    if (!copy) return copy.error();
    program = std::move(*copy);
  }
  if (auto looked = look(); !looked) return looked;
  return look_at_bypass(options.bypass_flows);
}

}  // namespace sluice
