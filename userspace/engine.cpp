// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sluice/cpu.hpp>

#include "engine_state.hpp"

namespace sluice {

Engine::Engine(EngineOptions options)
    : options_(std::move(options)), gate_(std::make_unique<Gate>()) {}

Engine::~Engine() { stop(); }

// --- A core's thread ---------------------------------------------------------

Core& Engine::CoreRun::core() noexcept { return *engine_.cores_[index_]->core; }

const PollerOptions& Engine::CoreRun::options() const noexcept {
  return engine_.options_.poller;
}

bool Engine::CoreRun::ready() {
  return engine_.gate_->arrive(core().failure());
}

void Engine::CoreRun::report(const std::function<void(Report&)>& fill) {
  const std::lock_guard lock(engine_.gate_->mutex);
  fill(engine_.report_);
}

void Engine::run_core(std::size_t index, const Body& body) {
  CoreState& state = *cores_[index];
  std::vector<int> sockets;
  for (const auto& socket : state.sockets) sockets.push_back(socket->fd());

  auto pinned = pin_this_thread(state.cpu, "sluice/" + std::to_string(index));
  auto kernel = LinuxKernel::open(std::move(sockets), *state.mailbox,
                                  !options_.masked.io_uring);
  if (!pinned || !kernel) {
    gate_->arrive(pinned ? kernel.error() : pinned.error());
    return;
  }
  CoreGrant& grant = core_grants_[index];
  const Error& refusal = (*kernel)->refusal();
  grant.wait = refusal.code == 0 ? "io_uring" : "ppoll";
  if (refusal.code != 0) grant.refused = {{"io_uring", refusal.message()}};

  CoreRun run(*this, index, **kernel);
  body(run);
}

Result<void> Engine::start_cores(std::uint32_t holds, const Body& body) {
  if (holds > options_.holds) {
    options_.holds = holds;
    if (auto enough = choose_frames(); !enough) return enough;
  }
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    cores_[i]->thread = std::thread([this, i, body] { run_core(i, body); });
  }
  Result<void> armed;
  {
    std::unique_lock lock(gate_->mutex);
    gate_->changed.wait(lock,
                        [this] { return gate_->arrived == cores_.size(); });
    armed = gate_->failure ? Result<void>(*gate_->failure) : arm();
    gate_->verdict = static_cast<bool>(armed);
    gate_->changed.notify_all();
  }
  running_ = static_cast<bool>(armed);
  if (!armed) {
    for (const auto& core : cores_) core->thread.join();
  }
  return armed;
}

// From here on traffic comes in.
Result<void> Engine::arm() {
  for (const auto& core : cores_) {
    for (std::size_t i = 0; i < ports_.size(); ++i) {
      auto set =
          ports_[i]->program->set_socket(core->queue, core->sockets[i]->fd());
      if (!set) return set;
    }
  }
  return {};
}

void Engine::stop() {
  if (!running_) return;
  // Disarm first: what comes from now on goes to the Linux stack. Then the
  // cores finish what they have; their polls are taken back on their threads.
  for (const auto& port : ports_) {
    for (const auto& core : cores_) {
      (void)port->program->clear_socket(core->queue);
    }
    if (!port->program->pinned()) port->program->detach();
  }
  post_all(Event::Kind::stop);
  for (const auto& core : cores_) core->thread.join();
  running_ = false;
}

// A full mailbox empties within a turn, unless a handler hangs.
void Engine::post(CoreState& core, const Event& event) {
  const Time deadline = monotonic_now() + std::chrono::seconds(1);
  while (!core.mailbox->post(event) && monotonic_now() < deadline) {
    std::this_thread::yield();
  }
}

void Engine::post_all(Event::Kind kind) {
  for (const auto& core : cores_) post(*core, {kind, 0});
}

// On all ports or on none.
Result<void> Engine::set_rules(const Rules& rules) {
  for (const auto& port : ports_) {
    if (auto safe = check_cut_off(port->device.name, rules); !safe) return safe;
  }
  std::vector<Rules> before;
  for (const auto& port : ports_) {
    before.push_back(port->program->rules());
    auto set = port->program->set_rules(rules);
    if (set) continue;
    for (std::size_t i = before.size() - 1; i-- > 0;) {
      (void)ports_[i]->program->set_rules(before[i]);
    }
    return set;
  }
  return {};
}

Result<void> Engine::set_rules(const std::string& interface,
                               const Rules& rules) {
  for (const auto& port : ports_) {
    if (port->device.name != interface) continue;
    return port->program->set_rules(rules);
  }
  return Error{ENODEV, "interface", interface, "It is no port of this run."};
}

const Program* Engine::program(const std::string& interface) const {
  for (const auto& port : ports_) {
    if (port->device.name == interface) return &*port->program;
  }
  return nullptr;
}

// --- The engine's own thread ------------------------------------------------

Engine::Served Engine::serve(Time deadline, std::span<const int> fds,
                             const Answer& answer) {
  const std::size_t told = news_.size();
  while (!failure_) {
    const Time next = std::min(deadline, heal());
    const Time now = monotonic_now();
    if (failure_) break;
    if (news_.size() > told) return Served::news;
    if (now >= deadline) return Served::deadline;
    std::vector<pollfd> watched;
    watched.push_back({links_.fd(), POLLIN, 0});
    for (const auto& port : ports_) {
      watched.push_back({port->claim.fd(), POLLIN, 0});
    }
    for (const int fd : fds) watched.push_back({fd, POLLIN, 0});
    const auto left =
        next > now ? static_cast<std::uint64_t>((next - now).count()) : 0;
    const timespec timeout{static_cast<time_t>(left / 1'000'000'000),
                           static_cast<long>(left % 1'000'000'000)};
    const int ready =
        ::ppoll(watched.data(), watched.size(), &timeout, nullptr);
    if (ready <= 0) continue;
    // First: an answer may put another socket in a claim's place.
    for (std::size_t i = 0; i < ports_.size(); ++i) {
      if (watched[1 + i].revents == 0) continue;
      ports_[i]->claim.serve_one([&](std::string_view request) {
        return answer ? answer(ports_[i]->device.name, request)
                      : std::string("{}\n");
      });
    }
    if (watched[0].revents != 0) read_links();
    for (std::size_t i = 1 + ports_.size(); i < watched.size(); ++i) {
      if (watched[i].revents != 0) return Served::readable;
    }
  }
  return Served::gone;
}

std::vector<std::string> Engine::take_news() {
  return std::exchange(news_, {});
}

Report Engine::report() const { return report_; }

}  // namespace sluice
