// SPDX-License-Identifier: Apache-2.0
// What an engine is made of; private to userspace/engine*.cpp.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <sluice/engine.hpp>
#include <thread>

namespace sluice {

/// "0.412 s".
[[nodiscard]] std::string seconds_text(Duration duration);

// How far an interface that went is from carrying packets again. Steps are made
// by Engine::heal(), on the engine's own thread; see docs/healing.md.
struct Healing {
  enum class Stage : std::uint8_t {
    bound,       // Nothing to heal.
    parting,     // The cores let go of its sockets.
    recovering,  // The sockets are closed; the cores take the frames home.
    away,        // Waits for the interface, looking for it now and then.
    lending,     // It is there: the cores give frames for new sockets.
    joining,     // The sockets are bound; the cores take them.
  };
  Stage stage = Stage::bound;
  Time since{};                   // It went.
  Time next{};                    // Look for it again.
  Duration pause{};               // And that long after.
  std::optional<Error> obstacle;  // What was in the way when last tried.
};

// Packets stopped coming; when they come again is news.
struct Outage {
  std::string what;  // "the link went down"; empty: there is none.
  Time since{};
  bool over = false;          // Nothing is in their way any more.
  std::uint64_t packets = 0;  // When that was.
};

// An interface: claimed, attached.
struct Engine::PortState {
  PortOptions options;
  Netdev device;
  bool was_running = false;   // Before anything was attached.
  bool link_dropped = false;  // And was missed when all was.
  Control claim;
  std::optional<Program> program;
  AttachMode attached = AttachMode::native;
  int attached_to = 0;  // Index of the interface.
  // As of EngineOptions::made_anew.
  int told_index = 0;
  bool told_up = true;
  bool multi_buffer = false;
  RxHints hints;                 // Granted; of the time: the hardware's.
  std::string unbound;           // Why the program can ask no NIC; "": it may.
  std::vector<Refused> refused;  // Of the attach ladder.
  Healing healing;
  Outage outage;
};

// A core. The order of the members is the order of their lives: what is mapped
// goes last, and the thread is joined before anything goes.
struct Engine::CoreState {
  int cpu = 0;
  std::uint32_t queue = 0;
  std::optional<Umem> umem;
  // As the engine's ports, and so what follows.
  std::vector<std::optional<Socket>> sockets;
  std::vector<SocketStatistics> closed;  // Of sockets that were.
  std::deque<Rebind> rebinds;            // A deque: its elements stay put.
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
