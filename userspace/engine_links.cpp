// SPDX-License-Identifier: Apache-2.0
// What happens to the interfaces of a run: noticed, and told in words.
#include <net/if.h>

#include <array>
#include <cerrno>
#include <cmath>

#include "engine_state.hpp"

namespace sluice {
namespace {

// "": there is no such interface. None: it could not be asked, as for want of a
// descriptor, and what is not known is not gone.
std::optional<std::string> name_of(int index) {
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(static_cast<unsigned>(index), name.data()) != nullptr) {
    return name.data();
  }
  return errno == ENXIO ? std::optional<std::string>("") : std::nullopt;
}

}  // namespace

std::string seconds_text(Duration duration) {
  const auto ms = duration.count() / 1'000'000;
  std::string text = std::to_string(ms % 1000);
  text.insert(0, 3 - text.size(), '0');
  return std::to_string(ms / 1000) + "." + text + " s";
}

void Engine::read_links() {
  auto changes = links_.changes();
  if (!changes) {  // Some were missed.
    next_look_ = {};
    return;
  }
  for (const auto& change : *changes) link_changed(change);
}

void Engine::link_changed(const LinkWatch::Change& change) {
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    PortState& port = *ports_[i];
    if (port.healing.stage == Healing::Stage::away) {
      port.healing.next = {};  // Perhaps it is the one that is waited for.
      continue;
    }
    if (port.healing.stage != Healing::Stage::bound ||
        port.device.index != change.index) {
      continue;
    }
    if (change.gone) {
      lose(i);
    } else {
      link_moved(i, change.running);
      look_at(i);
    }
  }
}

// The link, up or down.
void Engine::link_moved(std::size_t index, bool running) {
  PortState& port = *ports_[index];
  if (running == port.device.running) return;
  port.device.running = running;
  const auto kind = running ? Event::Kind::link_up : Event::Kind::link_down;
  for (const auto& core : cores_) {
    post(*core, {kind, static_cast<std::uint8_t>(index)});
  }
  news_.push_back(port.device.name + (running ? ": link up" : ": link down"));
  Outage& outage = port.outage;
  if (!running && outage.what.empty()) {
    outage = {"the link went down", monotonic_now(), false, 0};
  } else if (running && !outage.what.empty()) {
    outage.over = true;
    outage.packets = received(index);
  }
}

// All that no message tells, or that a message told and nobody read.
void Engine::look_at(std::size_t index) {
  PortState& port = *ports_[index];
  const auto told = name_of(port.device.index);
  if (!told) return;
  const std::string& name = *told;
  if (name.empty()) return lose(index);
  auto device = Netdev::read(name);
  if (!device || device->index != port.device.index) return;
  if (name != port.device.name) renamed(port, name);
  link_moved(index, device->running);
  const Netdev was = std::exchange(port.device, std::move(*device));
  const Netdev& is = port.device;
  if (was.mtu != is.mtu || was.mac != is.mac) readdressed(index, was);
  if (was.rx_queues != is.rx_queues) queues_changed(was, is);
  tell_made_anew(index);
  look_for_napis(index);
}

// Before Linux 6.13 a socket learns with its first packet which NAPI to poll.
void Engine::look_for_napis(std::size_t index) {
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    QueueGrant& grant = queue_grants_[i * ports_.size() + index];
    if (grant.busy_poll == 0 || grant.napi_id != 0) continue;
    grant.napi_id = cores_[i]->sockets[index]->napi_id();
    if (grant.napi_id == 0) continue;
    std::erase_if(grant.refused, [](const Refused& each) {
      return each.rung == "busy polling";
    });
    news_.push_back(grant.interface + " queue " + std::to_string(grant.queue) +
                    ": busy polled from now on, by NAPI " +
                    std::to_string(grant.napi_id));
  }
}

// It has another MTU or another MAC address.
void Engine::readdressed(std::size_t index, const Netdev& was) {
  const PortState& port = *ports_[index];
  const Netdev& is = port.device;
  const MacAddress mac{is.mac};
  for (const auto& core : cores_) {
    post(*core, {Event::Kind::changed, static_cast<std::uint8_t>(index),
                 nullptr, mac, is.mtu});
  }
  if (was.mac != is.mac) {
    news_.push_back(is.name + ": the MAC address is " + mac.text() +
                    ", it was " + MacAddress{was.mac}.text());
  }
  if (was.mtu == is.mtu) return;
  std::string what_else;
  if (is_cut(index)) {
    what_else = "; a packet that no longer fits into a frame comes in pieces";
  } else if (!port.multi_buffer &&
             is.mtu > Packet::mtu_of(options_.frame_size)) {
    what_else = "; packets that no longer fit into a frame are dropped";
  }
  if (!what_else.empty()) what_else += ": start anew to take them whole";
  news_.push_back(is.name + ": the MTU is " + std::to_string(is.mtu) +
                  ", it was " + std::to_string(was.mtu) + what_else);
}

// Its driver puts a larger packet into several frames, each taken for one.
bool Engine::is_cut(std::size_t index) const {
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    const QueueGrant& grant = queue_grants_[i * ports_.size() + index];
    if (grant.mode == Mode::zero_copy &&
        too_small_for_zero_copy(ports_[index]->device, options_.frame_size)) {
      return true;
    }
  }
  return false;
}

void Engine::renamed(PortState& port, const std::string& name) {
  const std::string was = std::exchange(port.device.name, name);
  news_.push_back(was + ": the interface is called " + name + " now");
  for (QueueGrant& grant : queue_grants_) {
    if (grant.interface == was) grant.interface = name;
  }
  for (Coverage& each : coverage_) {
    if (each.interface == was) each.interface = name;
  }
  // Who asks, asks by the name.
  if (auto claim = Control::claim(name)) {
    port.claim = std::move(*claim);
  } else {
    news_.push_back(claim.error().message());
  }
}

void Engine::queues_changed(const Netdev& was, const Netdev& is) {
  coverage_.clear();
  measure_coverage();
  for (const Coverage& each : coverage_) {
    if (each.interface != is.name) continue;
    const auto share = std::lround(100 * each.share);
    news_.push_back(is.name + ": " + std::to_string(is.rx_queues) +
                    " queues, there were " + std::to_string(was.rx_queues) +
                    "; " + std::to_string(share) +
                    " % of the traffic can be steered" +
                    (each.share < 1 ? ": mend it with " + each.remedy : ""));
  }
}

std::uint64_t Engine::received(std::size_t port) const {
  std::uint64_t sum = 0;
  for (const auto& core : cores_) {
    sum += core->ports[port].counters().rx_packets.value();
  }
  return sum;
}

void Engine::look_for_traffic(std::size_t index) {
  PortState& port = *ports_[index];
  if (!port.outage.over || received(index) == port.outage.packets) return;
  news_.push_back(port.device.name + ": packets come again, " +
                  seconds_text(monotonic_now() - port.outage.since) +
                  " after " + port.outage.what);
  port.outage = {};
}

}  // namespace sluice
