// SPDX-License-Identifier: Apache-2.0
// Rules of a run, looked at and changed from other processes.
#include "rules_test.hpp"

namespace sluice::testing {
namespace {

TEST_F(RulesTest, EachRuleShowsWhatItCounted) {
  Running run = this->run(kUdp7);
  ASSERT_TRUE(run.up());
  EXPECT_TRUE(shown().at("rules").at(0).at("last_hit_ns").is_null());
  expect_answered(mine().ipv4, 7, 100);
  const Json json = shown();
  EXPECT_EQ(json.at("schema"), 1);
  EXPECT_EQ(json.at("interface"), mine().interface);
  EXPECT_EQ(json.at("pid"), run.process().pid());
  const Json& rule = json.at("rules").at(0);
  EXPECT_EQ(rule.at("rule"), "steer udp and dst port 7");
  EXPECT_EQ(rule.at("packets"), 100u);
  EXPECT_GT(rule.at("bytes"), 100u * 42);
  EXPECT_GT(rule.at("last_hit_ns"), 0u);
  EXPECT_LE(rule.at("last_hit_ns"), json.at("time_ns"));
  EXPECT_EQ(json.at("verdicts").at("steered").at("packets"), 100u);
  const Ended people = right({"show"});
  for (const std::string& said :
       {std::to_string(run.process().pid()), std::string("100"),
        std::string("udp and dst port 7"), std::string("default pass")}) {
    EXPECT_NE(people.out.find(said), std::string::npos) << people.out;
  }
  run.stop();
  refused({"show"}, 1, {"No sluice"});
}

// BPF programs read the machine's clock, whatever a container's is.
TEST_F(RulesTest, ATimeNamespaceChangesNoTime) {
  Words words = {
      "unshare", "--time", "--monotonic",    "864000", SLUICE_PROGRAM,
      "run",     "-i",     mine().interface, "--json", "--interval",
      "0"};
  words.insert(words.end(), kUdp7.begin(), kUdp7.end());
  Running run(spawn(Side::a, words));
  ASSERT_TRUE(run.up());
  const Time before = monotonic_now();
  expect_answered(mine().ipv4, 7, 100);
  Process status = sluice({"status", "-i", mine().interface, "--json"});
  ASSERT_EQ(status.wait(10s), 0) << status.err();
  const auto time = line_of(status.out(), "status").at("time_ns");
  EXPECT_GT(time, before.ns);
  EXPECT_LT(time, monotonic_now().ns);
  EXPECT_GT(shown().at("rules").at(0).at("last_hit_ns"),
            before.ns - 1'000'000'000);
  run.stop();
}

TEST_F(RulesTest, RulesComeAndGoWhilePacketsFlow) {
  Running run = this->run(kUdp7);
  ASSERT_TRUE(run.up());
  expect_answered(mine().ipv4, 7, 10);
  right({"add", "steer @eight udp and dst port 8"});
  right({"add", "--before", "eight", "drop", "udp", "and", "dst", "port", "9"});
  EXPECT_EQ(text(),
            "steer udp and dst port 7\n"
            "drop udp and dst port 9\n"
            "steer @eight udp and dst port 8\n"
            "default pass\n");
  expect_answered(mine().ipv4, 8, 10);
  const Json json = shown();
  EXPECT_EQ(json.at("version"), 3u);
  EXPECT_EQ(json.at("rules").at(0).at("packets"), 10u) << "it counts on";
  EXPECT_EQ(json.at("rules").at(2).at("packets"), 10u);
  right({"delete", "@eight"});
  right({"delete", json.at("rules").at(1).at("handle")});
  EXPECT_EQ(text(), "steer udp and dst port 7\ndefault pass\n");
  refused({"delete", "eight"}, 1, {"'eight'", "rules show"});
  refused({"add", "steer udp and dst prot 8"}, 2, {"prot"});
  right({"flush"});
  EXPECT_EQ(text(), "default pass\n");
  EXPECT_TRUE(ping(Side::b, mine().ipv4, 1));
  run.stop();
}

TEST_F(RulesTest, EditsAtTheSameTimeAllCome) {
  Running run = this->run(kUdp7);
  ASSERT_TRUE(run.up());
  std::vector<Process> editors;
  for (int i = 0; i < 6; ++i) {
    editors.push_back(sluice({"rules", "add", "-i", mine().interface,
                              "count udp port " + std::to_string(1000 + i)}));
  }
  for (Process& each : editors) EXPECT_EQ(each.wait(20s), 0) << each.err();
  const Json json = shown();
  EXPECT_EQ(json.at("rules").size(), 7u);
  EXPECT_EQ(json.at("version"), 7u);
  run.stop();
}

TEST_F(RulesTest, FileIsLoadedComparedAndSaved) {
  Running run = this->run(kUdp7);
  ASSERT_TRUE(run.up());
  const std::string list = file("list",
                                "define ports = { 7, 8 }  # of mine\n"
                                "steer @all udp and dst port $ports\n");
  const Ended before = rules({"diff", list});
  EXPECT_EQ(before.code, 1);
  EXPECT_EQ(before.out,
            "- steer udp and dst port 7\n"
            "+ define ports = { 7-8 }\n"
            "+ steer @all udp and dst port $ports\n");
  right({"load", list});
  EXPECT_EQ(right({"diff", list}).out, "");
  expect_answered(mine().ipv4, 8, 10);
  const std::string saved = file("saved", "");
  right({"save", saved});
  EXPECT_EQ(right({"diff", saved}).out, "");
  EXPECT_EQ(shown().at("version"), 2u);
  refused({"load", list + "-not"}, 1, {"open", "-not"});
  run.stop();
}

TEST_F(RulesTest, ListThatCutsTheHostOffIsRefused) {
  Running run = this->run(kUdp7);
  ASSERT_TRUE(run.up());
  const std::string list = file("all", "drop all\n");
  refused({"load", list}, 1, {mine().ipv4, "--force"});
  refused({"add", "drop arp"}, 1, {"ARP", "--force"});
  EXPECT_EQ(text(), "steer udp and dst port 7\ndefault pass\n");
  EXPECT_TRUE(ping(Side::b, mine().ipv4, 1));
  right({"load", list, "--force"});
  EXPECT_FALSE(ping(Side::b, mine().ipv4, 1));
  right({"flush"});
  EXPECT_TRUE(ping(Side::b, mine().ipv4, 1));
  run.stop();
}

TEST_F(RulesTest, UnconfirmedListGoesAgain) {
  Running run = this->run(kUdp7);
  ASSERT_TRUE(run.up());
  const std::string list = file("list", "steer udp and dst port 8\n");
  const std::string load = std::string(SLUICE_PROGRAM) + " rules load " + list +
                           " -i " + mine().interface + " --confirm ";
  const std::string before = "steer udp and dst port 7\ndefault pass\n";

  Process late = spawn(Side::a, {"sh", "-c", load + "0.3s </dev/null"});
  EXPECT_EQ(late.wait(10s), 1) << late.err();
  EXPECT_NE(late.err().find("not confirmed"), std::string::npos) << late.err();
  EXPECT_EQ(text(), before);

  Process gone = spawn(Side::a, {"sh", "-c", "exec " + load + "60s"});
  ASSERT_TRUE(gone.wait_for("is in force", 10s)) << gone.err();
  EXPECT_EQ(text(), "steer udp and dst port 8\ndefault pass\n");
  gone.signal(SIGHUP);
  EXPECT_EQ(gone.wait(10s), 1) << gone.err();
  EXPECT_EQ(text(), before);

  Process kept = spawn(Side::a, {"sh", "-c", "echo | " + load + "60s"});
  EXPECT_EQ(kept.wait(10s), 0) << kept.err();
  EXPECT_EQ(text(), "steer udp and dst port 8\ndefault pass\n");
  run.stop();
}

TEST_F(RulesTest, RollBackIsNotOverSomebodyElsesEdit) {
  Running run = this->run(kUdp7);
  ASSERT_TRUE(run.up());
  const std::string list = file("list", "steer udp and dst port 8\n");
  Process load = sluice(
      {"rules", "load", list, "-i", mine().interface, "--confirm", "60s"});
  ASSERT_TRUE(load.wait_for("is in force", 10s)) << load.err();
  right({"add", "count arp"});
  load.signal(SIGTERM);
  EXPECT_EQ(load.wait(10s), 1);
  EXPECT_NE(load.err().find("meanwhile"), std::string::npos) << load.err();
  EXPECT_EQ(text(), "steer udp and dst port 8\ncount arp\ndefault pass\n");
  run.stop();
}

TEST_F(RulesTest, HangupReadsTheFileAgainAndNamesWhatItReplaces) {
  const std::string list = file("list", "steer udp and dst port 7\n");
  Running run = this->run({"--handler", "reflect", "--rules", list});
  ASSERT_TRUE(run.up());
  expect_answered(mine().ipv4, 7, 10);
  right({"add", "count @mine arp"});
  file("list", "steer udp and dst port 8\n");
  run.process().signal(SIGHUP);
  ASSERT_TRUE(run.process().wait_for("is in force", 10s));
  EXPECT_NE(
      run.process().out().find("replaces the live edit + count @mine arp"),
      std::string::npos)
      << run.process().out();
  expect_answered(mine().ipv4, 8, 10);
  file("list", "steer udp and dst prot 8\n");
  run.process().signal(SIGHUP);
  ASSERT_TRUE(run.process().wait_for("the rules stay as they are", 10s));
  EXPECT_EQ(text(), "steer udp and dst port 8\ndefault pass\n");
  run.stop();
}

TEST_F(RulesTest, FileThatIsNoListStartsNothing) {
  const std::string list = file("list", "steer udp and dst prot 7\n");
  Process run = sluice_run({"--rules", list});
  EXPECT_EQ(run.wait(20s), 2);
  EXPECT_NE(run.err().find("line 1"), std::string::npos) << run.err();
  Process both = sluice_run({"--rules", list, "--steer", "udp"});
  EXPECT_EQ(both.wait(20s), 2);
  EXPECT_NE(both.err().find("--rules"), std::string::npos) << both.err();
  expect_nothing_left();
}

TEST_F(RulesTest, ExplainsByTheListInForce) {
  Running run = this->run(kUdp7);
  ASSERT_TRUE(run.up());
  const Ended why = right({"explain", "udp 192.0.2.1:5 > 10.0.0.1:53"});
  EXPECT_NE(why.out.find("dst port 7: is 53"), std::string::npos) << why.out;
  EXPECT_NE(why.out.find("pass: the default"), std::string::npos) << why.out;
  refused({"explain", "udp 192.0.2.1 > 10.0.0.1:53"}, 2, {"Write it like"});
  run.stop();
}

TEST_F(RulesTest, WatchGoesOnUntilASignal) {
  Running run = this->run(kUdp7);
  ASSERT_TRUE(run.up());
  Process watch = sluice({"rules", "show", "--watch", "--json"});
  ASSERT_TRUE(watch.wait_for("\n", 10s)) << watch.err();
  ASSERT_TRUE(watch.wait_for("\n", 10s, watch.out().size())) << watch.err();
  watch.signal(SIGINT);
  EXPECT_EQ(watch.wait(5s), 0) << watch.err();
  run.stop();
}

TEST_F(RulesTest, NonsenseAtTheControlSocketEndsNothing) {
  Running run = this->run(kUdp7);
  ASSERT_TRUE(run.up());
  for (const char* request :
       {"", "{", "[]", "7", R"({"schema":"x"})", R"({"schema":1})",
        R"({"schema":1,"request":[]})", R"({"schema":1,"request":"load"})",
        R"({"schema":1,"request":"load","text":7,"force":false})",
        R"({"schema":1,"request":"load","text":"x","force":0})",
        R"({"schema":1,"request":"load","text":"x","force":true,
            "instead_of":"1"})"}) {
    const auto answer = lab().in(
        Side::a, [&] { return Control::ask(mine().interface, request); });
    ASSERT_TRUE(answer) << request;
    EXPECT_NE(answer->find("unknown request"), std::string::npos) << *answer;
  }
  const auto wrong = lab().in(Side::a, [&] {
    return Control::ask(mine().interface,
                        R"({"schema":1,"request":"load","text":"dorp all",
                            "force":true})");
  });
  ASSERT_TRUE(wrong);
  EXPECT_NE(wrong->find("dorp"), std::string::npos) << *wrong;
  run.stop();
}

}  // namespace
}  // namespace sluice::testing
