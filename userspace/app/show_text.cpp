// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>

#include "show.hpp"

namespace sluice::app {
namespace {

// Reasons with a count, of those that are not zero: "rx_dropped 1, tx_full 3".
std::string reasons(const QueueStats& queue) {
  const std::pair<const char*, std::uint64_t> all[] = {
      {"rx_dropped", queue.kernel.rx_dropped},
      {"rx_ring_full", queue.kernel.rx_ring_full},
      {"rx_invalid", queue.rx_invalid},
      {"rx_broken", queue.rx_broken},
      {"tx_full", queue.tx_full},
      {"tx_refused", queue.tx_refused},
      {"tx_invalid", queue.kernel.tx_invalid},
      {"cut_off", queue.cut_off},
  };
  std::string text;
  for (const auto& [name, count] : all) {
    if (count == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  }
  if (queue.kernel.fill_empty > 0) {
    text += fmt::format("{}FILL was empty {} times",
                        text.empty() ? "0; " : "; ", queue.kernel.fill_empty);
  }
  return text.empty() ? "0" : text;
}

// The difference of what only grows, for the live line.
QueueStats minus(QueueStats after, const QueueStats& before) {
  after.rx_packets -= before.rx_packets;
  after.rx_bytes -= before.rx_bytes;
  after.rx_invalid -= before.rx_invalid;
  after.rx_broken -= before.rx_broken;
  after.tx_packets -= before.tx_packets;
  after.tx_bytes -= before.tx_bytes;
  after.tx_full -= before.tx_full;
  after.tx_refused -= before.tx_refused;
  after.tx_stalls -= before.tx_stalls;
  after.pool_dry -= before.pool_dry;
  after.cut_off -= before.cut_off;
  after.kernel.rx_dropped -= before.kernel.rx_dropped;
  after.kernel.rx_ring_full -= before.kernel.rx_ring_full;
  after.kernel.fill_empty -= before.kernel.fill_empty;
  after.kernel.tx_invalid -= before.kernel.tx_invalid;
  return after;
}

double busy_share(const CoreStats& before, const CoreStats& after) {
  const auto elapsed =
      static_cast<double>(after.elapsed_ns - before.elapsed_ns);
  const auto busy = static_cast<double>(after.busy_ns - before.busy_ns);
  return elapsed > 0 ? busy / elapsed : 0;
}

class TextShow : public Show {
 public:
  void started(const Granted& granted) override {
    for (const QueueGrant& queue : granted.queues) {
      if (granted.pcap) {
        print_pcap(granted, queue);
      } else {
        print_queue(granted, queue);
      }
    }
    for (const Coverage& each : granted.coverage) {
      put(fmt::format(
          "{}: {} of {} queues served, {:.0f} % of the traffic can be "
          "steered\n",
          each.interface, each.served, each.queues, 100 * each.share));
      if (each.share < 1) {
        put(fmt::format(
            "  warning: {:.0f} % arrives on queues that are not served "
            "and is left to Linux; mend it with: {}\n",
            100 * (1 - each.share), each.remedy));
      }
    }
    for (const Rule& rule : granted.rules.list()) {
      put(fmt::format("rule: {}\n", rule.text()));
    }
  }

  void news(const std::string& line) override {
    put(fmt::format("event: {}\n", line));
  }

  void interval(const Stats& before, const Stats& after) override {
    const double seconds =
        static_cast<double>((after.time - before.time).count()) / 1e9;
    for (std::size_t i = 0; i < after.queues.size(); ++i) {
      const QueueStats now = minus(after.queues[i], before.queues[i]);
      const double busy =
          busy_share(before.cores[now.core], after.cores[now.core]);
      put(fmt::format(
          "{} queue {}: rx {:.0f} pps {:.1f} Mbit/s, tx {:.0f} pps "
          "{:.1f} Mbit/s, busy {:.0f} %, drops {}\n",
          now.port, now.queue, static_cast<double>(now.rx_packets) / seconds,
          static_cast<double>(now.rx_bytes) * 8e-6 / seconds,
          static_cast<double>(now.tx_packets) / seconds,
          static_cast<double>(now.tx_bytes) * 8e-6 / seconds, 100 * busy,
          reasons(now)));
      if (now.tx_stalls > 0) {
        put(fmt::format(
            "event: {} queue {} takes packets and does not transmit "
            "them\n",
            now.port, now.queue));
      }
      if (now.pool_dry > 0) {
        put(
            fmt::format("event: {} queue {} waited for frames in {} turns: the "
                        "handler keeps too many, or TX is slow\n",
                        now.port, now.queue, now.pool_dry));
      }
    }
  }

  void ended(const Stats& stats, const Report& report,
             const std::string& reason) override {
    put(fmt::format("ended: {}\n", reason));
    for (const QueueStats& queue : stats.queues) {
      put(fmt::format(
          "total {} queue {}: rx {} packets {} bytes, tx {} packets {} "
          "bytes, kicks {}, drops {}\n",
          queue.port, queue.queue, queue.rx_packets, queue.rx_bytes,
          queue.tx_packets, queue.tx_bytes, queue.kicks, reasons(queue)));
    }
    for (const PortStats& port : stats.ports) print_verdicts(port);
    for (const auto& each : stats.counters) {
      if (each.value != 0)
        put(fmt::format("handler {}: {}\n", each.name, each.value));
    }
    for (const auto& each : stats.gauges) {
      put(fmt::format("handler {}: {}\n", each.name, each.value));
    }
    for (const auto& each : stats.histograms) {
      put(fmt::format("handler {}: {} values, p50 {}, p99 {}, p99.9 {}\n",
                      each.name, each.count, each.p50, each.p99, each.p999));
    }
    for (const auto& each : report.entries()) {
      put(fmt::format("report {}: {}\n", each.name, each.value));
    }
    print_ledger(stats.ledger());
  }

  void files(const PcapEnd& end) override {
    for (const PcapFiles& each : end.files) {
      put(fmt::format(
          "file {}: read {} packets from {}, cut {}, late {}, larger than a "
          "frame {}, sent {} packets{}\n",
          each.port, each.tally.read, each.in, each.tally.cut, each.tally.late,
          each.tally.chains, each.tally.sent,
          each.out.empty() ? "" : " to " + each.out));
    }
    put(fmt::format("handlers: received {}, sent {}, kept {}, dropped {}\n",
                    end.received, end.sent, end.kept, end.dropped()));
  }

 private:
  static void print_queue(const Granted& granted, const QueueGrant& queue) {
    const CoreGrant& core = granted.cores[queue.core];
    put(fmt::format(
        "{} queue {}: cpu {}, {}{}, wait {}, rings {}, {} frames of {} "
        "bytes, {:.1f} MiB locked{}, timestamps {}{}, tx budget {}{}{}\n",
        queue.interface, queue.queue, core.cpu, granted.mode(queue),
        queue.multi_buffer ? " multi-buffer" : "", core.wait, core.ring_size,
        core.frames, core.frame_size,
        static_cast<double>(core.locked_bytes) / (1 << 20),
        core.huge_pages ? " in huge pages" : "", timestamps(queue),
        hints_text(queue.rx_hints), queue.tx_budget,
        offload_text(queue.tx_offload),
        busy_poll(queue.busy_poll, queue.napi_id)));
    for (const Refused& each : queue.refused) {
      put(fmt::format("  not {}: {}\n", each.rung, each.reason));
    }
    for (const Refused& each : core.refused) {
      put(fmt::format("  not {}: {}\n", each.rung, each.reason));
    }
  }

  static void print_pcap(const Granted& granted, const QueueGrant& queue) {
    const CoreGrant& core = granted.cores[queue.core];
    put(fmt::format(
        "{} queue {}: {}, its clock, rings {}, {} frames of {} bytes\n",
        queue.port, queue.queue, queue.interface, core.ring_size, core.frames,
        core.frame_size));
    for (const Refused& each : queue.refused) {
      put(fmt::format("  not {}: {}\n", each.rung, each.reason));
    }
  }

  static void print_verdicts(const PortStats& port) {
    if (!port.verdicts) return;
    const VerdictCounts& verdicts = port.verdicts->verdicts;
    put(fmt::format(
        "total {}: steered {}, passed {}, dropped {}, reflected {}, no socket "
        "{}\n",
        port.port, verdicts.steered.packets, verdicts.passed.packets,
        verdicts.dropped.packets, verdicts.reflected.packets,
        verdicts.passed_no_socket.packets +
            verdicts.dropped_no_socket.packets));
    if (const auto& bypass = port.verdicts->bypass) {
      put(fmt::format(
          "bypassed {}: {} packets {} bytes, flows {}, evicted {}\n", port.port,
          bypass->total.packets, bypass->total.bytes, bypass->inserted,
          bypass->evicted));
    }
    for (std::size_t i = 0; i < port.rules.size(); ++i) {
      put(fmt::format("rule {}: {} packets {} bytes\n", port.rules[i].text(),
                      port.verdicts->rules[i].packets,
                      port.verdicts->rules[i].bytes));
    }
  }

  static void print_ledger(const Ledger& ledger) {
    put(fmt::format(
        "frames {} of {}: pool {}, handlers {}, chains {}, receiving "
        "{}, transmitting {}, astray {}\n",
        ledger.accounted(), ledger.frames, ledger.pool, ledger.handler,
        ledger.chain, ledger.receiving, ledger.transmitting, ledger.astray));
  }
};

}  // namespace

void put(std::string_view text) noexcept {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

Granted::Granted(const Engine& engine)
    : queues(engine.queues().begin(), engine.queues().end()),
      cores(engine.cores().begin(), engine.cores().end()),
      coverage(engine.coverage().begin(), engine.coverage().end()),
      rules(engine.program(queues.front().interface)->rules()) {}

Granted::Granted(const testing::PcapEngine& engine) : pcap(true) {
  const testing::PcapOptions& options = engine.options();
  if (options.rules) rules = *options.rules;
  for (std::uint32_t q = 0; q < options.queues; ++q) {
    CoreGrant& core = cores.emplace_back();
    core.cpu = -1;
    core.frames = options.frames_per_queue;
    core.frame_size = options.frame_size;
    core.ring_size = options.ring_size;
    core.wait = "none";
    for (const PortFacts& port : options.ports) {
      QueueGrant& queue = queues.emplace_back();
      queue.port = port.name;
      queue.interface = port.interface;
      queue.queue = q;
      queue.core = q;
      queue.multi_buffer = options.multi_buffer;
      if (options.rx_hints) {
        queue.refused.push_back(
            {"RX hints", "A capture has no NIC, and tags are in the bytes."});
      }
      if (options.tx_offload) {
        queue.refused.push_back(
            {"TX offload",
             "A capture has no NIC: the CPU completes checksums."});
      }
    }
  }
}

std::string busy_poll(std::uint32_t budget, std::uint32_t napi_id) {
  if (budget == 0) return "";
  if (napi_id == 0) return ", busy poll without a NAPI";
  return fmt::format(", busy poll {} of NAPI {}", budget, napi_id);
}

const char* timestamps(const QueueGrant& queue) {
  return queue.clock ? to_string(*queue.clock) : "off";
}

const char* Granted::mode(const QueueGrant& queue) const {
  return pcap ? "pcap" : to_string(queue.mode);
}

std::unique_ptr<Show> text_show() { return std::make_unique<TextShow>(); }

}  // namespace sluice::app
