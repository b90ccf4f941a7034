// SPDX-License-Identifier: Apache-2.0
// An interface that went, and the way back: its sockets are closed, their
// frames come home, and when there is an interface of its name again, it is
// attached to and bound as at the start. Core by core in step with Loop; the
// stages are in engine_state.hpp.
#include <algorithm>
#include <cerrno>

#include "engine_state.hpp"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using Stage = Healing::Stage;

// The cores answer within a turn.
constexpr Duration kLookEvery = milliseconds(1);
constexpr Duration kPauseMin = milliseconds(10);
constexpr Duration kPauseMax = milliseconds(1000);
// What nobody tells is looked for so often: queue counts, missed messages.
constexpr Duration kLook = std::chrono::seconds(1);
constexpr Duration kTrafficLook = milliseconds(10);

}  // namespace

// Does what is due. Returns when there is more to do.
Time Engine::heal() {
  if (!running_) return Time::never();
  Time now = monotonic_now();
  const bool look = now >= next_look_;
  if (look) {
    next_look_ = now + kLook;
    look_at_cpus();
  }
  Time next = next_look_;
  for (std::size_t i = 0; i < ports_.size() && !failure_; ++i) {
    PortState& port = *ports_[i];
    const Stage before = port.healing.stage;
    if (before == Stage::bound) {
      if (look) look_at(i);
      look_for_traffic(i);
    } else {
      advance(i);
    }
    now = monotonic_now();
    if (port.healing.stage == Stage::away) {
      next = std::min(next, port.healing.next);
    } else if (port.healing.stage != Stage::bound) {
      next = std::min(next, now + kLookEvery);
    } else if (port.outage.over) {
      next = std::min(next, now + kTrafficLook);
    }
  }
  return next;
}

// The interface was deleted, or is in another namespace: the kernel has unbound
// its sockets for good, and writes to none of their frames any more.
void Engine::lose(std::size_t index) {
  PortState& port = *ports_[index];
  const Time now = monotonic_now();
  port.healing = {Stage::parting, now, {}, kPauseMin, {}};
  if (port.outage.what.empty()) port.outage.since = now;
  port.outage.what = "the interface went";
  port.outage.over = false;
  port.device.running = false;
  news_.push_back(port.device.name + ": the interface is gone");
  // One that was moved would take the program along. What is pinned stays.
  if (!port.program->pinned()) port.program->detach();
  ask(index, Event::Kind::gone);
}

void Engine::advance(std::size_t index) {
  PortState& port = *ports_[index];
  switch (port.healing.stage) {
    case Stage::bound:
      return;
    case Stage::parting:
      if (all_are(index, Rebind::Step::parted)) close_sockets(index);
      break;
    case Stage::recovering:
      if (all_are(index, Rebind::Step::recovered)) {
        port.healing.stage = Stage::away;
      }
      return;
    case Stage::away:
      if (monotonic_now() < port.healing.next) return;
      find_again(index);
      break;
    case Stage::lending:
      if (!all_are(index, Rebind::Step::lent)) break;
      if (auto opened = open_sockets(index); !opened) {
        retry(port, opened.error());
      }
      break;
    case Stage::joining:
      if (all_are(index, Rebind::Step::joined)) return rejoined(index);
      break;
  }
  // Only one that was looked for is given up, whatever the time: the process
  // may have been stopped all the while.
  if (port.healing.stage != Stage::away ||
      monotonic_now() - port.healing.since < options_.heal_timeout) {
    return;
  }
  failure_ = Error{
      ENODEV, "interface", port.device.name,
      "It went, and did not come back within " +
          seconds_text(options_.heal_timeout) + " (--heal-timeout)" +
          (port.healing.obstacle
               ? ". When last looked for: " + port.healing.obstacle->message()
               : ".")};
}

void Engine::close_sockets(std::size_t index) {
  for (const auto& core : cores_) {
    auto& socket = core->sockets[index];
    if (auto last = socket->statistics()) core->closed[index] += *last;
    socket.reset();
  }
  ports_[index]->healing.stage = Stage::recovering;
  ask(index, Event::Kind::recover);
}

void Engine::find_again(std::size_t index) {
  PortState& port = *ports_[index];
  auto device = Netdev::read(port.device.name);
  if (!device) return retry(port, device.error());
  port.device = std::move(*device);
  tell_made_anew(index);
  if (auto attached = reattach(port); !attached) {
    return retry(port, attached.error());
  }
  port.healing.stage = Stage::lending;
  if (all_are(index, Rebind::Step::lent)) return;  // At an earlier try.
  for (const auto& core : cores_) {
    core->rebinds[index].frames.clear();
    core->rebinds[index].frames.reserve(options_.ring_size);
  }
  ask(index, Event::Kind::lend);
}

// Interrupts, for one, a NIC has only when it is up.
void Engine::tell_made_anew(std::size_t index) {
  PortState& port = *ports_[index];
  const Netdev& device = port.device;
  if (port.told_index == device.index && (port.told_up || !device.up)) return;
  port.told_index = device.index;
  port.told_up = device.up;
  if (!options_.made_anew) return;
  for (std::string& line : options_.made_anew(index, device.name)) {
    news_.push_back(std::move(line));
  }
}

// The program is the same one, with its rules and what it counted.
Result<void> Engine::reattach(PortState& port) {
  if (port.attached_to == port.device.index && port.program->attached()) {
    return {};
  }
  const bool pinned = port.program->pinned();
  port.program->detach();
  port.refused.clear();
  if (port.program->identity().hints != 0) {
    auto bound = port.program->bind_to(port.device.index);
    if (!bound) return bound;
  }
  if (auto attached = climb_attach(port); !attached) return attached;
  return pinned ? port.program->pin() : Result<void>{};
}

Result<void> Engine::open_sockets(std::size_t index) {
  const PortState& port = *ports_[index];
  std::vector<QueueGrant> grants(cores_.size());
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    CoreState& core = *cores_[i];
    core.sockets[index].reset();  // Of a try that failed at a later core.
    grants[i].core = i;
    auto opened =
        open_socket(port, core, grants[i], core.rebinds[index].frames);
    if (!opened) return opened.error();
    core.sockets[index].emplace(std::move(*opened));
  }
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    QueueGrant& grant = queue_grants_[i * ports_.size() + index];
    if (grant.mode != grants[i].mode) {
      news_.push_back(
          port.device.name + " queue " + std::to_string(grant.queue) + ": " +
          to_string(grants[i].mode) + " now, it was " + to_string(grant.mode));
    }
    grant = std::move(grants[i]);
    Rebind& rebind = cores_[i]->rebinds[index];
    rebind.fd = cores_[i]->sockets[index]->fd();
    rebind.rings = cores_[i]->sockets[index]->rings();
    rebind.tx_offload = grant.tx_offload;
    rebind.mac = MacAddress{port.device.mac};
    rebind.mtu = port.device.mtu;
  }
  ports_[index]->healing.stage = Stage::joining;
  ask(index, Event::Kind::rebound);
  return {};
}

// From here on packets come in.
void Engine::rejoined(std::size_t index) {
  PortState& port = *ports_[index];
  port.outage.over = true;
  port.outage.packets = received(index);
  port.healing = {};
  for (const auto& core : cores_) {
    auto set =
        port.program->set_socket(core->queue, core->sockets[index]->fd());
    // The kernel refuses a socket whose interface has gone again.
    if (!set) news_.push_back(set.error().message());
  }
  news_.push_back(port.device.name + ": the interface is back, and bound");
  look_at(index);
}

void Engine::retry(PortState& port, Error obstacle) {
  Healing& healing = port.healing;
  healing.stage = Stage::away;
  healing.next = monotonic_now() + healing.pause;
  healing.pause = std::min(2 * healing.pause, kPauseMax);
  const bool absent = obstacle.code == ENODEV;
  const bool told =
      healing.obstacle && healing.obstacle->message() == obstacle.message();
  if (!absent && !told) {
    news_.push_back(port.device.name +
                    ": there again, but not usable yet: " + obstacle.message());
  }
  healing.obstacle = std::move(obstacle);
}

void Engine::ask(std::size_t port, Event::Kind kind) {
  for (const auto& core : cores_) {
    post(*core, {kind, static_cast<std::uint8_t>(port), &core->rebinds[port]});
  }
}

bool Engine::all_are(std::size_t port, Rebind::Step step) const {
  return std::ranges::all_of(cores_, [&](const auto& core) {
    return core->rebinds[port].step == step;
  });
}

}  // namespace sluice
