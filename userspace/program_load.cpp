// SPDX-License-Identifier: Apache-2.0
// Loading: from the object file in this library to descriptors of the kernel's.
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <unistd.h>

#include "program_advice.hpp"
#include "program_owner.hpp"
#include "program_state.hpp"
#include "steer.skel.h"

namespace sluice {
namespace {

// While one lives, what libbpf prints is kept instead of printed. Its printer
// is one for the process, its calls come on the thread that called it.
class Captured {
 public:
  Captured() : previous_(libbpf_set_print(keep)) { text_.clear(); }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  ~Captured() { libbpf_set_print(previous_); }

  // The verifier's verdict, or else the last line that libbpf warned with.
  [[nodiscard]] static std::string last_line() {
    std::string last;
    std::string_view rest = text_;
    while (!rest.empty()) {
      const std::size_t size = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, size);
      rest.remove_prefix(std::min(size + 1, rest.size()));
      if (line.find("END PROG LOAD LOG") != std::string_view::npos) break;
      if (line.empty() || line.starts_with("processed ")) continue;
      last = line;
    }
    return last;
  }

 private:
  static int keep(libbpf_print_level level, const char* format,
                  va_list arguments) {
    if (level == LIBBPF_DEBUG) return 0;
    va_list again;
    va_copy(again, arguments);
    const int size = std::vsnprintf(nullptr, 0, format, arguments);
    if (size > 0) {
      std::string line(static_cast<std::size_t>(size) + 1, '\0');
      std::vsnprintf(line.data(), line.size(), format, again);
      line.pop_back();
      text_ += line;
    }
    va_end(again);
    return size;
  }

  static thread_local std::string text_;
  libbpf_print_fn_t previous_;
};
thread_local std::string Captured::text_;

Error load_failed(int code, const char* call) {
  const int positive = code < 0 ? -code : code;
  // The verifier says EACCES, a missing capability EPERM; without CAP_PERFMON
  // the verifier refuses what it else would not.
  const bool is_denied =
      positive == EPERM || (positive == EACCES && lacks_capabilities());
  std::string advice = is_denied ? permission_advice() : Captured::last_line();
  return bpf_failed(code, call, "sluice_steer", std::move(advice));
}

// A descriptor that lives on when libbpf closes its own.
Result<Fd> kept(int fd) {
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) return Error::last("fcntl(F_DUPFD_CLOEXEC)");
  return copy;
}

Result<void> set_bypass_size(const steer_bpf& loaded, std::uint32_t flows) {
  if (flows == 0) return {};
  if (flows > BypassTable::kFlowsMax) {
    return Error{EINVAL, "bypass flows", std::to_string(flows),
                 "At most " + std::to_string(BypassTable::kFlowsMax) +
                     " can be bypassed."};
  }
  const std::size_t lines = BypassTable::bytes(flows) / sizeof(sluice_line);
  const int done =
      bpf_map__set_max_entries(loaded.maps.bypassed, static_cast<__u32>(lines));
  if (done == 0) return {};
  return bpf_failed(done, "bpf_map__set_max_entries", std::to_string(lines));
}

struct Unload {
  void operator()(steer_bpf* loaded) const { steer_bpf__destroy(loaded); }
};

// libbpf lays the section out by alignment.
using Section = std::remove_pointer_t<decltype(steer_bpf::data_hot)>;
static_assert(sizeof(Section) == sizeof(HotData));
static_assert(offsetof(Section, in_force) == offsetof(HotData, in_force));
static_assert(offsetof(Section, hot) == offsetof(HotData, hot));
static_assert(offsetof(Section, bypassing) == offsetof(HotData, bypassing));
static_assert(offsetof(Section, mirrors_lost) ==
              offsetof(HotData, mirrors_lost));

}  // namespace

Result<void> Program::State::load(const ProgramOptions& options) {
  const Captured captured;
  const std::unique_ptr<steer_bpf, Unload> loaded(steer_bpf__open());
  if (!loaded) return load_failed(errno, "bpf_object__open");
  sluice_identity& own = loaded->rodata->identity;
  own = own_identity(options.owner_pid);
  if (options.frags) {
    own.frags = 1;
    bpf_program__set_flags(loaded->progs.sluice_steer, BPF_F_XDP_HAS_FRAGS);
  }
  if (auto sized = set_bypass_size(*loaded, options.bypass_flows); !sized) {
    return sized;
  }
  if (const int done = steer_bpf__load(loaded.get()); done != 0) {
    return load_failed(done, "bpf(PROG_LOAD)");
  }
  const bpf_map* const made[] = {loaded->maps.sockets,  loaded->maps.images,
                                 loaded->maps.verdicts, loaded->maps.mirror,
                                 loaded->maps.data_hot, loaded->maps.rodata,
                                 loaded->maps.bypassed};
  static_assert(std::size(made) == kMaps);
  for (std::size_t i = 0; i < kMaps; ++i) {
    auto map = kept(bpf_map__fd(made[i]));
    if (!map) return map.error();
    maps[i] = std::move(*map);
  }
  auto copy = kept(bpf_program__fd(loaded->progs.sluice_steer));
  if (!copy) return copy.error();
  program = std::move(*copy);
  if (auto looked = look(); !looked) return looked;
  return look_at_bypass(options.bypass_flows);
}

}  // namespace sluice
