// SPDX-License-Identifier: Apache-2.0
// A program that is attached and pinned: it outlives whoever attached it, is
// looked at and changed by other processes, adopted by a run, and taken off
// without a trace.
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <random>

#include "rules_test.hpp"

namespace sluice::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDns = "steer @seven udp and dst port 7\n";

class PinTest : public RulesTest {
 protected:
  void SetUp() override {
    RulesTest::SetUp();
    if (!IsSkipped()) before_ = folders();
  }
  void TearDown() override {
    if (!IsSkipped()) {
      for (const Side side : {Side::a, Side::b}) detach_all(side);
      EXPECT_EQ(folders(), before_) << "pins are left";
    }
    RulesTest::TearDown();
  }

  Ended attach(Words more = {}) {
    more.insert(more.begin(), {"attach", mine().interface});
    return ended(sluice(more));
  }
  Ended detach() { return ended(sluice({"detach", mine().interface})); }
  void attached(const std::string& list, Words more = {}) {
    more.insert(more.end(), {"--rules", file("attached", list)});
    const Ended done = attach(more);
    ASSERT_EQ(done.code, 0) << done.err;
  }
  void detach_all(Side side) {
    lab().in(side, [] {
      for (const int index : pinned_interfaces()) {
        EXPECT_TRUE(Program::detach_pinned(index));
      }
    });
  }
  static Words folders() {
    Words found;
    std::error_code none;
    for (const auto& each :
         fs::directory_iterator(std::string(kBpffs) + "/sluice", none)) {
      found.push_back(each.path());
    }
    return found;
  }
  Ended at(Side side, Words words) {
    words.insert(words.begin(), SLUICE_PROGRAM);
    return ended(spawn(side, words));
  }

 private:
  Words before_;
};

TEST_F(PinTest, ProgramOutlivesItsProcessUntilItIsDetached) {
  attached(kDns);
  EXPECT_TRUE(has_program());
  EXPECT_TRUE(lab().in(Side::a, [] { return Control::owned(); }).empty());
  EXPECT_TRUE(ping(Side::b, mine().ipv4));
  const Ended gone = detach();
  EXPECT_EQ(gone.code, 0) << gone.err;
  expect_nothing_left();
  const Ended nothing = detach();
  EXPECT_EQ(nothing.code, 1);
  EXPECT_NE(nothing.err.find("not attached"), std::string::npos) << nothing.err;
}

TEST_F(PinTest, RulesCountAndChangeWithoutAnyProcess) {
  attached("count @pings icmp\n");
  EXPECT_TRUE(ping(Side::b, mine().ipv4, 3));
  const Json before = shown();
  EXPECT_TRUE(before.at("pid").is_null());
  EXPECT_EQ(before.at("rules").at(0).at("packets"), 3u);
  right({"add", "drop @none icmp and src host " + peer().ipv4});
  EXPECT_FALSE(ping(Side::b, mine().ipv4, 1));
  const Json after = shown();
  EXPECT_EQ(after.at("version"), 2u);
  EXPECT_EQ(after.at("rules").at(0).at("packets"), 4u) << "it counts on";
  EXPECT_EQ(after.at("rules").at(1).at("packets"), 1u);
  right({"delete", "none"});
  EXPECT_TRUE(ping(Side::b, mine().ipv4, 1));
  refused({"add", "drop arp"}, 1, {"ARP", "--force"});
  const Ended why = right({"explain", "icmp 192.0.2.1 > 10.0.0.1"});
  EXPECT_NE(why.out.find("matches: icmp"), std::string::npos) << why.out;
}

TEST_F(PinTest, EditsAtTheSameTimeAllCome) {
  attached(kDns);
  std::vector<Process> editors;
  for (int i = 0; i < 6; ++i) {
    editors.push_back(sluice({"rules", "add", "-i", mine().interface,
                              "count udp port " + std::to_string(1000 + i)}));
  }
  for (Process& each : editors) EXPECT_EQ(each.wait(20s), 0) << each.err();
  EXPECT_EQ(shown().at("rules").size(), 7u);
}

TEST_F(PinTest, UnconfirmedListGoesAgain) {
  attached(kDns);
  const std::string before = text();
  Process load = sluice({"rules", "load", file("list", "count arp\n"), "-i",
                         mine().interface, "--confirm", "60s"});
  ASSERT_TRUE(load.wait_for("is in force", 10s)) << load.err();
  EXPECT_EQ(text(), "count arp\ndefault pass\n");
  load.signal(SIGHUP);
  EXPECT_EQ(load.wait(10s), 1);
  EXPECT_EQ(text(), before);
}

TEST_F(PinTest, StatusTellsOfProgramsWithoutAProcess) {
  attached(kDns);
  const Ended people = ended(sluice({"status"}));
  EXPECT_EQ(people.code, 0) << people.err;
  for (const std::string& said : {mine().interface, std::string("no process"),
                                  std::string("dst port 7")}) {
    EXPECT_NE(people.out.find(said), std::string::npos) << people.out;
  }
  const Json json = ended(sluice({"status", "--json"})).json();
  EXPECT_EQ(json.at("type"), "status");
  EXPECT_TRUE(json.at("pid").is_null());
  EXPECT_EQ(json.at("ports").at(0).at("interface"), mine().interface);
}

TEST_F(PinTest, RunAdoptsTheProgramAndLeavesIt) {
  attached(kDns);
  for (const int number : {SIGINT, SIGTERM}) {
    Running run = this->run({"--handler", "reflect"});
    ASSERT_TRUE(run.up());
    ASSERT_TRUE(run.process().wait_for("adopted", 5s));
    expect_answered(mine().ipv4, 7, 100);
    EXPECT_EQ(shown().at("pid"), run.process().pid());
    const Json ended = run.stop(number);
    EXPECT_GE(sum(ended, "rx_packets"), 100u);
    EXPECT_TRUE(has_program()) << "it is to stay";
    EXPECT_TRUE(shown().at("pid").is_null());
  }
  EXPECT_EQ(shown().at("rules").at(0).at("packets"), 200u);
  EXPECT_EQ(detach().code, 0);
  expect_nothing_left();
}

TEST_F(PinTest, KilledRunLeavesTheProgramToTheNext) {
  attached(kDns);
  for (int i = 0; i < 3; ++i) {
    Running run = this->run({"--handler", "reflect"});
    ASSERT_TRUE(run.up());
    expect_answered(mine().ipv4, 7, 10);
    run.process().signal(SIGKILL);
    ASSERT_TRUE(run.process().wait(5s));
    EXPECT_TRUE(has_program());
    right({"add", "count udp port " + std::to_string(i)});
  }
  EXPECT_EQ(shown().at("rules").at(0).at("packets"), 30u);
}

TEST_F(PinTest, RunWithRulesNamesWhatItReplaces) {
  attached(kDns);
  right({"add", "count @mine arp"});
  Running run =
      this->run({"--handler", "reflect", "--steer", "udp and dst port 8"});
  ASSERT_TRUE(run.up());
  ASSERT_TRUE(run.process().wait_for("adopted", 5s));
  EXPECT_NE(run.process().out().find("replaces in its list - count @mine arp"),
            std::string::npos)
      << run.process().out();
  expect_answered(mine().ipv4, 8, 10);
  run.stop();
  EXPECT_EQ(text(), "steer udp and dst port 8\ndefault pass\n");
}

TEST_F(PinTest, WhoComesSecondIsToldWhoIsThere) {
  attached(kDns);
  const Ended again = attach();
  EXPECT_EQ(again.code, 1);
  EXPECT_NE(again.err.find("sluice detach"), std::string::npos) << again.err;
  Running run = this->run({"--handler", "reflect"});
  ASSERT_TRUE(run.up());
  const std::string owner = "process " + std::to_string(run.process().pid());
  Process second = sluice_run({"--handler", "reflect"});
  EXPECT_EQ(second.wait(20s), 1);
  EXPECT_NE(second.err().find(owner), std::string::npos) << second.err();
  for (const Ended& done : {attach(), detach()}) {
    EXPECT_EQ(done.code, 1);
    EXPECT_NE(done.err.find(owner), std::string::npos) << done.err;
  }
  run.stop();
  EXPECT_TRUE(has_program());
}

TEST_F(PinTest, ModeThatIsNotTheAttachedOneIsRefused) {
  attached(kDns, {"--mode", "native"});
  Process run = sluice_run({"--mode", "generic"});
  EXPECT_EQ(run.wait(20s), 1);
  EXPECT_NE(run.err().find("native"), std::string::npos) << run.err();
  EXPECT_TRUE(has_program());
  ASSERT_EQ(detach().code, 0);
  attached(kDns, {"--mode", "generic"});
  Running generic = this->run({"--handler", "reflect"});
  ASSERT_TRUE(generic.up());
  expect_answered(mine().ipv4, 7, 10);
  generic.stop();
}

TEST_F(PinTest, ListThatCutsTheHostOffIsNotAttached) {
  const Ended refused = attach({"--rules", file("list", "drop all\n")});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("--force"), std::string::npos) << refused.err;
  EXPECT_FALSE(has_program());
  const Ended wrong = attach({"--rules", file("list", "dorp all\n")});
  EXPECT_EQ(wrong.code, 2) << wrong.err;
  const Ended mode = attach({"--mode", "fast"});
  EXPECT_EQ(mode.code, 2) << mode.err;
}

TEST_F(PinTest, PinsOfADeletedInterfaceAreRemoved) {
  attached(kDns);
  const Words with = folders();
  ASSERT_TRUE(lab().remove());
  EXPECT_EQ(ended(sluice({"status"})).code, 1);
  EXPECT_LT(folders().size(), with.size());
}

TEST_F(PinTest, ProgramOfOneDeviceIsAdoptedAndGoesWithIt) {
  const bool offered = lab().in(Side::a, [&] {
    return driver_rx_hints(Netdev::read(mine().interface)->index).time;
  });
  if (!offered) {
    const Ended done = attach({"--timestamps"});
    EXPECT_EQ(done.code, 1);
    EXPECT_NE(done.err.find("driver"), std::string::npos) << done.err;
    EXPECT_FALSE(has_program());
    return;
  }
  EXPECT_EQ(attach({"--timestamps", "--mode", "generic"}).code, 1);
  EXPECT_FALSE(has_program());
  attached(kDns, {"--timestamps"});
  const Words with = folders();
  {
    Running run =
        this->run({"--handler", "reflect", "--timestamps", "--rx-hints"});
    ASSERT_TRUE(run.up());
    const Json& queue = run.started().at("queues").at(0);
    EXPECT_EQ(queue.at("timestamps"), "hardware");
    EXPECT_EQ(queue.at("rx_hints").at("hash"), false);
    EXPECT_NE(queue.dump().find("attach it with --rx-hints"),
              std::string::npos);
    expect_answered(mine().ipv4, 7, 10);
    run.stop();
  }
  EXPECT_TRUE(has_program());
  ASSERT_TRUE(lab().remove());
  EXPECT_EQ(ended(sluice({"status"})).code, 1);
  EXPECT_LT(folders().size(), with.size());
}

TEST_F(PinTest, RenamedInterfaceIsFoundByItsNewName) {
  attached(kDns);
  const std::string old = mine().interface;
  ASSERT_TRUE(lab().ip(Side::a, "link set dev " + old + " down"));
  ASSERT_TRUE(lab().ip(Side::a, "link set dev " + old + " name new.name"));
  const Ended shown = at(Side::a, {"rules", "save", "-i", "new.name"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_EQ(at(Side::a, {"detach", "new.name"}).code, 0);
  ASSERT_TRUE(lab().ip(Side::a, "link set dev new.name name " + old));
}

TEST_F(PinTest, SameNamesInTwoNamespacesDoNotCollide) {
  for (const Side side : {Side::a, Side::b}) {
    ASSERT_TRUE(lab().ip(side, "link add same.1 type veth peer name same.2"));
    const Ended done = at(side, {"attach", "same.1"});
    EXPECT_EQ(done.code, 0) << done.err;
  }
  EXPECT_EQ(at(Side::a, {"rules", "add", "-i", "same.1", "count arp"}).code, 0);
  EXPECT_EQ(at(Side::a, {"rules", "save", "-i", "same.1"}).out,
            "count arp\ndefault pass\n");
  EXPECT_EQ(at(Side::b, {"rules", "save", "-i", "same.1"}).out,
            "default pass\n");
  EXPECT_EQ(at(Side::a, {"detach", "same.1"}).code, 0);
  EXPECT_EQ(at(Side::b, {"detach", "same.1"}).code, 0);
}

TEST_F(PinTest, HiddenBpffsIsNamedWithItsRemedy) {
  const auto hidden = [&](const std::string& command) {
    return ended(
        spawn(Side::a, {"unshare", "--mount", "sh", "-c",
                        "mount -t tmpfs none /sys/fs/bpf && exec " +
                            std::string(SLUICE_PROGRAM) + " " + command}));
  };
  const Ended attach = hidden("attach " + mine().interface);
  EXPECT_EQ(attach.code, 1);
  EXPECT_NE(attach.err.find("mount -t bpf bpf /sys/fs/bpf"), std::string::npos)
      << attach.err;
  EXPECT_FALSE(has_program());
  attached(kDns);
  for (const std::string& command :
       {"rules show -i " + mine().interface, "detach " + mine().interface,
        "run --handler reflect --steer 'udp' -i " + mine().interface}) {
    const Ended done = hidden(command);
    EXPECT_EQ(done.code, 1) << command;
    EXPECT_NE(done.err.find("nsenter"), std::string::npos) << done.err;
  }
  EXPECT_TRUE(has_program());
}

// Raw: the library makes programs of its own version only.
int bpf_call(int command, bpf_attr& attr) {
  return static_cast<int>(syscall(SYS_bpf, command, &attr, sizeof attr));
}

// Puts read-only data of another version into the place of a program's.
void disguise(const std::string& folder, const sluice_identity& identity) {
  bpf_attr make{};
  make.map_type = BPF_MAP_TYPE_ARRAY;
  make.key_size = 4;
  make.value_size = sizeof identity;
  make.max_entries = 1;
  std::strcpy(make.map_name, "old.rodata");
  const Fd map(bpf_call(BPF_MAP_CREATE, make));
  ASSERT_TRUE(map) << std::strerror(errno);
  const std::uint32_t first = 0;
  bpf_attr fill{};
  fill.map_fd = static_cast<std::uint32_t>(map.get());
  fill.key = reinterpret_cast<std::uintptr_t>(&first);
  fill.value = reinterpret_cast<std::uintptr_t>(&identity);
  ASSERT_EQ(bpf_call(BPF_MAP_UPDATE_ELEM, fill), 0) << std::strerror(errno);
  const std::string path = folder + "/identity";
  ASSERT_EQ(unlink(path.c_str()), 0);
  bpf_attr pin{};
  pin.pathname = reinterpret_cast<std::uintptr_t>(path.c_str());
  pin.bpf_fd = static_cast<std::uint32_t>(map.get());
  ASSERT_EQ(bpf_call(BPF_OBJ_PIN, pin), 0) << std::strerror(errno);
}

TEST_F(PinTest, ProgramOfAnotherVersionIsToldAndCanBeDetached) {
  const Words others = folders();
  attached(kDns);
  std::string mine_is;
  for (const std::string& each : folders()) {
    if (std::ranges::find(others, each) == others.end()) mine_is = each;
  }
  sluice_identity old{};
  old.magic = SLUICE_MAGIC;
  old.abi_version = 1;
  std::strcpy(old.version, "0.0.7");
  disguise(mine_is, old);
  refused({"show"}, 1, {"0.0.7", "ABI 1", "sluice detach"});
  Process run = sluice_run({"--handler", "reflect"});
  EXPECT_EQ(run.wait(20s), 1);
  EXPECT_NE(run.err().find("0.0.7"), std::string::npos) << run.err();
  EXPECT_TRUE(has_program());
  EXPECT_EQ(detach().code, 0);
  expect_nothing_left();
}

// Wherever it is hit: either all is there, or what is there can be used or
// removed by the next one.
TEST_F(PinTest, KilledAtAnyInstantTheNextOneGetsThrough) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string list = file("list", kDns);
  const Words commands[] = {{"attach", mine().interface, "--rules", list},
                            {"rules", "load", list, "-i", mine().interface},
                            {"rules", "flush", "-i", mine().interface},
                            {"detach", mine().interface}};
  for (int i = 0; i < 60; ++i) {
    Process victim = sluice(commands[random() % std::size(commands)]);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
    victim.signal(SIGKILL);
    ASSERT_TRUE(victim.wait(5s));
    if (i % 4 != 0) continue;
    const Ended shown = rules({"show"});
    EXPECT_EQ(shown.code == 0, has_program()) << shown.err;
    const Ended gone = detach();
    EXPECT_TRUE(gone.code == 0 || !has_program()) << gone.err;
    attached(kDns);
    EXPECT_EQ(detach().code, 0);
    expect_nothing_left();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace sluice::testing
