// SPDX-License-Identifier: Apache-2.0
// --dispatcher: beside other programs of libxdp's, xdp-filter and xdpdump,
// whichever came first and whoever leaves, also by SIGKILL. Where the kernel
// refuses to join programs, that is said, and nothing is left.
#include <filesystem>
#include <fstream>
#include <map>

#include "rules_test.hpp"

namespace sluice::testing {
namespace {

namespace fs = std::filesystem;

class DispatcherTest : public RulesTest {
 protected:
  /// The folder that libxdp keeps its pins in, and locks.
  static constexpr auto kLock = "/sys/fs/bpf/xdp";
  const Words kReflect = {"--handler", "reflect", "--steer",
                          "udp and dst port 7", "--dispatcher"};

  void SetUp() override {
    RulesTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    had_lock_ = fs::exists(kLock);
    index_ = lab().in(Side::a, [&] {
      const auto device = Netdev::read(mine().interface);
      return device ? device->index : 0;
    });
    // Asked of another program than ours.
    filter({"load", mine().interface, "--policy", "allow"});
    joins_ = !programs().empty();
    filter({"unload", mine().interface});
    ASSERT_FALSE(has_program());
  }
  void TearDown() override {
    if (!IsSkipped() && has_program()) {
      ADD_FAILURE() << "an XDP program is left";
      ended(
          spawn(Side::a, {"xdp-loader", "unload", mine().interface, "--all"}));
    }
    RulesTest::TearDown();
    // libxdp never removes it, be it empty. A folder in use stays.
    std::error_code in_use;
    if (!had_lock_) fs::remove(kLock, in_use);
  }

  /// False: the kernel refuses to join programs.
  bool joins() const { return joins_; }

  Ended filter(const Words& words) {
    Words all = {"xdp-filter"};
    all.insert(all.end(), words.begin(), words.end());
    Ended done = ended(spawn(Side::a, all));
    EXPECT_EQ(done.code, 0) << done.out << done.err;
    return done;
  }
  void load_filter() {
    filter({"load", mine().interface, "--policy", "allow"});
  }
  void unload_filter() { filter({"unload", mine().interface}); }

  /// xdpdump with these words, once it captures.
  Process dump(const std::string& words) {
    const std::string command = "exec xdpdump -i " + mine().interface + " -w " +
                                file("dump", "") + " " + words + " 2>&1";
    Process process = spawn(Side::a, {"sh", "-c", command});
    EXPECT_TRUE(process.wait_for("listening on", 20s)) << process.out();
    return process;
  }
  /// How many packets it has captured. It ends, at once, whatever it has not
  /// yet looked at: so it gets a while.
  static int captured(Process& dump) {
    std::this_thread::sleep_for(1s);
    dump.signal(SIGINT);
    EXPECT_EQ(dump.wait(20s), 0) << dump.out();
    const auto end = dump.out().find(" packets captured");
    if (end == std::string::npos) return -1;
    return std::stoi(dump.out().substr(dump.out().rfind('\n', end) + 1));
  }

  /// What the dispatcher calls, in order: "ours", "filter" or "dump".
  Words programs() {
    return lab().in(Side::a, [&] {
      Words names;
      const auto there = attached_program(index_);
      if (!there || !*there) return names;
      for (const AttachedProgram& each : (*there)->dispatched) {
        names.emplace_back(each.identity            ? "ours"
                           : each.name == "xdpdump" ? "dump"
                                                    : "filter");
      }
      return names;
    });
  }
  /// What libxdp and Sluice have pinned for the interface.
  Words pins() {
    Words found;
    std::error_code none;
    const std::string dispatch = "dispatch-" + std::to_string(index_) + "-";
    for (const char* folder : {"/xdp", "/sluice"}) {
      for (const auto& each :
           fs::directory_iterator(std::string(kBpffs) + folder, none)) {
        const std::string name = each.path().filename();
        if (name.starts_with(dispatch) || name.ends_with(mine().interface)) {
          found.push_back(each.path());
        }
      }
    }
    return found;
  }
  bool answered(int port) {
    Process traffic = spawn(
        Side::b, {TRAFFIC_PROGRAM, "udp", "--to", mine().ipv4, "--port",
                  std::to_string(port), "--count", "5", "--timeout", "2"});
    return traffic.wait(30s) == 0;
  }
  Ended attach(Words more = {}) {
    more.insert(more.begin(), {"attach", mine().interface, "--dispatcher"});
    return ended(sluice(more));
  }
  Ended detach() { return ended(sluice({"detach", mine().interface})); }

  // Taking a program out of a dispatcher makes another one: that takes a while.
  void end(Running& run) {
    run.process().signal(SIGINT);
    EXPECT_EQ(run.process().wait(20s), 0) << run.process().err();
    expect_balanced(line_of(run.process().out(), "ended"));
  }
  /// That kernel says no, with the reason and the remedy, and leaves nothing.
  void expect_refused(const Ended& done) {
    EXPECT_EQ(done.code, 1) << done.out;
    for (const char* said : {"freplace", "Without --dispatcher"}) {
      EXPECT_NE(done.err.find(said), std::string::npos) << done.err;
    }
    EXPECT_FALSE(has_program());
    EXPECT_EQ(pins(), Words{});
  }

  void kill(Running& run) {
    run.process().signal(SIGKILL);
    EXPECT_TRUE(run.process().wait(5s));
  }

 private:
  int index_ = 0;
  bool joins_ = false;
  bool had_lock_ = true;
};

TEST_F(DispatcherTest, KernelThatJoinsNoProgramsIsToldAndNothingIsLeft) {
  if (joins()) {
    EXPECT_EQ(attach().code, 0);
    EXPECT_EQ(programs(), Words{"ours"});
    EXPECT_EQ(detach().code, 0);
  } else {
    expect_refused(ended(sluice_run(kReflect)));
    expect_refused(attach({"--mode", "generic"}));
    expect_refused(attach());
  }
  EXPECT_EQ(pins(), Words{});
  Running alone =
      this->run({"--handler", "reflect", "--steer", "udp and dst port 7"});
  ASSERT_TRUE(alone.up());
  expect_answered(mine().ipv4, 7, 10);
  end(alone);
}

TEST_F(DispatcherTest, FilterStaysWhenOursLeaves) {
  if (!joins()) return expect_refused(attach());
  load_filter();
  Running run = this->run(kReflect);
  ASSERT_TRUE(run.up());
  EXPECT_EQ(programs(), (Words{"filter", "ours"}));
  expect_answered(mine().ipv4, 7, 100);
  EXPECT_TRUE(ping(Side::b, mine().ipv4));
  filter({"port", "7", "--mode", "dst", "--proto", "udp"});
  EXPECT_FALSE(answered(7)) << "the filter comes first";
  end(run);
  EXPECT_EQ(programs(), Words{"filter"});
  unload_filter();
  EXPECT_EQ(pins(), Words{});
}

TEST_F(DispatcherTest, OursStaysWhenTheFilterLeaves) {
  if (!joins()) return expect_refused(attach());
  Words flags = kReflect;
  flags.insert(flags.end(), {"--priority", "5"});
  Running run = this->run(flags);
  ASSERT_TRUE(run.up());
  expect_answered(mine().ipv4, 7, 10);
  load_filter();
  EXPECT_EQ(programs(), (Words{"ours", "filter"})) << "by priority";
  filter({"port", "7", "--mode", "dst", "--proto", "udp"});
  expect_answered(mine().ipv4, 7, 100);
  unload_filter();
  EXPECT_EQ(programs(), Words{"ours"});
  expect_answered(mine().ipv4, 7, 10);
  end(run);
  expect_nothing_left();
  EXPECT_EQ(pins(), Words{});
}

TEST_F(DispatcherTest, XdpdumpSeesWhatOursGetsAndWhatItMakesOfIt) {
  if (!joins()) return expect_refused(attach());
  for (const bool dispatched : {false, true}) {
    SCOPED_TRACE(dispatched ? "--dispatcher" : "alone");
    Words flags = kReflect;
    if (!dispatched) flags.pop_back();
    Running run = this->run(flags);
    ASSERT_TRUE(run.up());
    Process look = dump("--rx-capture entry,exit");
    expect_answered(mine().ipv4, 7, 10);
    EXPECT_GE(captured(look), 20);
    look = dump("--rx-capture entry");
    expect_answered(mine().ipv4, 7, 10);
    end(run);  // It looks on at what has gone.
    EXPECT_GE(captured(look), 10);
    expect_nothing_left();
  }
  EXPECT_EQ(pins(), Words{});
}

TEST_F(DispatcherTest, XdpdumpsOwnProgramComesFirstAndStays) {
  if (!joins()) return expect_refused(attach());
  Process theirs = dump("--load-xdp-program");
  EXPECT_EQ(programs(), Words{"dump"});
  Words flags = kReflect;
  flags.insert(flags.end(), {"--priority", "60"});
  {
    Running run = this->run(flags);
    ASSERT_TRUE(run.up());
    EXPECT_EQ(programs(), (Words{"dump", "ours"}));
    expect_answered(mine().ipv4, 7, 10);
    end(run);
  }
  EXPECT_EQ(programs(), Words{"dump"});
  EXPECT_TRUE(ping(Side::b, mine().ipv4));
  Running run = this->run(flags);
  ASSERT_TRUE(run.up());
  EXPECT_GE(captured(theirs), 10);
  EXPECT_EQ(programs(), Words{"ours"});
  expect_answered(mine().ipv4, 7, 10);
  end(run);
  expect_nothing_left();
  EXPECT_EQ(pins(), Words{});
}

TEST_F(DispatcherTest, WhatAKilledRunLeftIsTakenOutByTheNext) {
  if (!joins()) return expect_refused(attach());
  load_filter();
  for (int i = 0; i < 2; ++i) {
    Running run = this->run(kReflect);
    ASSERT_TRUE(run.up());
    EXPECT_EQ(programs(), (Words{"filter", "ours"})) << "one of ours";
    expect_answered(mine().ipv4, 7, 10);
    kill(run);
    EXPECT_EQ(programs(), (Words{"filter", "ours"}));
    EXPECT_TRUE(ping(Side::b, mine().ipv4));
  }
  EXPECT_EQ(detach().code, 0);
  EXPECT_EQ(programs(), Words{"filter"});
  EXPECT_EQ(detach().code, 1) << "there is nothing of ours";
  unload_filter();
  EXPECT_EQ(pins(), Words{});
}

TEST_F(DispatcherTest, ExclusiveRunFollowsAKilledOne) {
  if (!joins()) return expect_refused(attach());
  {
    Running run = this->run(kReflect);
    ASSERT_TRUE(run.up());
    kill(run);
  }
  EXPECT_EQ(programs(), Words{"ours"});
  Running next =
      this->run({"--handler", "reflect", "--steer", "udp and dst port 7"});
  ASSERT_TRUE(next.up());
  EXPECT_EQ(programs(), Words{}) << "alone";
  expect_answered(mine().ipv4, 7, 10);
  end(next);
  expect_nothing_left();
  EXPECT_EQ(pins(), Words{});
}

TEST_F(DispatcherTest, ExclusiveRunIsToldWhomItWouldReplace) {
  if (!joins()) return expect_refused(attach());
  load_filter();
  Process run = sluice_run({"--handler", "reflect", "--steer", "udp"});
  EXPECT_EQ(run.wait(20s), 1);
  for (const char* said : {"xdp_dispatcher", "xdpfilt", "--dispatcher"}) {
    EXPECT_NE(run.err().find(said), std::string::npos) << run.err();
  }
  EXPECT_EQ(programs(), Words{"filter"});
  unload_filter();
}

TEST_F(DispatcherTest, PinnedProgramIsFoundInEachDispatcher) {
  if (!joins()) return expect_refused(attach());
  ASSERT_EQ(
      attach({"--rules", file("list", "steer @seven udp and dst port 7\n")})
          .code,
      0);
  load_filter();  // Another dispatcher, and the same program.
  right({"add", "count @pings icmp", "--before", "seven"});
  EXPECT_TRUE(ping(Side::b, mine().ipv4, 3));
  EXPECT_EQ(shown().at("rules").at(0).at("packets"), 3u);
  for (const int signal : {SIGTERM, SIGKILL}) {
    Running run = this->run({"--handler", "reflect"});
    ASSERT_TRUE(run.up());
    ASSERT_TRUE(run.process().wait_for("adopted", 5s));
    expect_answered(mine().ipv4, 7, 10);
    run.process().signal(signal);
    ASSERT_TRUE(run.process().wait(10s));
    EXPECT_EQ(programs(), (Words{"filter", "ours"})) << "it is to stay";
  }
  unload_filter();
  EXPECT_EQ(programs(), Words{"ours"});
  EXPECT_EQ(shown().at("rules").size(), 2u);
  const Ended second = attach();
  EXPECT_EQ(second.code, 1);
  EXPECT_NE(second.err.find("sluice detach"), std::string::npos) << second.err;
  EXPECT_EQ(detach().code, 0);
  expect_nothing_left();
  EXPECT_EQ(pins(), Words{});
}

TEST_F(DispatcherTest, PinsAreRemovedWithTheDispatcher) {
  if (!joins()) return expect_refused(attach());
  ASSERT_EQ(attach().code, 0);
  ended(spawn(Side::a, {"xdp-loader", "unload", mine().interface, "--all"}));
  EXPECT_EQ(ended(sluice({"status"})).code, 1);
  EXPECT_EQ(pins(), Words{});
}

TEST_F(DispatcherTest, AProgramThatItCallsIsToldNothingByTheNic) {
  Words flags = kReflect;
  flags.emplace_back("--rx-hints");
  if (!joins()) return expect_refused(ended(sluice_run(flags)));
  Running run = this->run(flags);
  ASSERT_TRUE(run.up());
  const Json& queue = run.started().at("queues").at(0);
  EXPECT_EQ(queue.at("rx_hints").at("hash"), false);
  EXPECT_EQ(queue.at("rx_hints").at("vlan_tag"), false);
  std::map<std::string, std::string> refused;
  for (const Json& each : queue.at("refused")) {
    refused[each.at("rung")] = each.at("reason");
  }
  for (const char* rung : {"RX hash", "RX VLAN tag"}) {
    EXPECT_EQ(refused[rung],
              "A program that a dispatcher calls is bound to no device.")
        << queue;
  }
  end(run);
}

}  // namespace
}  // namespace sluice::testing
