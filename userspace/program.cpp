// SPDX-License-Identifier: Apache-2.0
#include <sluice/program.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <span>
#include <string_view>
#include <utility>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <unistd.h>

#include <sluice/sys.hpp>

#include "program_advice.hpp"
#include "program_dispatcher.hpp"
#include "program_owner.hpp"
#include "program_state.hpp"

namespace sluice {
namespace {

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

// The link of a process that was just killed is let go of in the background, so
// a refusal is believed only of a program that somebody alive has there. And
// two that make the first dispatcher at once are told of each other.
bool is_for_now(int ifindex, bool dispatcher) {
  const auto there = attached_program(ifindex);
  if (there && *there && !(*there)->dispatched.empty()) return dispatcher;
  return !there || !*there || ((*there)->identity && !(*there)->owner_alive);
}

}  // namespace

const char* to_string(AttachMode mode) noexcept {
  return mode == AttachMode::native ? "native" : "generic";
}

bool other_mode_may_work(int code) noexcept {
  return code != EBUSY && code != EPERM && code != EACCES && code != ENOSYS;
}

Result<void> check_fits(const Rules& rules) {
  auto image = steering::Image::build(
      rules, static_cast<unsigned>(libbpf_num_possible_cpus()));
  if (!image) return image.error();
  return {};
}

Result<void> Program::State::look_at_program() {
  bpf_prog_info loaded{};
  __u32 size = sizeof loaded;
  if (const int done = bpf_obj_get_info_by_fd(program.get(), &loaded, &size);
      done != 0) {
    return bpf_failed(done, "bpf(OBJ_GET_INFO_BY_FD)", "sluice_steer");
  }
  id = loaded.id;
  plain = std::string_view(loaded.name) == "sluice_plain";
  return {};
}

Result<void> Program::State::look() {
  if (program) {
    if (auto looked = look_at_program(); !looked) return looked;
  }
  auto mapped =
      Mapping::shared(maps[hot].get(), sizeof(sluice_direct), 0, "hot");
  if (!mapped) return mapped.error();
  memory = std::move(*mapped);
  return {};
}

Result<void> Program::State::look_at_bypass(std::uint32_t flows) {
  bpf_map_info table{};
  __u32 size = sizeof table;
  if (const int done =
          bpf_obj_get_info_by_fd(maps[bypassed].get(), &table, &size);
      done != 0) {
    return bpf_failed(done, "bpf(OBJ_GET_INFO_BY_FD)", "bypassed");
  }
  if (table.max_entries < BypassTable::bytes(1) / sizeof(sluice_line)) {
    return {};
  }
  auto mapped =
      Mapping::shared(maps[bypassed].get(),
                      table.max_entries * sizeof(sluice_line), 0, "bypassed");
  if (!mapped) return mapped.error();
  bypass_memory = std::move(*mapped);
  if (flows != 0) BypassTable::make(bypass_memory.bytes(), flows);
  bypass.emplace(bypass_memory.bytes(), data().bypassing);
  return {};
}

Result<void> Program::State::read_list() {
  const __u32 slot = std::atomic_ref(data().in_force).load() & 1;
  __u32 image = 0;
  int done = bpf_map_lookup_elem(maps[images].get(), &slot, &image);
  if (done != 0) return bpf_failed(done, "bpf(MAP_LOOKUP_ELEM)", "images");
  Fd map(bpf_map_get_fd_by_id(image));
  if (!map) {
    return Error::last("bpf(MAP_GET_FD_BY_ID)", "images", permission_advice());
  }
  auto opened = steering::LiveList::open(std::move(map), data().hot[slot]);
  if (!opened) return opened.error();
  version = data().hot[slot].version;
  list.emplace(std::move(*opened));
  return {};
}

// Beside the list in force, then in its place.
Result<void> Program::State::publish(steering::LiveList next) {
  sluice_direct& data = this->data();
  const __u32 slot = list ? 1 - data.in_force : 0;
  const int fd = next.map();
  int done = bpf_map_update_elem(maps[images].get(), &slot, &fd, BPF_ANY);
  if (done != 0) return bpf_failed(done, "bpf(MAP_UPDATE_ELEM)", "images");
  data.hot[slot] = next.hot();
  data.hot[slot].version = ++version;
  data.hot[slot].hints = list ? data.hot[1 - slot].hints : 0;
  std::atomic_ref(data.in_force).store(slot);
  if (list) {
    // The kernel waits for programs that run only after the change of a map of
    // maps. So the new list is put there once more: who still reads the old one
    // is waited for before it is taken away.
    done = bpf_map_update_elem(maps[images].get(), &slot, &fd, BPF_ANY);
    if (done != 0) return bpf_failed(done, "bpf(MAP_UPDATE_ELEM)", "images");
    const __u32 old = 1 - slot;
    done = bpf_map_delete_elem(maps[images].get(), &old);
    if (done != 0) return bpf_failed(done, "bpf(MAP_DELETE_ELEM)", "images");
    next.carry_over(*list);
  }
  list.emplace(std::move(next));
  return {};
}

Result<Count> Program::State::read_verdict(std::uint32_t index) const {
  std::vector<sluice_count> counts(
      static_cast<std::size_t>(libbpf_num_possible_cpus()));
  const int done =
      bpf_map_lookup_elem(maps[verdicts].get(), &index, counts.data());
  if (done != 0) return bpf_failed(done, "bpf(MAP_LOOKUP_ELEM)", "verdicts");
  return sum(counts);
}

Program::Program(std::unique_ptr<State> state) noexcept
    : state_(std::move(state)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() {
  if (state_ && !pinned()) detach();
}

Result<Program> Program::load(const ProgramOptions& options) {
  auto state = std::make_unique<State>();
  state->counters_max = options.counters_max;
  if (auto loaded = state->load(options); !loaded) return loaded.error();
  Program result(std::move(state));
  if (auto set = result.set_rules(options.rules); !set) return set.error();
  return result;
}

Result<void> Program::State::attach_alone(int to, AttachMode mode,
                                          const std::string& arguments) {
  bpf_link_create_opts options{};
  options.sz = sizeof options;
  options.flags = attach_flags(mode);
  const int created = bpf_link_create(program.get(), to, BPF_XDP, &options);
  if (created < 0) {
    return bpf_failed(created, "bpf_link_create(XDP)", arguments,
                      attach_advice(-created, to, mode));
  }
  link = Fd(created);
  return {};
}

Result<void> Program::attach(int ifindex, AttachMode mode) {
  State& state = *state_;
  assert(state.ifindex == 0);
  std::array<char, IF_NAMESIZE> name{};
  std::string arguments = "interface " + std::to_string(ifindex);
  if (if_indextoname(static_cast<unsigned>(ifindex), name.data()) == nullptr) {
    return Error{ENODEV, "bpf_link_create(XDP)", std::move(arguments),
                 "It is not in this network namespace; see: ip link"};
  }
  arguments = std::string(name.data()) + " " + to_string(mode);
  remove_orphans(ifindex);
  constexpr int kTries = 25;
  for (int attempt = 1;; ++attempt) {
    auto done = state.dispatcher ? state.dispatch(ifindex, mode, arguments)
                                 : state.attach_alone(ifindex, mode, arguments);
    if (done) state.ifindex = ifindex;
    if (done || done.error().code != EBUSY || attempt == kTries ||
        !is_for_now(ifindex, state.dispatcher)) {
      return done;
    }
    ::usleep(20'000);
  }
}

void Program::detach() noexcept {
  State& state = *state_;
  if (state.ifindex == 0) return;
  if (state.dispatcher) {
    static_cast<void>(leave_dispatcher(state.ifindex, state.id));
  } else {
    // Closing alone may leave the detaching to a kernel thread.
    static_cast<void>(bpf_link_detach(state.link.get()));
    state.link.reset();
  }
  state.ifindex = 0;
  unpin();
}

std::optional<AttachMode> Program::attached() const {
  if (state_->ifindex == 0) return {};
  const auto running = attached_program(state_->ifindex);
  if (!running || !*running || !(*running)->runs(state_->id)) return {};
  return (*running)->mode;
}

bool Program::dispatched() const noexcept { return state_->dispatcher; }

bool Program::gives_metadata() const noexcept { return !state_->plain; }

Result<void> Program::set_rules(const Rules& rules) {
  auto next = steering::LiveList::make(rules, state_->counters_max);
  if (!next) return next.error();
  return state_->publish(std::move(*next));
}

const Rules& Program::rules() const noexcept { return state_->list->rules(); }

std::size_t Program::rules_bytes() const noexcept {
  return state_->list->bytes();
}

std::uint64_t Program::version() const noexcept { return state_->version; }

void Program::set_rx_hints(RxHints wanted) noexcept {
  sluice_direct& data = state_->data();
  std::atomic_ref(data.hot[data.in_force & 1].hints).store(wanted.bits());
}

Result<void> Program::set_socket(std::uint32_t queue, int fd) {
  const int done = bpf_map_update_elem(state_->maps[State::sockets].get(),
                                       &queue, &fd, BPF_ANY);
  if (done == 0) return {};
  return bpf_failed(
      done, "bpf(MAP_UPDATE_ELEM)", "sockets queue " + std::to_string(queue),
      done == -E2BIG ? "At most " + std::to_string(SLUICE_QUEUES_MAX) +
                           " queues can be steered to"
                     : "");
}

Result<void> Program::clear_socket(std::uint32_t queue) {
  const int done =
      bpf_map_delete_elem(state_->maps[State::sockets].get(), &queue);
  if (done == 0 || done == -ENOENT) return {};
  return bpf_failed(done, "bpf(MAP_DELETE_ELEM)",
                    "sockets queue " + std::to_string(queue));
}

Result<Counts> Program::counts() const {
  Counts counts;
  Count* const verdicts[SLUICE_VERDICTS] = {&counts.verdicts.passed,
                                            &counts.verdicts.dropped,
                                            &counts.verdicts.steered,
                                            &counts.verdicts.passed_no_socket,
                                            &counts.verdicts.dropped_no_socket,
                                            &counts.verdicts.reflected};
  for (std::uint32_t i = 0; i < SLUICE_VERDICTS; ++i) {
    auto count = state_->read_verdict(i);
    if (!count) return count.error();
    *verdicts[i] = *count;
  }
  counts.mirrors_lost = std::atomic_ref(state_->data().mirrors_lost).load();
  if (state_->bypass && state_->bypass->inserted() > 0) {
    auto total = state_->read_verdict(SLUICE_BYPASSED);
    if (!total) return total.error();
    counts.bypass = {*total, state_->bypass->inserted(),
                     state_->bypass->evicted()};
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

BypassTable* Program::bypass() noexcept {
  return state_->bypass ? &*state_->bypass : nullptr;
}

int Program::mirror_map() const noexcept {
  return state_->maps[State::mirror].get();
}

std::uint32_t Program::id() const noexcept { return state_->id; }

sluice_identity Program::identity() const {
  return identity_in_map(state_->maps[State::constants].get())
      .value_or(sluice_identity{});
}

Result<Action> Program::run_on(std::span<const std::byte> packet) const {
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = packet.data();
  options.data_size_in = static_cast<__u32>(packet.size());
  const int done = bpf_prog_test_run_opts(state_->program.get(), &options);
  if (done != 0) {
    return bpf_failed(done, "bpf(PROG_TEST_RUN)",
                      std::to_string(packet.size()) + " bytes");
  }
  if (options.retval == XDP_PASS) return Action::pass;
  if (options.retval == XDP_DROP) return Action::drop;
  if (options.retval == XDP_REDIRECT) return Action::steer;
  if (options.retval == XDP_TX) return Action::reflect;
  return bpf_failed(EPROTO, "bpf(PROG_TEST_RUN)",
                    "verdict " + std::to_string(options.retval));
}

}  // namespace sluice
