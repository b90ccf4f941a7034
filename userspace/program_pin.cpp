// SPDX-License-Identifier: Apache-2.0
// Pins: a program that outlives its process, in a folder of its own:
//
//   /sys/fs/bpf/sluice/NAMESPACE-INDEX-INTERFACE/{program,link,sockets,...}
//
// The name keeps folders apart; what a folder is for is asked of its link, as
// interfaces are renamed and move between namespaces.
//
// A program that a dispatcher calls has no link of its own; then "dispatched",
// which is the program once more, says that all is pinned, and the interface is
// the one that the folder's name says, if it calls that program.
//
// Who works on a folder holds a lock on it (flock), which goes with the process
// however that ends. The link is pinned last and removed first: a folder
// without one is half made or half removed, by somebody who is gone if the lock
// can be had.
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "program_dispatcher.hpp"
#include "program_owner.hpp"
#include "program_state.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::string root() { return std::string(kBpffs) + "/sluice"; }

unsigned long this_network() {
  struct stat network{};
  if (::stat("/proc/thread-self/ns/net", &network) != 0) return 0;
  return network.st_ino;
}

// Names in bpffs have no dots; those of interfaces have no colons.
Result<std::string> folder_of(int ifindex) {
  std::array<char, IF_NAMESIZE> name{};
  const unsigned long network = this_network();
  if (network == 0 || ::if_indextoname(static_cast<unsigned>(ifindex),
                                       name.data()) == nullptr) {
    return Error::last("if_indextoname", std::to_string(ifindex));
  }
  std::ranges::replace(name, '.', ':');
  return root() + "/" + std::to_string(network) + "-" +
         std::to_string(ifindex) + "-" + name.data();
}

// The lock on a folder that is there; none: somebody has it, or it went.
Fd locked(const std::string& path) {
  Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::flock(folder.get(), LOCK_EX | LOCK_NB) != 0) return {};
  struct stat mine{}, there{};
  if (::fstat(folder.get(), &mine) != 0 || ::stat(path.c_str(), &there) != 0 ||
      mine.st_ino != there.st_ino) {
    return {};
  }
  return folder;
}

void remove_folder(const std::string& path) {
  for (const char* last : {"/link", "/dispatched"}) {
    ::unlink((path + last).c_str());
  }
  std::error_code ignored;
  fs::remove_all(path, ignored);
  ::rmdir(root().c_str());  // Unless there are others.
}

Fd pinned_at(const std::string& path, const char* name) {
  return Fd(bpf_obj_get((path + "/" + name).c_str()));
}

// In which namespace a folder was made, and for which interface.
struct Place {
  unsigned long network = 0;
  int ifindex = 0;
};
Place place_of(const std::string& folder) {
  Place place;
  const std::string name = fs::path(folder).filename();
  const char* const end = name.data() + name.size();
  const auto network = std::from_chars(name.data(), end, place.network);
  if (network.ptr != end) {
    std::from_chars(network.ptr + 1, end, place.ifindex);
  }
  return place;
}

// What the link of a folder is attached to. Index 0: to nothing any more, or
// there is no link. None: it could not be asked, so nobody knows.
struct Target {
  int ifindex = 0;
  std::uint32_t program = 0;
};

// Its program runs on that interface of this network namespace. The index alone
// may be that of an interface elsewhere: one that was moved there.
bool runs_here(const Target& target) {
  const auto running = attached_program(target.ifindex);
  return running && *running && (*running)->runs(target.program);
}

std::optional<Target> dispatched_of(const std::string& folder) {
  const Fd program = pinned_at(folder, "dispatched");
  if (!program) return errno == ENOENT ? std::optional(Target{}) : std::nullopt;
  const Place place = place_of(folder);
  bpf_prog_info found{};
  __u32 size = sizeof found;
  if (place.network != this_network() ||
      bpf_obj_get_info_by_fd(program.get(), &found, &size) != 0) {
    return {};
  }
  const Target target{place.ifindex, found.id};
  return runs_here(target) ? target : Target{};
}

std::optional<Target> target_of(const std::string& folder) {
  const Fd link = pinned_at(folder, "link");
  if (!link) return errno == ENOENT ? dispatched_of(folder) : std::nullopt;
  bpf_link_info found{};
  __u32 size = sizeof found;
  if (bpf_obj_get_info_by_fd(link.get(), &found, &size) != 0 ||
      found.type != BPF_LINK_TYPE_XDP) {
    return {};
  }
  return Target{static_cast<int>(found.xdp.ifindex), found.prog_id};
}
bool is_stale(const std::string& folder) {
  const auto target = target_of(folder);
  return target && target->ifindex == 0;
}

struct Folder {
  std::string path;
  Target target;
};

// Those of interfaces of this network namespace; what is stale, wherever it
// was, is removed.
std::vector<Folder> folders() {
  std::vector<Folder> found;
  if (!check_bpffs()) return found;
  std::error_code error;
  for (const auto& each : fs::directory_iterator(root(), error)) {
    const std::string path = each.path();
    const auto target = target_of(path);
    if (!target) continue;
    if (target->ifindex != 0) {
      if (runs_here(*target)) found.push_back({path, *target});
      continue;
    }
    const Fd lock = locked(path);
    if (lock && is_stale(path)) remove_folder(path);
  }
  return found;
}

std::optional<Folder> folder_on(int ifindex) {
  for (Folder& each : folders()) {
    if (each.target.ifindex == ifindex) return std::move(each);
  }
  return {};
}

Error busy(const std::string& path) {
  return {EBUSY, "flock", path, "Another process works on it."};
}

// The folder, made and locked. Somebody may take it for stale in between.
Result<Fd> made(const std::string& path) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (::mkdir(root().c_str(), 0700) != 0 && errno != EEXIST) {
      return Error::last("mkdir", root());
    }
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST &&
        errno != ENOENT) {
      return Error::last("mkdir", path);
    }
    if (Fd lock = locked(path)) return lock;
    ::usleep(1000);
  }
  return busy(path);
}

// Until nobody else is busy with the pins, or for as long as `patience`.
template <class Attempt>
auto patiently(Duration patience, const Attempt& attempt) {
  const Time deadline = monotonic_now() + patience;
  while (true) {
    auto done = attempt();
    if (done || done.error().code != EBUSY || monotonic_now() >= deadline) {
      return done;
    }
    ::usleep(10'000);
  }
}

Result<void> check_version(const sluice_identity& identity,
                           const std::string& path) {
  if (identity.abi_version == SLUICE_ABI_VERSION) return {};
  return Error{EPROTO, "program in", path,
               "Sluice " + std::string(identity.version) +
                   " attached it, with ABI " +
                   std::to_string(identity.abi_version) + "; this is ABI " +
                   std::to_string(SLUICE_ABI_VERSION) +
                   ": use that version, or `sluice detach` and attach anew."};
}

}  // namespace

Result<void> check_bpffs() {
  struct statfs found{};
  if (::statfs(kBpffs, &found) == 0 && found.f_type == BPF_FS_MAGIC) return {};
  return Error{ENOENT, "bpffs at", kBpffs,
               "Mount it: mount -t bpf bpf /sys/fs/bpf. `ip netns exec` hides "
               "it: nsenter --net=/run/netns/NAME does not. A container needs "
               "its host's: -v /sys/fs/bpf:/sys/fs/bpf."};
}

std::optional<std::uint32_t> pinned_program(int ifindex) {
  const auto found = folder_on(ifindex);
  if (!found) return {};
  return found->target.program;
}

std::vector<int> pinned_interfaces() {
  std::vector<int> indices;
  for (const Folder& each : folders()) indices.push_back(each.target.ifindex);
  return indices;
}

Result<std::optional<Program>> Program::open_pinned_once(int ifindex) {
  auto found = folder_on(ifindex);
  if (!found) return std::optional<Program>{};
  auto state = std::make_unique<State>();
  state->folder = locked(found->path);
  if (!state->folder) return busy(found->path);
  state->path = found->path;
  state->ifindex = ifindex;
  state->program = pinned_at(found->path, "program");
  if (!state->program) return Error::last("bpf(OBJ_GET)", found->path);
  state->dispatcher = static_cast<bool>(pinned_at(found->path, "dispatched"));
  if (!state->dispatcher) {
    state->link = pinned_at(found->path, "link");
    if (!state->link) return Error::last("bpf(OBJ_GET)", found->path);
  }
  Fd& own = state->maps[State::constants];
  own = pinned_at(found->path, State::kMapNames[State::constants]);
  const auto identity = own ? identity_in_map(own.get()) : std::nullopt;
  if (!identity) {
    return Error{EPROTO, "program in", found->path, "It is not Sluice's."};
  }
  if (auto same = check_version(*identity, found->path); !same) {
    return same.error();
  }
  for (std::size_t i = 0; i < State::kMaps; ++i) {
    state->maps[i] = pinned_at(found->path, State::kMapNames[i]);
    if (!state->maps[i]) return Error::last("bpf(OBJ_GET)", found->path);
  }
  if (auto looked = state->look(); !looked) return looked.error();
  if (auto table = state->look_at_bypass(0); !table) return table.error();
  if (auto read = state->read_list(); !read) return read.error();
  return std::optional<Program>(Program(std::move(state)));
}

Result<bool> Program::detach_pinned_once(int ifindex) {
  const auto found = folder_on(ifindex);
  if (!found) return remove_orphans(ifindex);
  const Fd lock = locked(found->path);
  if (!lock) return busy(found->path);
  const Fd link = pinned_at(found->path, "link");
  if (link && bpf_link_detach(link.get()) != 0) {
    return Error::last("bpf_link_detach", found->path);
  }
  if (!link) {
    auto left = leave_dispatcher(ifindex, found->target.program);
    if (!left) return left.error();
  }
  remove_folder(found->path);
  return true;
}

Result<std::optional<Program>> Program::open_pinned(int ifindex,
                                                    Duration patience) {
  return patiently(patience, [=] { return open_pinned_once(ifindex); });
}

Result<bool> Program::detach_pinned(int ifindex, Duration patience) {
  return patiently(patience, [=] { return detach_pinned_once(ifindex); });
}

Result<void> Program::pin() {
  State& state = *state_;
  if (auto there = check_bpffs(); !there) return there;
  const auto path_of = folder_of(state.ifindex);
  if (!path_of) return path_of.error();
  const std::string& path = *path_of;
  auto folder = made(path);
  if (!folder) return folder.error();
  if (!is_stale(path)) {
    return Error{EEXIST, "pin", path,
                 "It is of an interface that has left this network namespace: "
                 "detach it there."};
  }
  // Left behind by somebody who died meanwhile.
  for (const auto& each : fs::directory_iterator(path)) {
    ::unlink(each.path().c_str());
  }
  const auto pin_at = [&](const Fd& object, const char* name) -> Result<void> {
    const std::string at = path + "/" + name;
    const int done = bpf_obj_pin(object.get(), at.c_str());
    return done == 0 ? Result<void>() : bpf_failed(done, "bpf(OBJ_PIN)", at);
  };
  auto done = pin_at(state.program, "program");
  for (std::size_t i = 0; i < State::kMaps && done; ++i) {
    done = pin_at(state.maps[i], State::kMapNames[i]);
  }
  if (done && state.dispatcher) done = pin_at(state.program, "dispatched");
  if (done && !state.dispatcher) done = pin_at(state.link, "link");
  if (!done) {
    remove_folder(path);
    return done;
  }
  state.folder = std::move(*folder);
  state.path = path;
  return {};
}

bool Program::pinned() const noexcept {
  return static_cast<bool>(state_->folder);
}

void Program::unpin() noexcept {
  if (!pinned()) return;
  remove_folder(state_->path);
  state_->folder.reset();
}

}  // namespace sluice
