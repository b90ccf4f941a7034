// SPDX-License-Identifier: Apache-2.0
#include "rules_confirm.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "rules_show.hpp"
#include "run.hpp"
#include "show.hpp"
#include "signals.hpp"

namespace sluice::app {
namespace {

// A line came. False: none will, or a part of one is all there is.
bool read_line(pollfd& input) {
  std::array<char, 256> typed;
  const auto size = ::read(input.fd, typed.data(), typed.size());
  if (size <= 0) input.fd = -1;  // Nobody types there: poll passes it over.
  auto* const end = typed.data() + std::max<ssize_t>(size, 0);
  return std::find(typed.data(), end, '\n') != end;
}

bool confirmed(const StopSignals& signals, Duration patience) {
  const Time deadline = monotonic_now() + patience;
  std::array<pollfd, 2> watched = {
      {{signals.fd(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
  for (Time now; (now = monotonic_now()) < deadline;) {
    const auto left = (deadline - now).count() / 1'000'000 + 1;
    const int wait = static_cast<int>(std::min<std::int64_t>(left, 1 << 30));
    if (::poll(watched.data(), watched.size(), wait) <= 0) continue;
    if (watched[0].revents != 0) return false;
    if (watched[1].revents != 0 && read_line(watched[1])) return true;
  }
  return false;
}

}  // namespace

int load_unless_unconfirmed(const std::string& interface,
                            const Proposal& proposal, Duration patience,
                            bool json) {
  const auto tell = [&](std::uint64_t number, const Rules& rules) {
    put(loaded(interface, number, rules, json));
  };
  // First: whatever comes from here on is told, and the list goes back.
  const StopSignals signals(StopSignals::Hangup::is_told);
  auto before = read_rules(interface);
  if (!before) return fail(before.error(), kFailed);
  Proposal first = proposal;
  first.instead_of = before->version;
  auto version = propose_rules(interface, first);
  if (!version) return fail(version.error(), kFailed);
  tell(*version, proposal.rules);
  fmt::print(stderr, "press Enter within {:g} s to keep it\n",
             static_cast<double>(patience.count()) / 1e9);
  if (confirmed(signals, patience)) {
    fmt::print(stderr, "confirmed: it stays\n");
    return kOk;
  }
  auto back = propose_rules(interface, {before->rules, *version, true});
  if (!back) return fail(back.error(), kFailed);
  fmt::print(stderr, "not confirmed: the list before is back\n");
  tell(*back, before->rules);
  return kFailed;
}

}  // namespace sluice::app
