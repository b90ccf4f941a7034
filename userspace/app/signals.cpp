// SPDX-License-Identifier: Apache-2.0
#include "signals.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace sluice::app {

StopSignals::StopSignals(Hangup hangup) {
  sigemptyset(&set_);
  sigaddset(&set_, SIGINT);
  sigaddset(&set_, SIGTERM);
  if (hangup == Hangup::is_told) sigaddset(&set_, SIGHUP);
  ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // A reader that went away ends the run.
  fd_ = Fd(::signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK));
}

bool StopSignals::pending() const {
  pollfd watched = {fd_.get(), POLLIN, 0};
  return ::poll(&watched, 1, 0) > 0;
}

std::string StopSignals::take() {
  signalfd_siginfo info{};
  if (::read(fd_.get(), &info, sizeof info) != sizeof info) return "signal";
  if (info.ssi_signo == SIGHUP) return "SIGHUP";
  sigdelset(&set_, SIGHUP);
  ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  return info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
}

}  // namespace sluice::app
