// SPDX-License-Identifier: Apache-2.0
#include "program_dispatcher.hpp"

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include <bpf/bpf.h>
#include <fcntl.h>
#include <net/if.h>
#include <xdp/libxdp.h>

#include <sluice/uapi.hpp>

#include "program_advice.hpp"
#include "program_object.hpp"
#include "program_owner.hpp"
#include "program_state.hpp"

namespace sluice {
namespace {

struct CloseMultiprog {
  void operator()(xdp_multiprog* all) const { xdp_multiprog__close(all); }
};
using Multiprog = std::unique_ptr<xdp_multiprog, CloseMultiprog>;

struct CloseProgram {
  void operator()(xdp_program* program) const { xdp_program__close(program); }
};
using Component = std::unique_ptr<xdp_program, CloseProgram>;

// Null: no dispatcher. REQUIRES: a Captured.
Multiprog multiprog_on(int ifindex) {
  xdp_multiprog* const all = xdp_multiprog__get_from_ifindex(ifindex);
  if (all == nullptr || libxdp_get_error(all) != 0) return {};
  Multiprog found(all);
  if (xdp_multiprog__is_legacy(all)) return {};
  return found;
}

xdp_program* component(const Multiprog& all, std::uint32_t id) {
  xdp_program* each = nullptr;
  while ((each = xdp_multiprog__next_prog(each, all.get())) != nullptr) {
    if (xdp_program__id(each) == id) break;
  }
  return each;
}

xdp_attach_mode mode_of(AttachMode mode) {
  return mode == AttachMode::native ? XDP_MODE_NATIVE : XDP_MODE_SKB;
}

// By libbpf or libxdp, whose errno in the end is EINVAL for many things.
bool was_said(std::string_view words) {
  return Captured::text().find(words) != std::string::npos;
}

Error no_freplace(std::string arguments) {
  return {ENOSYS, "libxdp dispatcher", std::move(arguments),
          "This kernel does not let one XDP program call another (freplace): "
          "kernel lockdown, a missing CAP_SYS_ADMIN, or a kernel before 5.10. "
          "Nothing was attached. Without --dispatcher the program is the "
          "interface's only one, and works here."};
}

}  // namespace

std::optional<std::vector<std::uint32_t>> dispatched_on(int ifindex) {
  const Captured captured;
  const Multiprog all = multiprog_on(ifindex);
  if (!all) return {};
  std::vector<std::uint32_t> ids;
  xdp_program* each = nullptr;
  while ((each = xdp_multiprog__next_prog(each, all.get())) != nullptr) {
    ids.push_back(xdp_program__id(each));
  }
  return ids;
}

Result<void> leave_dispatcher(int ifindex, std::uint32_t program) {
  const Captured captured;
  const Multiprog all = multiprog_on(ifindex);
  xdp_program* const found = all ? component(all, program) : nullptr;
  if (found == nullptr) {
    return Error{ENOENT, "dispatcher", std::to_string(ifindex), {}};
  }
  const int done = xdp_program__detach(
      found, ifindex, xdp_multiprog__attach_mode(all.get()), 0);
  if (done == 0) return {};
  return bpf_failed(done, "xdp_program__detach", std::to_string(program),
                    Captured::last_line());
}

bool remove_orphans(int ifindex) {
  const auto there = attached_program(ifindex);
  if (!there || !*there) return false;
  const auto pinned = pinned_program(ifindex);
  bool any = false;
  for (const AttachedProgram& each : (*there)->dispatched) {
    if (!each.identity || each.owner_alive || pinned == each.id) continue;
    any = static_cast<bool>(leave_dispatcher(ifindex, each.id)) || any;
  }
  return any;
}

// The maps are there, the program is not: it is loaded for the dispatcher that
// is to call it. Where the kernel refuses that, libxdp would attach it alone
// and not say so; as one for CPU maps it can't be attached alone.
Result<void> Program::State::join(ObjectFile file, int to, AttachMode mode,
                                  const std::string& arguments) {
  if (auto reused = reuse_maps(file); !reused) return reused;
  bpf_program__set_flags(file.program(), frags ? BPF_F_XDP_HAS_FRAGS : 0);
  bpf_program__set_expected_attach_type(file.program(), BPF_XDP_CPUMAP);
  const Component ours(xdp_program__from_bpf_obj(file.get(), "xdp"));
  if (libxdp_get_error(ours.get()) != 0) {
    return load_failed(errno, "xdp_program__from_bpf_obj");
  }
  xdp_program__set_run_prio(ours.get(), priority);
  const int done = xdp_program__attach(ours.get(), to, mode_of(mode), 0);
  if (done == 0) {
    program = Fd(::fcntl(xdp_program__fd(ours.get()), F_DUPFD_CLOEXEC, 3));
    return look_at_program();
  }
  if (was_said("Falling back to loading single prog")) {
    return no_freplace(arguments);
  }
  const bool refused = was_said("END PROG LOAD LOG");
  std::string line = Captured::last_line();
  if (refused) {
    return bpf_failed(EACCES, "bpf(PROG_LOAD)", arguments, std::move(line));
  }
  std::string advice = attach_advice(-done, to, mode);
  return bpf_failed(done, "xdp_program__attach", arguments,
                    advice.empty() ? std::move(line) : std::move(advice));
}

Result<void> Program::State::dispatch(int to, AttachMode mode,
                                      const std::string& arguments) {
  if (auto bpffs = check_bpffs(); !bpffs) return bpffs;
  Result<void> joined;
  for (const auto kind : {ObjectFile::Kind::steer, ObjectFile::Kind::plain}) {
    const Captured captured;
    if (const Multiprog there = multiprog_on(to);
        there && xdp_multiprog__attach_mode(there.get()) != mode_of(mode)) {
      return Error{
          EOPNOTSUPP, "libxdp dispatcher", arguments,
          "The one that is there runs in the other mode; --mode " +
              std::string(mode == AttachMode::native ? "generic" : "native") +
              " is that."};
    }
    auto file = ObjectFile::open(kind);
    if (!file) return file.error();
    joined = join(std::move(*file), to, mode, arguments);
    if (joined || !was_said("changes packet data")) break;
  }
  return joined;
}

}  // namespace sluice
