// SPDX-License-Identifier: Apache-2.0
#include "doctor_state.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <ranges>
#include <sstream>

#include "host_files.hpp"

namespace sluice {
namespace {

constexpr const char* kRoot = "Settings take root.";

// Of another boot, or an interface that has gone, nothing is to be put back.
std::string first_line(const std::string& interface) {
  auto device = Netdev::read(interface);
  return "sluice-prepared 1 " + read_line("/proc/sys/kernel/random/boot_id") +
         " " + std::to_string(device ? device->index : 0);
}

// Names of interfaces are those of a network namespace.
std::string path_of(const std::string& interface, const char* suffix) {
  struct stat space{};
  (void)::stat("/proc/thread-self/ns/net", &space);
  return std::string(kStateFolder) + "/" + std::to_string(space.st_ino) + "-" +
         interface + "." + suffix;
}

Result<void> write_line(int file, const std::string& line) {
  const std::string text = line + "\n";
  const auto written = ::write(file, text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size()) || ::fdatasync(file) != 0) {
    return Error::last("write", kStateFolder);
  }
  return {};
}

std::optional<Prepared::Change> change_of(const std::string& line) {
  std::istringstream fields(line);
  Prepared::Change change;
  Setting& setting = change.setting;
  for (std::string* each : {&setting.interface, &setting.what, &setting.key,
                            &change.before, &setting.value}) {
    if (!std::getline(fields, *each, '\t')) return {};
  }
  return change;
}

// Whether the path still names the file that was locked: its last owner may
// have removed it in between.
bool still_named(int file, const std::string& path) {
  struct stat locked{};
  struct stat named{};
  return ::fstat(file, &locked) == 0 && ::stat(path.c_str(), &named) == 0 &&
         locked.st_ino == named.st_ino && locked.st_dev == named.st_dev;
}

}  // namespace

Result<std::optional<StateFile>> StateFile::open(const std::string& interface,
                                                 const char* suffix, Open how) {
  StateFile state;
  state.path_ = path_of(interface, suffix);
  const bool make = how == Open::make;
  const int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    if (make && ::mkdir(kStateFolder, 0755) != 0 && errno != EEXIST) {
      return Error::last("mkdir", kStateFolder, kRoot);
    }
    state.file_ =
        Fd(::open(state.path_.c_str(), make ? flags | O_CREAT : flags, 0644));
    if (!state.file_ && errno == ENOENT && !make) {
      return std::optional<StateFile>();
    }
    if (!state.file_ && errno == ENOENT) continue;  // The folder went.
    if (!state.file_) {
      return Error::last("open", state.path_, kRoot);
    }
    if (::flock(state.file_.get(), LOCK_EX | LOCK_NB) != 0) {
      return Error{EBUSY, "prepare", interface,
                   "Another process has prepared it, and lives."};
    }
    if (!still_named(state.file_.get(), state.path_)) continue;
    if (::lseek(state.file_.get(), 0, SEEK_END) == 0 && make) {
      auto begun = write_line(state.file_.get(), first_line(interface));
      if (!begun) return begun.error();
    }
    return std::optional<StateFile>(std::move(state));
  }
  return Error{EBUSY, "open", state.path_, "It comes and goes; try again."};
}

std::vector<Prepared::Change> StateFile::read() const {
  std::vector<Prepared::Change> changes;
  std::ifstream file(path_);
  std::string line;
  std::getline(file, line);
  // Named in it: the interface of this file is part of its path.
  const auto dash = path_.find('-', path_.rfind('/'));
  const auto dot = path_.rfind('.');
  if (line != first_line(path_.substr(dash + 1, dot - dash - 1))) {
    return changes;
  }
  while (std::getline(file, line) && !file.eof()) {
    if (const auto change = change_of(line)) merge(changes, *change);
  }
  drop_undone(changes);
  return changes;
}

Result<void> StateFile::add(const Prepared::Change& change) {
  const Setting& setting = change.setting;
  return write_line(file_.get(), setting.interface + "\t" + setting.what +
                                     "\t" + setting.key + "\t" + change.before +
                                     "\t" + setting.value);
}

void StateFile::remove() {
  if (!file_) return;
  ::unlink(path_.c_str());
  file_.reset();
  ::rmdir(kStateFolder);  // Fails while there are others.
}

void merge(std::vector<Prepared::Change>& changes,
           const Prepared::Change& change) {
  const auto earlier =
      std::ranges::find_if(changes, [&](const Prepared::Change& each) {
        return each.setting.name() == change.setting.name();
      });
  if (earlier == changes.end()) {
    changes.push_back(change);
  } else {
    earlier->setting.value = change.setting.value;
  }
}

void drop_undone(std::vector<Prepared::Change>& changes) {
  std::erase_if(changes, [](const Prepared::Change& each) {
    return each.setting.value == each.before;
  });
}

Restored put_back(const std::vector<Prepared::Change>& changes) {
  Restored restored;
  for (const Prepared::Change& each : changes | std::views::reverse) {
    auto now = read_setting(each.setting);
    if (!now) {
      restored.troubles.push_back(each.setting.name() + ": not put back to " +
                                  each.before + ": " + now.error().message());
    } else if (*now == each.before) {
      continue;
    } else if (*now != each.setting.value) {
      restored.troubles.push_back(each.setting.name() + " was set to " + *now +
                                  " by somebody else meanwhile: left as it "
                                  "is, it was " +
                                  each.before);
    } else {
      Setting old = each.setting;
      old.value = each.before;
      if (auto written = write_setting(old); written) {
        restored.changes.push_back(each);
      } else {
        restored.troubles.push_back(each.setting.name() + ": not put back to " +
                                    each.before + ": " +
                                    written.error().message());
      }
    }
  }
  return restored;
}

}  // namespace sluice
