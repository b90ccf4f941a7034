// SPDX-License-Identifier: Apache-2.0
// What an engine is made of; private to userspace/engine*.cpp.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <sluice/engine.hpp>
#include <thread>

namespace sluice {

// An interface: claimed, attached.
struct Engine::PortState {
  PortOptions options;
  Netdev device;
  Control claim;
  std::optional<Program> program;
  AttachMode attached = AttachMode::native;
  bool multi_buffer = false;
  std::vector<Refused> refused;  // Of the attach ladder.
};

// A core. The order of the members is the order of their lives: what is mapped
// goes last, and the thread is joined before anything goes.
struct Engine::CoreState {
  int cpu = 0;
  std::uint32_t queue = 0;
  std::optional<Umem> umem;
  std::vector<Socket> sockets;  // As the engine's ports.
  std::optional<FramePool> pool;
  std::vector<Port> ports;
  std::unique_ptr<Core> core;
  std::unique_ptr<Mailbox> mailbox;
  std::thread thread;
};

// All cores stand before traffic is let in, or none starts.
struct Engine::Gate {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t arrived = 0;
  std::optional<Error> failure;
  std::optional<bool> verdict;  // True: go.

  // A core: true when all may go.
  bool arrive(const std::optional<Error>& error) {
    std::unique_lock lock(mutex);
    if (error && !failure) failure = error;
    ++arrived;
    changed.notify_all();
    changed.wait(lock, [this] { return verdict.has_value(); });
    return *verdict;
  }
};

}  // namespace sluice
