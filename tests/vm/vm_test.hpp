// SPDX-License-Identifier: Apache-2.0
// VmTest: NICs wired back to back in a machine of scripts/vm.sh, numbered
// packets over them, and every answer checked.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sluice/services/reflect.hpp>
#include <sluice/testing/frame.hpp>
#include <sluice/testing/wire.hpp>
#include <sstream>

#include "load.hpp"
#include "runs.hpp"

namespace sluice::testing {

/// Of a file in procfs or sysfs; empty if there is none.
inline std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// A cable joins eth(0) to eth(1), a second one, if there is, eth(2) to eth(3).
class VmTest : public ::testing::Test {
 public:
  /// On the machine's first cables of one of these NICs; skipped where there
  /// are none. "igb on Linux 6.1" is one of its own. As a rule: those whose
  /// drivers do zero-copy.
  explicit VmTest(const Words& nics = {"igb", "virtio"}) {
    const Words there = cables();
    const auto first = std::ranges::find_first_of(there, nics);
    const auto end = std::find_if(
        first, there.end(), [&](const auto& each) { return each != *first; });
    nic_ = first == there.end() ? "" : *first;
    first_ = 2 * static_cast<int>(first - there.begin());
    count_ = 2 * static_cast<int>(end - first);
  }

  /// Numbers of packets that are nobody's to wait for begin here.
  static constexpr std::uint32_t kUnasked = 1U << 31;
  /// Packet `number` of a conversation: from many addresses, in many sizes, and
  /// no two alike.
  static Bytes packet(std::uint32_t number, const Mac& from, const Mac& to) {
    return Frame()
        .eth(from, to)
        .ipv4(address_of(number), "10.9.0.1")
        .udp(static_cast<std::uint16_t>(4000 + number % 50), kPort)
        .payload(payload(number));
  }

  static std::optional<std::uint32_t> number_in(
      std::span<const std::byte> packet) {
    constexpr std::size_t kAt = 14 + 20 + 8;
    std::uint32_t number = 0;
    if (packet.size() < kAt + 8 || packet[kAt + 4] != std::byte{'S'} ||
        packet[kAt + 5] != std::byte{'l'}) {
      return std::nullopt;
    }
    std::memcpy(&number, packet.data() + kAt, sizeof number);
    return number;
  }
  static bool wait_for_link(const std::string& interface) {
    const Time deadline = monotonic_now() + std::chrono::seconds(30);
    while (monotonic_now() < deadline) {
      const auto device = Netdev::read(interface);
      if (device && device->running) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }
  static bool command(const Words& words) {
    auto process = Process::start(words);
    const auto code = process ? process->wait(30s) : std::nullopt;
    EXPECT_EQ(code, 0) << words.front() << ": " << process->err();
    return code == 0;
  }

 protected:
  static constexpr std::uint16_t kPort = 7;
  /// A NIC of the machine has some 256 descriptors, and none of them tells its
  /// sender to wait.
  static constexpr std::uint32_t kWindow = 64;

  void SetUp() override {
    // Interfaces of any other machine are left alone.
    if (!std::filesystem::exists("/vm/command") || nic().empty()) {
      GTEST_SKIP() << "It needs other NICs of scripts/vm.sh.";
    }
    // Any other may drop what was sent, and it would be missed at the far end.
    ASSERT_EQ(first_line("/proc/sys/net/core/default_qdisc"), "pfifo_fast");
    for (int i = 0; i < count_; ++i) {
      // What is forwarded is addressed to others.
      ASSERT_TRUE(command({"ip", "link", "set", eth(i), "promisc", "on"}));
      ASSERT_TRUE(wait_for_link(eth(i)));
    }
  }

  /// What --nic was: "igb"; with the kernel if that is too old for zero-copy.
  static std::string nic() { return nic_; }
  static std::string eth(int number) {
    return "eth" + std::to_string(first_ + number);
  }
  static std::string sysfs(const std::string& interface) {
    return "/sys/class/net/" + interface;
  }
  static Mac mac(const std::string& interface) {
    const auto device = Netdev::read(interface);
    EXPECT_TRUE(device);
    return device ? device->mac : Mac{};
  }
  static Wire wire(const std::string& interface) {
    auto wire = Wire::open(interface);
    if (!wire) {
      ADD_FAILURE() << wire.error().message();
      std::abort();
    }
    return std::move(*wire);
  }

  /// Of an engine that takes what exchange() sends.
  static EngineOptions options(const Words& interfaces,
                               Mode mode = Mode::automatic) {
    EngineOptions options;
    for (const auto& each : interfaces) options.ports.push_back({each, each});
    const Words expressions = {"udp and dst port 7"};
    auto rules = Rules::steer(expressions);
    EXPECT_TRUE(rules);
    options.rules = std::move(*rules);
    options.mode = mode;
    options.ring_size = 512;
    options.frame_size = 4096;  // igb takes no MTU of 1500 into smaller ones.
    return options;
  }

  /// What services::Reflect makes of it.
  static Bytes reflected(std::uint32_t number, const Mac& from, const Mac& to) {
    return Frame()
        .eth(to, from)
        .ipv4("10.9.0.1", address_of(number))
        .udp(kPort, static_cast<std::uint16_t>(4000 + number % 50))
        .payload(payload(number));
  }
  using Make = std::function<Bytes(std::uint32_t)>;
  /// Sends `count` packets, few in flight, and compares what comes of each;
  /// none may be lost or come twice. Their numbers are new: what is still on
  /// its way from before is not taken for theirs.
  static void exchange(Wire& from, Wire& to, std::uint32_t count,
                       const Make& question, const Make& answer) {
    static std::uint32_t sent = 0;
    const std::uint32_t first = sent;
    std::set<std::uint32_t> waited_for;
    while (sent - first < count || !waited_for.empty()) {
      while (sent - first < count && waited_for.size() < kWindow) {
        ASSERT_TRUE(from.send(question(sent))) << sent;
        waited_for.insert(sent++);
      }
      const auto got = to.receive(30s, [&](std::span<const std::byte> each) {
        const auto number = number_in(each);
        return number && *number - first < count;
      });
      ASSERT_TRUE(got) << waited_for.size() << " of " << count
                       << " packets are lost, the first is "
                       << *waited_for.begin() - first;
      const std::uint32_t number = *number_in(*got);
      ASSERT_EQ(waited_for.erase(number), 1u) << "not asked for: " << number;
      ASSERT_EQ(*got, answer(number)) << number;
    }
  }
  /// The same at one end of a cable, answered by services::Reflect.
  static void expect_reflected(Wire& wire, const std::string& at,
                               const std::string& interface,
                               std::uint32_t count) {
    const Mac from = mac(at);
    const Mac to = mac(interface);
    ASSERT_TRUE(wait_for_link(at));
    exchange(
        wire, wire, count,
        [&](std::uint32_t number) { return packet(number, from, to); },
        [&](std::uint32_t number) { return reflected(number, from, to); });
  }
  /// All was received and sent, on every queue some of it.
  static void expect_all_on_every_queue(const Stats& stats,
                                        std::uint64_t packets) {
    EXPECT_EQ(sum(stats, &QueueStats::rx_packets), packets);
    EXPECT_EQ(sum(stats, &QueueStats::tx_packets), packets);
    for (const QueueStats& queue : stats.queues) {
      EXPECT_EQ(queue.lost(), 0u) << queue.port << " queue " << queue.queue;
      EXPECT_GT(queue.rx_packets, 0u) << queue.port << " queue " << queue.queue;
      EXPECT_GT(queue.tx_packets, 0u) << queue.port << " queue " << queue.queue;
    }
  }
  /// Why a rung was refused; empty: it was not.
  static std::string reason(const std::vector<Refused>& refused,
                            const std::string& rung) {
    for (const Refused& each : refused) {
      if (each.rung == rung) return each.reason;
    }
    return "";
  }

 private:
  static std::string payload(std::uint32_t number) {
    std::string bytes(18 + number * 7 % 1200, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<char>(number * 31 + i * 7);
    }
    std::memcpy(bytes.data(), &number, sizeof number);
    std::memcpy(bytes.data() + sizeof number, "Sluice", 6);
    return bytes;
  }

  // What nic() is of each cable of the machine.
  static Words cables() {
    const char* nics = std::getenv("SLUICE_VM_NICS");
    const char* kernel = std::getenv("SLUICE_VM_KERNEL");
    if (nics == nullptr || kernel == nullptr) return {};
    const bool old = std::string(kernel) == "6.1";
    Words all;
    std::istringstream words(nics);
    for (std::string nic; words >> nic;) {
      all.push_back(nic + (old ? " on Linux 6.1" : ""));
    }
    return all;
  }

  // Of the test that runs.
  static inline std::string nic_;
  static inline int first_ = 0;
  static inline int count_ = 0;
};

}  // namespace sluice::testing
