// SPDX-License-Identifier: Apache-2.0
// Process: a child process with captured output, that never outlives its test.
#pragma once

#include <chrono>
#include <optional>
#include <sluice/result.hpp>
#include <sluice/sys.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::testing {

/// Used from the thread that started it: the kernel kills the child when that
/// thread ends, however it ends. Destroyed while it runs, it is killed.
class Process {
 public:
  /// Runs `argv[0]`, found by PATH, in the network namespace behind `network`
  /// (-1: the caller's). ENOENT and its like show as exit code 127.
  /// System calls: pipe2(2), fork(2), setns(2), execvp(3), pidfd_open(2).
  [[nodiscard]] static Result<Process> start(
      const std::vector<std::string>& argv, int network = -1);

  /// None yet: to be assigned.
  Process() = default;
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  [[nodiscard]] int pid() const noexcept { return pid_; }
  /// kill(2). False: it has ended already.
  bool signal(int number) noexcept;

  /// Its exit code, or 128 plus the signal that ended it, as shells have it.
  /// Nothing: it still runs when `patience` is over. Keeps reading its output.
  std::optional<int> wait(std::chrono::milliseconds patience);
  /// Reads until its standard output contains `text` after offset `from`.
  /// False: it did not come in time, or never will.
  bool wait_for(std::string_view text, std::chrono::milliseconds patience,
                std::size_t from = 0);

  /// What it has written, as far as it was read by the calls above.
  [[nodiscard]] const std::string& out() const noexcept { return out_.text; }
  [[nodiscard]] const std::string& err() const noexcept { return err_.text; }
  /// Nobody reads its standard output any more, as behind `| head`.
  void close_output() noexcept { out_.fd.reset(); }

 private:
  struct Stream {
    Fd fd;
    std::string text;
    void read();
  };

  // Waits for output or the end, until `deadline`. False: the time is over.
  bool turn(std::chrono::steady_clock::time_point deadline);
  void reap(bool block);

  int pid_ = -1;
  std::optional<int> code_;
  Fd pidfd_;
  Stream out_, err_;
};

}  // namespace sluice::testing
