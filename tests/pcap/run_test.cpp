// SPDX-License-Identifier: Apache-2.0
// `sluice run` over captures: without root, without a network.
#include <sys/stat.h>

#include "run_pcap.hpp"

namespace sluice::testing {
namespace {

TEST_F(RunTest, AnswersComeOutAsACapture) {
  questions("in.pcap", 500);
  const Ended ended = run({"--handler", "reflect", "--port",
                           "p=pcap:" + path("in.pcap") + "," + path("out")});
  EXPECT_EQ(ended.code, 0) << ended.err;
  const auto sent = packets("out");
  ASSERT_EQ(sent.size(), 500u);
  for (std::uint16_t i = 0; i < 500; ++i) {
    EXPECT_EQ(sent[i].bytes, answer(i, i % 64)) << i;
    EXPECT_EQ(sent[i].ns, kStart * 1'000'000'000ull + i * 1'000'000u) << i;
  }
  const Json started = ended.line("started");
  EXPECT_EQ(started.at("queues").at(0).at("mode"), "pcap");
  const Json files = ended.line("files");
  EXPECT_EQ(files.at("files").at(0).at("read"), 500u);
  EXPECT_EQ(files.at("files").at(0).at("sent"), 500u);
  EXPECT_EQ(files.at("received"), 500u);
  EXPECT_EQ(files.at("dropped"), 0u);
  const Json last = ended.line("ended");
  EXPECT_EQ(last.at("queues").at(0).at("rx_packets"), 500u);
  EXPECT_EQ(last.at("queues").at(0).at("tx_packets"), 500u);
  EXPECT_EQ(last.at("handler").at("reflected"), 500u);
  expect_balanced(last);
}

TEST_F(RunTest, TheLinesForPeopleSayTheSame) {
  questions("in.pcap", 5);
  const Ended ended =
      run({"--handler", "drop", "--port", "p=pcap:" + path("in.pcap")}, false);
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("p queue 0: pcap " + path("in.pcap")));
  EXPECT_THAT(ended.out, HasSubstr("file p: read 5 packets"));
  EXPECT_THAT(ended.out,
              HasSubstr("handlers: received 5, sent 0, kept 0, dropped 5"));
  EXPECT_THAT(ended.out, HasSubstr("total p queue 0: rx 5 packets"));
  EXPECT_THAT(ended.out, HasSubstr("\nframes "));
}

TEST_F(RunTest, NoPrivilegeIsNeeded) {
  questions("in.pcap", 5);
  ASSERT_EQ(::chmod(path("").c_str(), 0755), 0);
  Words words = {"setpriv",        "--reuid=65534",   "--regid=65534",
                 "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
                 "--no-new-privs"};
  if (::geteuid() != 0) words.clear();
  words.insert(words.end(),
               {SLUICE_PROGRAM, "run", "--port", "p=pcap:" + path("in.pcap")});
  const Ended ended = start(words);
  EXPECT_EQ(ended.code, 0) << ended.err;
}

TEST_F(RunTest, AConfigFileSaysWhatFlagsSay) {
  questions("in.pcap", 5);
  folder_.write("run.toml",
                "# what runs every day\nport = [\"p=pcap:" + path("in.pcap") +
                    "\"]\nhandler = \"reflect\"\n"
                    "steer = [\"udp and dst port 1\"]\n"
                    "batch = 16\n");
  const Ended by_file = run({"--config", path("run.toml")});
  EXPECT_EQ(by_file.code, 0) << by_file.err;
  EXPECT_EQ(by_file.line("ended").at("queues").at(0).at("rx_packets"), 0u);
  // A flag goes before the file.
  const Ended by_flag = run({"--config", path("run.toml"), "--steer", "udp"});
  EXPECT_EQ(by_flag.code, 0) << by_flag.err;
  EXPECT_EQ(by_flag.line("ended").at("handler").at("reflected"), 5u);
}

TEST_F(RunTest, AConfigFileThatIsWrongIsUsage) {
  questions("in.pcap", 1);
  const Words port = {"--port", "p=pcap:" + path("in.pcap"), "--config"};
  for (const char* wrong : {"rinsize = 3\n", "batch = \"many\"\n"}) {
    folder_.write("run.toml", std::string_view(wrong));
    Words words = port;
    words.push_back(path("run.toml"));
    EXPECT_EQ(run(words).code, 2) << wrong;
  }
  EXPECT_THAT(
      run({"--config",
           folder_.write("run.toml", std::string_view("rinsize = 3\n"))})
          .err,
      HasSubstr("'rinsize' is no flag"));
  Words words = port;
  words.push_back(path("nothing.toml"));
  const Ended missing = run(words);
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.err, HasSubstr("nothing.toml"));
}

TEST_F(RunTest, CommandsAreNamedWhereOneIsMissingOrWrong) {
  const auto said = [](Words words) {
    words.insert(words.begin(), SLUICE_PROGRAM);
    auto process = Process::start(words);
    EXPECT_TRUE(process);
    EXPECT_EQ(process->wait(20s), 2);
    return process->err();
  };
  EXPECT_THAT(said({}),
              HasSubstr("A command is missing. There are: run rules"));
  EXPECT_THAT(said({"--json"}), HasSubstr("A command is missing."));
  EXPECT_THAT(said({"nonsense"}), HasSubstr("'nonsense' is no command."));
  EXPECT_THAT(said({"rules", "lood"}),
              HasSubstr("'lood' is no command. There are: check"));
  EXPECT_THAT(said({"status", "--jason"}), HasSubstr("--jason. `--help`"));
}

TEST_F(RunTest, RulesOfTheCommandLineApply) {
  folder_.write("in.pcap", CaptureBytes::pcap(false)
                               .record(kStart, 1, question(1))
                               .record(kStart, 2, from_a().tcp(1, 9))
                               .record(kStart, 3, question(2))
                               .bytes);
  const Ended ended = run({"--handler", "reflect", "--steer", "udp", "--port",
                           "p=pcap:" + path("in.pcap") + "," + path("out")});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(packets("out").size(), 2u);
  const Json verdicts = ended.line("ended").at("ports").at(0).at("verdicts");
  EXPECT_EQ(verdicts.at("steered").at("packets"), 2u);
  EXPECT_EQ(verdicts.at("passed").at("packets"), 1u);
}

TEST_F(RunTest, TheVerdictsToldAreThoseOfAllPackets) {
  folder_.write("in.pcap", CaptureBytes::pcap(false)
                               .record(kStart, 1, question(1))
                               .record(kStart, 2, from_a().tcp(1, 9))
                               .record(kStart, 3, question(2))
                               .bytes);
  const Words flags = {
      "--handler", "drop",
      "--rules",   folder_.write("list", "reflect udp\ndrop tcp\n"),
      "--port",    "p=pcap:" + path("in.pcap")};
  const Json told = run(flags).line("ended");
  std::uint64_t all = 0;
  for (const Json& each : told.at("ports").at(0).at("verdicts")) {
    all += each.at("packets").get<std::uint64_t>();
  }
  EXPECT_EQ(all, 3u) << told;
  EXPECT_THAT(run(flags, false).out,
              HasSubstr("steered 0, passed 0, dropped 1, reflected 2, no"));
}

TEST_F(RunTest, TwoCapturesAreTheTwoSidesOfAWire) {
  folder_.write("a.pcap", CaptureBytes::pcap(false)
                              .record(kStart, 10, question(1))
                              .record(kStart, 30, question(3))
                              .bytes);
  folder_.write("b.pcapng",
                CaptureBytes::pcapng()
                    .interface(9)
                    .packet(0, kStart * 1'000'000'000ull + 20'000, answer(2))
                    .bytes);
  const Ended ended =
      run({"--handler", "forward", "--port",
           "a=pcap:" + path("a.pcap") + "," + path("to_a"), "--port",
           "b=pcap:" + path("b.pcapng") + "," + path("to_b")});
  EXPECT_EQ(ended.code, 0) << ended.err;
  const std::uint64_t start = kStart * 1'000'000'000ull;
  EXPECT_EQ(packets("to_a"),
            (std::vector<Packet>{{start + 20'000, answer(2)}}));
  EXPECT_EQ(packets("to_b"),
            (std::vector<Packet>{{start + 10'000, question(1)},
                                 {start + 30'000, question(3)}}));
  expect_balanced(ended.line("ended"));
}

TEST_F(RunTest, QueuesAreACountOfCores) {
  questions("in.pcap", 500);
  const Ended ended = run({"--handler", "reflect", "--queues", "3", "--port",
                           "p=pcap:" + path("in.pcap") + "," + path("out")});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(packets("out").size(), 500u);
  const Json last = ended.line("ended");
  EXPECT_EQ(last.at("cores").size(), 3u);
  for (const Json& queue : last.at("queues")) {
    EXPECT_GT(queue.at("rx_packets"), 100u);
  }
  expect_balanced(last);
}

TEST_F(RunTest, WhatIsExpectedAndComesIsFine) {
  questions("in.pcap", 50);
  const Words flags = {"--handler", "reflect", "--port"};
  Words first = flags;
  first.push_back("p=pcap:" + path("in.pcap") + "," + path("golden"));
  EXPECT_EQ(run(first).code, 0);
  for (const std::string& expect : {path("golden"), "p=" + path("golden")}) {
    Words second = flags;
    second.insert(second.end(),
                  {"p=pcap:" + path("in.pcap"), "--expect", expect});
    const Ended ended = run(second);
    EXPECT_EQ(ended.code, 0) << ended.err;
  }
}

TEST_F(RunTest, TheFirstPacketThatIsNotExpectedIsShownBesideTheOther) {
  questions("in.pcap", 50);
  CaptureBytes golden = CaptureBytes::pcap(false);
  for (std::uint16_t i = 0; i < 50; ++i) {
    Bytes packet = answer(i, i % 64);
    if (i == 30) packet[0x25] ^= std::byte{1};
    golden.record(0, i, packet);
  }
  folder_.write("golden", golden.bytes);
  const Ended ended =
      run({"--handler", "reflect", "--port", "p=pcap:" + path("in.pcap"),
           "--expect", path("golden")});
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.err, HasSubstr("p: packet 31 sent is not that of"));
  EXPECT_THAT(ended.err, HasSubstr("from byte 0x25 on"));
  EXPECT_THAT(ended.err, HasSubstr("0020  02 01 00 09 00 1e"));
  EXPECT_THAT(ended.err, HasSubstr("0020  02 01 00 09 00 1f"));
  expect_balanced(ended.line("ended"));
}

TEST_F(RunTest, APacketTooManyOrTooFewIsNotAsExpected) {
  questions("in.pcap", 10);
  for (const std::uint16_t count : {std::uint16_t{9}, std::uint16_t{11}}) {
    CaptureBytes golden = CaptureBytes::pcap(false);
    for (std::uint16_t i = 0; i < count; ++i) {
      golden.record(0, i, answer(i, i % 64));
    }
    folder_.write("golden", golden.bytes);
    const Ended ended =
        run({"--handler", "reflect", "--port", "p=pcap:" + path("in.pcap"),
             "--expect", path("golden")});
    EXPECT_EQ(ended.code, 1) << count;
    EXPECT_THAT(ended.err, HasSubstr(count == 9 ? "packet 10 was sent"
                                                : "10 packets were sent"));
  }
}

// A program made by run<>, whose timer looks back on each second.
TEST_F(RunTest, ProgramsOfHandlersTakeCapturesAndTimersLinger) {
  questions("in.pcap", 500);
  const Words words = {
      EXAMPLES_FOLDER "/udp_counter", "--json",  "--interval", "0", "--port",
      "p=pcap:" + path("in.pcap"),    "--linger"};
  for (const auto& [linger, peak] :
       {std::pair{"0", 0u}, {"400ms", 0u}, {"0.6", 500u}, {"60s", 500u}}) {
    Words all = words;
    all.emplace_back(linger);
    const Ended ended = start(all);
    EXPECT_EQ(ended.code, 0) << ended.err;
    const Json report = ended.line("ended").at("report");
    EXPECT_EQ(report.at("flows"), 500u);
    EXPECT_EQ(report.at("peak_of_a_core_per_second"), peak) << linger;
  }
}

}  // namespace
}  // namespace sluice::testing
