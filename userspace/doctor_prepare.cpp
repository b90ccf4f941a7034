// SPDX-License-Identifier: Apache-2.0
// Settings that are made, and put back.
#include <ranges>

#include "doctor_state.hpp"

namespace sluice {
namespace {

constexpr const char* kRun = "run";    // Of a process, while it lives.
constexpr const char* kKept = "kept";  // Until they are put back.

Result<Restored> restore_file(const std::string& interface,
                              const char* suffix) {
  auto file = StateFile::open(interface, suffix, StateFile::Open::if_there);
  if (!file) return file.error();
  if (!*file) return Restored{};
  Restored restored = put_back((*file)->read());
  (*file)->remove();
  return restored;
}

}  // namespace

struct Prepared::State {
  int index = 0;  // Of the interface.
  StateFile file;
  Stay stay = Stay::while_it_lives;
  std::vector<Change> changes;

  Result<void> begin(const std::string& interface) {
    auto device = Netdev::read(interface);
    if (!device) return device.error();
    if (device->index == index) return {};
    changes.clear();
    file.remove();
    auto recovered = recover(interface);
    if (!recovered) return recovered.error();
    const bool kept = stay == Stay::until_restored;
    auto opened =
        StateFile::open(interface, kept ? kKept : kRun, StateFile::Open::make);
    if (!opened) return opened.error();
    file = std::move(**opened);
    index = device->index;
    if (kept) changes = file.read();
    return {};
  }
  void note(const Change& change) {
    merge(changes, change);
    drop_undone(changes);
  }
  // The last first; errors are not told beside the one that led here.
  void take_back(const std::vector<Change>& made) {
    for (const Change& each : made | std::views::reverse) {
      Change back = each;
      back.setting.value = each.before;
      (void)write_setting(back.setting);
      (void)file.add(back);
      note(back);
    }
  }
};

Prepared::Prepared(std::unique_ptr<State> state) : state_(std::move(state)) {}
Prepared::Prepared(Prepared&&) noexcept = default;
Prepared& Prepared::operator=(Prepared&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Prepared::~Prepared() {
  if (!state_) return;
  const bool kept = state_->stay == Stay::until_restored;
  if (!kept) {
    (void)restore();
  } else if (state_->changes.empty()) {
    state_->file.remove();
  }
}

Result<Prepared> Prepared::open(const std::string& interface, Stay stay) {
  auto state = std::make_unique<State>();
  state->stay = stay;
  if (auto begun = state->begin(interface); !begun) return begun.error();
  return Prepared(std::move(state));
}

Result<void> Prepared::follow(const std::string& interface) {
  return state_->begin(interface);
}

Result<void> Prepared::apply(std::span<const Setting> settings) {
  std::vector<Change> made;
  for (const Setting& each : settings) {
    auto before = read_setting(each);
    if (before && *before == each.value) continue;
    Result<void> done;
    if (before) {
      made.push_back({each, *before});
      // First the file: a kill in between finds the old value in force.
      done = state_->file.add(made.back());
      if (done) done = write_setting(each);
    } else {
      done = before.error();
    }
    if (!done) {
      state_->take_back(made);
      return done;
    }
    state_->note(made.back());
  }
  return {};
}

const std::vector<Prepared::Change>& Prepared::changes() const noexcept {
  return state_->changes;
}

std::vector<std::string> Prepared::restore() {
  Restored restored = put_back(state_->changes);
  state_->changes.clear();
  state_->file.remove();
  return restored.troubles;
}

Result<Restored> recover(const std::string& interface) {
  return restore_file(interface, kRun);
}

Result<Restored> restore_kept(const std::string& interface) {
  auto recovered = recover(interface);
  if (!recovered) return recovered;
  auto kept = restore_file(interface, kKept);
  if (!kept) return kept;
  for (auto& each : kept->changes) recovered->changes.push_back(each);
  for (auto& each : kept->troubles) recovered->troubles.push_back(each);
  return recovered;
}

}  // namespace sluice
