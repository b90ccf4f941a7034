// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sluice/testing/process.hpp>

namespace sluice::testing {
namespace {

using std::chrono::steady_clock;

struct Pipe {
  Fd reader, writer;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::last("pipe2");
  Pipe pipe{Fd(ends[0]), Fd(ends[1])};
  ::fcntl(pipe.reader.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

// Between fork and exec: nothing here may allocate or lock.
[[noreturn]] void become(char* const* argv, int network, int parent, int out,
                         int err) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const bool orphan = ::getppid() != parent;  // It died before the prctl.
  const bool moved = network < 0 || ::setns(network, CLONE_NEWNET) == 0;
  if (!orphan && moved && ::dup2(out, STDOUT_FILENO) >= 0 &&
      ::dup2(err, STDERR_FILENO) >= 0) {
    ::execvp(argv[0], argv);
  }
  ::_exit(127);
}

}  // namespace

Result<Process> Process::start(const std::vector<std::string>& argv,
                               int network) {
  auto out = make_pipe();
  auto err = make_pipe();
  if (!out) return out.error();
  if (!err) return err.error();
  std::vector<char*> words;
  for (const std::string& word : argv) {
    words.push_back(const_cast<char*>(word.c_str()));
  }
  words.push_back(nullptr);

  Process process;
  const int parent = ::getpid();
  process.pid_ = ::fork();
  if (process.pid_ < 0) return Error::last("fork", argv.front());
  if (process.pid_ == 0) {
    become(words.data(), network, parent, out->writer.get(), err->writer.get());
  }
  process.pidfd_ =
      Fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid_, 0)));
  if (!process.pidfd_) return Error::last("pidfd_open", argv.front());
  process.out_.fd = std::move(out->reader);
  process.err_.fd = std::move(err->reader);
  return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      code_(other.code_),
      pidfd_(std::move(other.pidfd_)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(code_, other.code_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(out_, other.out_);
  std::swap(err_, other.err_);
  return *this;
}

Process::~Process() {
  if (pid_ < 0 || code_) return;
  signal(SIGKILL);
  reap(true);
}

bool Process::signal(int number) noexcept {
  // Not reaped yet, so the number is still its own.
  return pid_ > 0 && !code_ && ::kill(pid_, number) == 0;
}

void Process::reap(bool block) {
  int status = 0;
  if (code_ || ::waitpid(pid_, &status, block ? 0 : WNOHANG) != pid_) return;
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void Process::Stream::read() {
  std::array<char, 4096> piece;
  while (fd) {
    const auto got = ::read(fd.get(), piece.data(), piece.size());
    if (got > 0) {
      text.append(piece.data(), static_cast<std::size_t>(got));
    } else {
      if (got == 0 || errno != EAGAIN) fd.reset();
      return;
    }
  }
}

bool Process::turn(steady_clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      deadline - steady_clock::now());
  std::array<pollfd, 3> fds = {{{pidfd_.get(), POLLIN, 0},
                                {out_.fd.get(), POLLIN, 0},
                                {err_.fd.get(), POLLIN, 0}}};
  const int ready = ::poll(fds.data(), fds.size(),
                           static_cast<int>(std::max(left.count(), 0L)));
  // The end first: what is read after it is all that there will be.
  if (fds[0].revents != 0) reap(false);
  out_.read();
  err_.read();
  return ready != 0;
}

std::optional<int> Process::wait(std::chrono::milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  while (!code_ && turn(deadline)) continue;
  return code_;
}

bool Process::wait_for(std::string_view text,
                       std::chrono::milliseconds patience, std::size_t from) {
  const auto deadline = steady_clock::now() + patience;
  while (out_.text.find(text, from) == std::string::npos) {
    if (code_ || !turn(deadline)) return false;
  }
  return true;
}

}  // namespace sluice::testing
