// SPDX-License-Identifier: Apache-2.0
#include <sluice/program.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <span>
#include <utility>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <sluice/sys.hpp>

#include "program_advice.hpp"
#include "program_owner.hpp"
#include "steer.skel.h"
#include "steering/live_list.hpp"

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

// libbpf 1.x: a negative errno, or null with errno set.
Error failed(int code, const char* call, std::string arguments,
             std::string advice = {}) {
  return {code < 0 ? -code : code, call, std::move(arguments),
          std::move(advice)};
}

Error load_failed(int code, const char* call) {
  const int positive = code < 0 ? -code : code;
  // The verifier says EACCES, a missing capability EPERM.
  std::string advice =
      positive == EPERM ? permission_advice() : Captured::last_line();
  return failed(code, call, "sluice_steer", std::move(advice));
}

Count sum(std::span<const sluice_count> counts) {
  Count total;
  for (const sluice_count& count : counts) {
    total.packets += count.packets;
    total.bytes += count.bytes;
  }
  return total;
}

__u32 attach_flags(AttachMode mode) {
  return mode == AttachMode::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

}  // namespace

const char* to_string(AttachMode mode) noexcept {
  return mode == AttachMode::native ? "native" : "generic";
}

Result<void> check_fits(const Rules& rules) {
  auto image = steering::Image::build(
      rules, static_cast<unsigned>(libbpf_num_possible_cpus()));
  if (!image) return image.error();
  return {};
}

struct Program::State {
  struct Unload {
    void operator()(steer_bpf* loaded) const { steer_bpf__destroy(loaded); }
  };
  std::unique_ptr<steer_bpf, Unload> program;
  std::uint32_t id = 0;
  std::optional<steering::LiveList> list;
  std::uint64_t version = 0;  // Of the list.
  Fd link;
  int ifindex = 0;

  [[nodiscard]] int fd() const {
    return bpf_program__fd(program->progs.sluice_steer);
  }
  [[nodiscard]] int map(const bpf_map* of) const { return bpf_map__fd(of); }
  Result<void> publish(steering::LiveList next);
  [[nodiscard]] Result<Count> read(const bpf_map* from,
                                   std::uint32_t index) const;
};

// Beside the list in force, then in its place. Deleting the old one from the
// map of maps waits for a grace period: after that no packet sees it.
Result<void> Program::State::publish(steering::LiveList next) {
  auto& data = *program->data_hot;
  const __u32 slot = list ? 1 - data.in_force : 0;
  const int images = bpf_map__fd(program->maps.images);
  const int fd = next.map();
  int done = bpf_map_update_elem(images, &slot, &fd, BPF_ANY);
  if (done != 0) return failed(done, "bpf(MAP_UPDATE_ELEM)", "images");
  data.hot[slot] = next.hot();
  data.hot[slot].version = ++version;
  std::atomic_ref(data.in_force).store(slot);
  if (list) {
    const __u32 old = 1 - slot;
    done = bpf_map_delete_elem(images, &old);
    if (done != 0) return failed(done, "bpf(MAP_DELETE_ELEM)", "images");
    next.carry_over(*list);
  }
  list.emplace(std::move(next));
  return {};
}

Result<Count> Program::State::read(const bpf_map* from,
                                   std::uint32_t index) const {
  std::vector<sluice_count> counts(
      static_cast<std::size_t>(libbpf_num_possible_cpus()));
  const int done = bpf_map_lookup_elem(map(from), &index, counts.data());
  if (done != 0) {
    return failed(done, "bpf(MAP_LOOKUP_ELEM)", bpf_map__name(from));
  }
  return sum(counts);
}

Program::Program(std::unique_ptr<State> state) noexcept
    : state_(std::move(state)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() {
  if (state_) detach();
}

Result<Program> Program::load(const ProgramOptions& options) {
  const Captured captured;
  auto state = std::make_unique<State>();
  state->program.reset(steer_bpf__open());
  if (!state->program) return load_failed(errno, "bpf_object__open");
  steer_bpf& program = *state->program;
  sluice_identity& identity = program.rodata->identity;
  identity = own_identity(options.owner_pid);
  if (options.frags) {
    identity.frags = 1;
    bpf_program__set_flags(program.progs.sluice_steer, BPF_F_XDP_HAS_FRAGS);
  }
  if (const int done = steer_bpf__load(&program); done != 0) {
    return load_failed(done, "bpf(PROG_LOAD)");
  }
  bpf_prog_info loaded{};
  __u32 size = sizeof loaded;
  if (const int done = bpf_obj_get_info_by_fd(state->fd(), &loaded, &size);
      done != 0) {
    return failed(done, "bpf(OBJ_GET_INFO_BY_FD)", "sluice_steer");
  }
  state->id = loaded.id;
  Program result(std::move(state));
  if (auto set = result.set_rules(options.rules); !set) return set.error();
  return result;
}

Result<void> Program::attach(int ifindex, AttachMode mode) {
  assert(!state_->link);
  std::array<char, IF_NAMESIZE> name{};
  std::string arguments = "interface " + std::to_string(ifindex);
  if (if_indextoname(static_cast<unsigned>(ifindex), name.data()) == nullptr) {
    return Error{ENODEV, "bpf_link_create(XDP)", std::move(arguments),
                 "It is not in this network namespace; see: ip link"};
  }
  arguments = std::string(name.data()) + " " + to_string(mode);
  bpf_link_create_opts options{};
  options.sz = sizeof options;
  options.flags = attach_flags(mode);
  const int link = bpf_link_create(state_->fd(), ifindex, BPF_XDP, &options);
  if (link < 0) {
    return failed(link, "bpf_link_create(XDP)", std::move(arguments),
                  attach_advice(-link, ifindex, mode));
  }
  state_->link = Fd(link);
  state_->ifindex = ifindex;
  return {};
}

void Program::detach() noexcept {
  if (!state_->link) return;
  // Closing alone may leave the detaching to a kernel thread.
  static_cast<void>(bpf_link_detach(state_->link.get()));
  state_->link.reset();
}

std::optional<AttachMode> Program::attached() const {
  if (!state_->link) return {};
  const auto running = attached_program(state_->ifindex);
  if (!running || !*running || (*running)->id != state_->id) return {};
  return (*running)->mode;
}

Result<void> Program::set_rules(const Rules& rules) {
  auto next = steering::LiveList::make(rules);
  if (!next) return next.error();
  return state_->publish(std::move(*next));
}

const Rules& Program::rules() const noexcept { return state_->list->rules(); }

std::uint64_t Program::version() const noexcept { return state_->version; }

Result<void> Program::set_socket(std::uint32_t queue, int fd) {
  const int done = bpf_map_update_elem(
      state_->map(state_->program->maps.sockets), &queue, &fd, BPF_ANY);
  if (done == 0) return {};
  return failed(
      done, "bpf(MAP_UPDATE_ELEM)", "sockets queue " + std::to_string(queue),
      done == -E2BIG ? "At most " + std::to_string(SLUICE_QUEUES_MAX) +
                           " queues can be steered to"
                     : "");
}

Result<void> Program::clear_socket(std::uint32_t queue) {
  const int done =
      bpf_map_delete_elem(state_->map(state_->program->maps.sockets), &queue);
  if (done == 0 || done == -ENOENT) return {};
  return failed(done, "bpf(MAP_DELETE_ELEM)",
                "sockets queue " + std::to_string(queue));
}

Result<Counts> Program::counts() const {
  Counts counts;
  const auto& maps = state_->program->maps;
  Count* const verdicts[SLUICE_VERDICTS] = {&counts.verdicts.passed,
                                            &counts.verdicts.dropped,
                                            &counts.verdicts.steered,
                                            &counts.verdicts.passed_no_socket,
                                            &counts.verdicts.dropped_no_socket,
                                            &counts.verdicts.reflected};
  for (std::uint32_t i = 0; i < SLUICE_VERDICTS; ++i) {
    auto count = state_->read(maps.verdicts, i);
    if (!count) return count.error();
    *verdicts[i] = *count;
  }
  const steering::LiveList& list = *state_->list;
  counts.rules.reserve(list.rules().size());
  for (std::size_t i = 0; i < list.rules().size(); ++i) {
    counts.rules.push_back(list.count(i));
  }
  counts.unmatched = list.unmatched();
  counts.fragments = list.fragments();
  return counts;
}

std::uint32_t Program::id() const noexcept { return state_->id; }

Result<Action> Program::run_on(std::span<const std::byte> packet) const {
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = packet.data();
  options.data_size_in = static_cast<__u32>(packet.size());
  const int done = bpf_prog_test_run_opts(state_->fd(), &options);
  if (done != 0) {
    return failed(done, "bpf(PROG_TEST_RUN)",
                  std::to_string(packet.size()) + " bytes");
  }
  if (options.retval == XDP_PASS) return Action::pass;
  if (options.retval == XDP_DROP) return Action::drop;
  if (options.retval == XDP_REDIRECT) return Action::steer;
  if (options.retval == XDP_TX) return Action::reflect;
  return failed(EPROTO, "bpf(PROG_TEST_RUN)",
                "verdict " + std::to_string(options.retval));
}

}  // namespace sluice
