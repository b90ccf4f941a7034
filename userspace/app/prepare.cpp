// SPDX-License-Identifier: Apache-2.0
#include "prepare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ranges>
#include <set>

namespace sluice::app {
namespace {

// Those that can be mended at all.
constexpr std::array kFixable = {
    "channels-limit", "channels", "rss",        "rss-hash",  "ntuple",
    "irq-affinity",   "lro",      "checksum",   "mtu",       "segmentation",
    "vlan-stripping", "veth-gro", "coalescing", "busy-poll", "fill-ring"};

Result<Rss> rss_of(const std::string& name) {
  if (name == "keep") return Rss::keep;
  if (name == "spread") return Rss::spread;
  if (name == "dedicated") return Rss::dedicated;
  return bad("--rss", name, "It is keep, spread or dedicated.");
}

bool is_rss(std::string_view finding) {
  return finding == "rss" || finding == "ntuple";
}

}  // namespace

Result<Wanted> wanted_of(const RunFlags& flags, const EngineOptions& options) {
  auto rss = rss_of(flags.rss);
  if (!rss) return rss.error();
  Wanted wanted;
  wanted.queues = options.queues;
  wanted.cpus = options.cpus;
  wanted.frame_size = options.frame_size;
  const auto frames = frames_of(options);  // Too few are the run's to refuse.
  wanted.frames_per_queue = frames ? *frames : options.frames_per_queue;
  wanted.ring_size = options.ring_size;
  wanted.spin = options.poller.spin;
  wanted.busy_poll = options.busy_poll > 0;
  wanted.copy = options.mode == Mode::copy;
  wanted.generic = options.mode == Mode::generic;
  wanted.rss = *rss;
  wanted.rules = options.rules;
  return wanted;
}

Chosen Chosen::asked_for(const Wanted& wanted) {
  Chosen chosen;
  if (wanted.rss != Rss::keep) chosen.ids_ = {"rss", "ntuple"};
  if (wanted.busy_poll) chosen.ids_.emplace_back("busy-poll");
  return chosen;
}

Result<Chosen> Chosen::parse(const char* flag, const std::string& text,
                             Chosen chosen) {
  for (const auto part : text | std::views::split(',')) {
    const std::string id(part.begin(), part.end());
    if (id == kWrong) {
      chosen.wrong_ = true;
    } else if (std::ranges::find(kFixable, id) != kFixable.end()) {
      chosen.ids_.push_back(id);
    } else if (!id.empty()) {
      return bad(
          flag, id,
          fmt::format("What can be mended is {}.", fmt::join(kFixable, ", ")));
    }
  }
  return chosen;
}

bool Chosen::contains(const Finding& finding) const {
  if (finding.fix.empty()) return false;
  return (wrong_ && finding.severity > Severity::advice) ||
         std::ranges::find(ids_, finding.id) != ids_.end();
}

Mended mend(const std::string& interface, const HostFacts& host,
            const Wanted& wanted, const Chosen& chosen, Prepared& prepared) {
  Mended mended;
  std::set<std::string> tried;
  while (true) {
    auto facts = InterfaceFacts::read(interface);
    if (!facts) {
      mended.failed.push_back({{}, facts.error()});
      return mended;
    }
    const auto findings = diagnose(*facts, host, wanted);
    const auto next = std::ranges::find_if(findings, [&](const Finding& each) {
      return chosen.contains(each) && !tried.contains(each.id);
    });
    if (next == findings.end()) return mended;
    tried.insert(next->id);
    if (auto applied = prepared.apply(next->fix); !applied) {
      mended.failed.push_back({next->id, applied.error()});
    }
  }
}

bool Preparation::wanted(const RunFlags& flags) {
  return !flags.prepare.empty() || flags.rss != "keep" || flags.busy_poll > 0;
}

Result<Preparation> Preparation::make(const RunFlags& flags,
                                      const EngineOptions& options) {
  Preparation preparation;
  auto wanted = wanted_of(flags, options);
  if (!wanted) return wanted.error();
  auto chosen =
      Chosen::parse("--prepare", flags.prepare, Chosen::asked_for(*wanted));
  if (!chosen) return chosen.error();
  if (!Preparation::wanted(flags)) return preparation;
  preparation.host_ = HostFacts::read();
  preparation.wanted_ = std::move(*wanted);
  preparation.chosen_ = std::move(*chosen);
  for (const PortOptions& port : options.ports) {
    auto prepared =
        Prepared::open(port.interface, Prepared::Stay::while_it_lives);
    if (!prepared) return prepared.error();
    auto done =
        preparation.prepare(port.interface, *prepared, preparation.news_);
    if (!done) return done.error();  // What was done is put back.
    preparation.prepared_.push_back(std::move(*prepared));
  }
  return preparation;
}

Result<void> Preparation::prepare(const std::string& interface,
                                  Prepared& prepared,
                                  std::vector<std::string>& news) const {
  const std::size_t before = prepared.changes().size();
  const Mended mended = mend(interface, host_, wanted_, chosen_, prepared);
  for (const Mended::Failure& each : mended.failed) {
    if (wanted_.rss != Rss::keep && is_rss(each.finding)) return each.error;
    news.push_back(interface + ": not prepared: " + each.error.message());
  }
  for (const Prepared::Change& each :
       prepared.changes() | std::views::drop(before)) {
    news.push_back(fmt::format("{}: {} until this run ends, was {}",
                               each.setting.name(), each.setting.value,
                               each.before));
  }
  if (wanted_.rss == Rss::keep) return {};
  auto facts = InterfaceFacts::read(interface);
  if (!facts) return facts.error();
  for (const Finding& each : diagnose(*facts, host_, wanted_)) {
    if (!is_rss(each.id)) continue;
    return Error{EOPNOTSUPP, "--rss", interface,
                 each.sentence + ". Remedy: " + each.remedy + "."};
  }
  return {};
}

std::vector<std::string> Preparation::again(std::size_t port,
                                            const std::string& interface) {
  std::vector<std::string> news;
  if (prepared_.empty()) return news;
  Prepared& prepared = prepared_[port];
  auto done = prepared.follow(interface);
  if (done) done = prepare(interface, prepared, news);
  if (!done) {
    news.push_back(interface + ": not prepared: " + done.error().message());
  }
  return news;
}

std::vector<std::string> Preparation::restore() {
  std::vector<std::string> troubles;
  for (Prepared& each : prepared_ | std::views::reverse) {
    for (std::string& trouble : each.restore()) {
      troubles.push_back(std::move(trouble));
    }
  }
  prepared_.clear();
  return troubles;
}

void tell_causes(const Error& error, const RunFlags& flags,
                 const EngineOptions& options) {
  auto wanted = wanted_of(flags, options);
  if (!wanted) return;
  const HostFacts host = HostFacts::read();
  std::vector<Finding> findings;
  std::size_t queues = 0;
  for (const PortOptions& port : options.ports) {
    auto facts = InterfaceFacts::read(port.interface);
    if (!facts) continue;
    queues += facts->device.served(wanted->queues).size();
    for (Finding& each : diagnose(*facts, host, *wanted)) {
      findings.push_back(std::move(each));
    }
  }
  for (Finding& each : diagnose_host(host, *wanted, queues)) {
    findings.push_back(std::move(each));
  }
  for (const Finding& each : findings) {
    if (!concerns(each, error.code)) continue;
    fmt::print(stderr, "sluice: doctor: {}{}{}\n", each.sentence,
               each.remedy.empty() ? "" : ". Remedy: ", each.remedy);
  }
}

}  // namespace sluice::app
