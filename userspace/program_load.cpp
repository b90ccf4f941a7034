// SPDX-License-Identifier: Apache-2.0
// Loading: from the object file in this library to descriptors of the kernel's.
#include <cassert>
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

void set_flags(ObjectFile& file, bool frags, int bound_to) {
  __u32 flags = frags ? BPF_F_XDP_HAS_FRAGS : 0;
  if (bound_to != 0) {
    flags |= BPF_F_XDP_DEV_BOUND_ONLY;
    bpf_program__set_ifindex(file.program(), static_cast<__u32>(bound_to));
  }
  bpf_program__set_flags(file.program(), flags);
}

// A program that grew as it was loaded may have been moved, and must not be
// there when its device goes: see bpf/bound.bpf.c, which prevents that.
Result<void> check_place(const ObjectFile& file) {
  bpf_prog_info info{};
  __u32 size = sizeof info;
  const int done =
      bpf_obj_get_info_by_fd(bpf_program__fd(file.program()), &info, &size);
  if (done != 0) return bpf_failed(done, "bpf(OBJ_GET_INFO)", "sluice_bound");
  const std::size_t given = bpf_program__insn_cnt(file.program());
  if (info.xlated_prog_len <= given * sizeof(bpf_insn)) return {};
  return Error{EOPNOTSUPP, "bpf(PROG_LOAD)", "sluice_bound",
               "This kernel made the program larger, and is not safe when the "
               "device of such a one goes."};
}

Result<void> set_up(ObjectFile& file, const ProgramOptions& options) {
  sluice_identity own = own_identity(options.owner_pid);
  own.frags = options.frags ? 1 : 0;
  own.hints = options.rx_hints.bits();
  if (auto set = file.set_identity(own); !set) return set;
  set_flags(file, options.frags, own.hints != 0 ? options.bound_to : 0);
  return set_bypass_size(file.map(Program::State::bypassed),
                         options.bypass_flows);
}

}  // namespace

Result<void> Program::State::load(const ProgramOptions& options) {
  // The maps and the program, libbpf's and ours, and what it opens in between.
  constexpr std::size_t kDescriptors = 2 * (kMaps + 1) + 4;
  if (auto enough = check_descriptors(kDescriptors); !enough) return enough;
  const Captured captured;
  auto file =
      ObjectFile::open(options.rx_hints == RxHints{} ? ObjectFile::Kind::steer
                                                     : ObjectFile::Kind::bound);
  if (!file) return file.error();
  if (auto set = set_up(*file, options); !set) return set;
  dispatcher = options.dispatcher;
  priority = options.priority;
  frags = options.frags;
  // A program that is called by another is loaded for that one: dispatch().
  bpf_program__set_autoload(file->program(), !dispatcher);
  if (auto loaded = file->load(); !loaded) return loaded;
  if (options.rx_hints != RxHints{}) {
    if (auto safe = check_place(*file); !safe) return safe;
  }
  for (std::size_t i = 0; i < kMaps; ++i) {
    auto map = kept(bpf_map__fd(file->map(static_cast<Map>(i))));
    if (!map) return map.error();
    maps[i] = std::move(*map);
  }
  if (!dispatcher) {
    if (auto taken = take_program(*file); !taken) return taken;
  }
  if (auto looked = look(); !looked) return looked;
  return look_at_bypass(options.bypass_flows);
}

Result<void> Program::State::take_program(const ObjectFile& file) {
  auto copy = kept(bpf_program__fd(file.program()));
  if (!copy) return copy.error();
  program = std::move(*copy);
  return {};
}

Result<void> Program::State::reuse_maps(const ObjectFile& file) const {
  for (std::size_t i = 0; i < kMaps; ++i) {
    const int done =
        bpf_map__reuse_fd(file.map(static_cast<Map>(i)), maps[i].get());
    if (done != 0) return bpf_failed(done, "bpf_map__reuse_fd", kMapNames[i]);
  }
  return {};
}

Result<void> Program::bind_to(int ifindex) {
  assert(state_->ifindex == 0);
  const Captured captured;
  auto file = ObjectFile::open(ObjectFile::Kind::bound);
  if (!file) return file.error();
  if (auto reused = state_->reuse_maps(*file); !reused) return reused;
  set_flags(*file, identity().frags != 0, ifindex);
  if (auto loaded = file->load(); !loaded) return loaded;
  if (auto safe = check_place(*file); !safe) return safe;
  if (auto taken = state_->take_program(*file); !taken) return taken;
  return state_->look_at_program();
}

}  // namespace sluice
