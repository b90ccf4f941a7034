// SPDX-License-Identifier: Apache-2.0
// `run` over captures: one thread, no privileges, the files' clock.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "pcap_folder.hpp"
#include "run.hpp"
#include "show.hpp"
#include "signals.hpp"

namespace sluice::app {
namespace {

using testing::PcapEngine;

// From the first live line to the reason to stop.
std::string serve(PcapEngine& engine, const RunFlags& flags,
                  const PcapFolder& folder, StopSignals& signals, Show& show) {
  constexpr std::uint32_t kMoments = 1024;
  Timetable timetable(flags);
  Stats before = engine.stats();
  while (engine.step(kMoments)) {
    if (signals.pending()) break;
    if (!folder.difference().empty()) return "a packet is not as expected";
    const Time now = monotonic_now();
    if (timetable.over(now)) return "duration";
    if (timetable.take_line(now)) {
      Stats after = engine.stats();
      show.interval(before, after);
      before = std::move(after);
    }
    if (std::ferror(stdout) != 0) return "nobody reads the output";
  }
  if (signals.pending()) return signals.take();
  return engine.error() ? "a capture can't be read further"
                        : "end of the captures";
}

PcapEnd end_of(PcapEngine& engine, const std::vector<PcapPort>& ports,
               const Stats& stats) {
  PcapEnd end;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    end.files.push_back(
        {ports[i].name, ports[i].in, ports[i].out, engine.tallies()[i]});
  }
  for (const QueueStats& queue : stats.queues) {
    end.received += queue.rx_packets;
    end.sent += queue.tx_packets;
  }
  end.kept = engine.kept();
  return end;
}

// What a person should know of packets that are not as a NIC has them.
void explain(const PcapEnd& end, const Stats& stats, Show& show) {
  for (const PcapFiles& each : end.files) {
    const auto tell = [&](std::uint64_t count, const char* what) {
      if (count == 0) return;
      show.news(fmt::format("{}: {} packets {}", each.in, count, what));
    };
    tell(each.tally.cut,
         "were cut short by the capture and left out: capture them whole "
         "(tcpdump -s 0)");
    tell(each.tally.late,
         "are stamped earlier than those before them, and came at the time of "
         "those: reordercap sorts");
    tell(each.tally.chains,
         "were larger than a frame and came in several segments: segmentation "
         "offloads (GRO, TSO) make such, which no wire carries");
    std::uint64_t dropped = 0;
    for (const QueueStats& queue : stats.queues) {
      if (queue.port == each.port) {
        dropped += queue.kernel.rx_dropped - queue.kernel.fill_empty;
      }
    }
    tell(dropped,
         "were empty or larger than any packet that can be received, and were "
         "dropped: --frame-size 4096 takes larger ones");
  }
}

}  // namespace

int run_pcap(const RunFlags& flags, const Choice& handler) {
  auto ports = pcap_ports(flags);
  if (!ports) return fail(ports.error(), kUsage);
  auto options = pcap_options(flags, handler, *ports);
  if (!options) return fail(options.error(), kUsage);
  // A signal during set-up ends the process.
  std::vector<std::unique_ptr<testing::PcapReader>> readers;
  for (const PcapPort& port : *ports) {
    auto source = testing::PcapReader::open(port.in);
    if (!source) return fail(source.error());
    readers.push_back(std::move(*source));
  }
  auto folder = PcapFolder::open(*ports);
  if (!folder) return fail(folder.error());
  StopSignals signals;
  std::vector<std::unique_ptr<testing::PacketSource>> sources;
  for (auto& reader : readers) {
    reader->set_stop(signals.fd());
    sources.push_back(std::move(reader));
  }
  auto engine =
      PcapEngine::open(std::move(*options), std::move(sources), **folder);
  if (!engine) return fail(engine.error());
  if (auto started = handler.start_pcap(**engine); !started) {
    return fail(started.error());
  }
  const auto show = flags.json ? json_show() : text_show();
  show->started(Granted(**engine));
  const std::string reason = serve(**engine, flags, **folder, signals, *show);
  (*engine)->stop();

  const Stats stats = (*engine)->stats();
  const PcapEnd end = end_of(**engine, *ports, stats);
  explain(end, stats, *show);
  show->files(end);
  show->ended(stats, (*engine)->report(), reason);
  int code = kOk;
  if (auto closed = (*folder)->close(); !closed) code = fail(closed.error());
  const auto& error = (*engine)->error();
  if (error && error->code != ECANCELED) code = fail(*error);
  if (!(*folder)->difference().empty()) {
    fmt::print(stderr, "sluice: {}", (*folder)->difference());
    code = kFailed;
  }
  if (!stats.ledger().balanced()) {
    fmt::print(stderr, "sluice: frames do not add up: this is a bug\n");
    code = kFailed;
  }
  return code;
}

}  // namespace sluice::app
