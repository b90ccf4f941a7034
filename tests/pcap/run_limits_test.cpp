// SPDX-License-Identifier: Apache-2.0
// `sluice run` over captures that are broken, odd, endless or large.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>
#include <sluice/ring.hpp>

#include "run_pcap.hpp"

namespace sluice::testing {
namespace {

TEST_F(RunTest, WhatWasReadOfABrokenFileIsHandledAndTheOffsetIsNamed) {
  questions("in.pcap", 100);
  Bytes bytes = folder_.read("in.pcap");
  bytes.resize(bytes.size() - 7);
  folder_.write("in.pcap", bytes);
  const Ended ended = run({"--handler", "reflect", "--port",
                           "p=pcap:" + path("in.pcap") + "," + path("out")});
  EXPECT_EQ(ended.code, 1);
  const std::size_t offset = bytes.size() + 7 - 16 - answer(99, 35).size();
  EXPECT_THAT(ended.err, HasSubstr("in.pcap packet 100 at byte " +
                                   std::to_string(offset)));
  EXPECT_EQ(packets("out").size(), 99u);
  expect_balanced(ended.line("ended"));
}

TEST_F(RunTest, PacketsThatNoNicHasAreCountedAndExplained) {
  folder_.write("in.pcap", CaptureBytes::pcap(false)
                               .record(kStart, 5, question(1))
                               .record(kStart, 6, question(2), 1500)
                               .record(kStart, 4, question(3))
                               .record(kStart, 7, question(4, 8000))
                               .record(kStart, 8, question(5, 60'000))
                               .bytes);
  const Ended ended = run({"--handler", "reflect", "--port",
                           "p=pcap:" + path("in.pcap") + "," + path("out")});
  EXPECT_EQ(ended.code, 0) << ended.err;
  const Json file = ended.line("files").at("files").at(0);
  EXPECT_EQ(file.at("read"), 5u);
  EXPECT_EQ(file.at("cut"), 1u);
  EXPECT_EQ(file.at("late"), 1u);
  EXPECT_EQ(file.at("larger_than_a_frame"), 1u);
  for (const char* sentence : {"tcpdump -s 0", "reordercap", "GRO",
                               "--frame-size 4096 takes larger ones"}) {
    EXPECT_THAT(ended.out, HasSubstr(sentence));
  }
  const Json last = ended.line("ended");
  EXPECT_EQ(last.at("queues").at(0).at("drops").at("rx_dropped"), 1u);
  expect_balanced(last);
  const auto sent = packets("out");
  ASSERT_EQ(sent.size(), 2u) << "reflect looks at the first segment";
  EXPECT_EQ(sent[1].bytes, answer(3));
  EXPECT_EQ(sent[1].ns, kStart * 1'000'000'000ull + 6000)
      << "the clock went back";
}

TEST_F(RunTest, WrongUsageIsOneSentence) {
  const std::string in = questions("in.pcap", 1);
  const std::string port = "p=pcap:" + in;
  const std::vector<std::pair<Words, const char*>> wrong = {
      {{"--port", port, "-i", "eth0"}, "clocks of their own"},
      {{"--port", port, "--port", "q=eth0"}, "clocks of their own"},
      {{"--port", "p=pcap:"}, "NAME=pcap:IN"},
      {{"--port", port + ","}, "NAME=pcap:IN"},
      {{"--port", port + "," + in}, "written over while it is read"},
      {{"--port", port, "--queues", "0,1"}, "how many"},
      {{"--port", port, "--linger", "soon"}, "60s"},
      {{"--port", port, "--linger", "-1s"}, "60s"},
      {{"--port", port, "--mode", "copy"}, "for interfaces"},
      {{"--port", port, "--cpus", "0"}, "for interfaces"},
      {{"--port", port, "--port", port}, "Two ports have that name"},
      {{"--port", port, "--port", "q=pcap:" + in, "--expect", in}, "NAME=FILE"},
      {{"-i", "eth0", "--linger", "1s"}, "for captures"},
      {{"-i", "eth0", "--expect", in}, "for captures"},
  };
  for (const auto& [flags, sentence] : wrong) {
    const Ended ended = run(flags);
    EXPECT_EQ(ended.code, 2) << flags.back();
    EXPECT_THAT(ended.err, HasSubstr(sentence));
    EXPECT_EQ(std::ranges::count(ended.err, '\n'), 1) << ended.err;
  }
  EXPECT_EQ(folder_.read("in.pcap").size(), 24u + 16u + 42u)
      << "the input was written over";
}

TEST_F(RunTest, ACaptureThatCanNotBeReadEndsWithOne) {
  for (const std::string& name : {path("nothing"), std::string("/dev/null")}) {
    const Ended ended = run({"--port", "p=pcap:" + name});
    EXPECT_EQ(ended.code, 1);
    EXPECT_THAT(ended.err, HasSubstr(name));
  }
  questions("in.pcap", 5);
  EXPECT_EQ(run({"--handler", "reflect", "--port",
                 "p=pcap:" + path("in.pcap") + ",/dev/full"})
                .code,
            1);
}

// The most that a process ever had, in MiB.
long peak_memory(int pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;) {
    long kilobytes = 0;
    if (word == "VmHWM:" && status >> kilobytes) return kilobytes / 1024;
  }
  ADD_FAILURE() << "the process is gone";
  return 0;
}

// Through a pipe, 200 MB of packets in far less memory.
TEST_F(RunTest, MemoryDoesNotGrowWithTheFile) {
  constexpr int kChunks = 200;
  CaptureBytes chunk(false);
  for (std::uint16_t i = 0; i < 1000; ++i) {
    chunk.record(kStart, i, question(i, 958));
  }
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  auto process = Process::start({SLUICE_PROGRAM, "run", "--interval", "0",
                                 "--json", "--port", "p=pcap:" + path("pipe")});
  ASSERT_TRUE(process);
  std::ofstream pipe(path("pipe"), std::ios::binary);
  const auto put = [&](const Bytes& bytes) {
    pipe.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  };
  put(CaptureBytes::pcap(false).bytes);
  for (int i = 0; i < kChunks; ++i) put(chunk.bytes);
  pipe.flush();  // All but what the pipe holds has been read.
  // Sanitizers have memory of their own.
  EXPECT_LT(peak_memory(process->pid()), kCheckFrames ? 100 : 20) << "MiB";
  pipe.close();
  EXPECT_EQ(process->wait(60s), 0) << process->err();
  EXPECT_THAT(process->out(), HasSubstr("\"rx_packets\":200000,"));
}

TEST_F(RunTest, ASignalEndsAReadThatWaits) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  auto process = Process::start({SLUICE_PROGRAM, "run", "--json", "--interval",
                                 "0", "--handler", "reflect", "--port",
                                 "p=pcap:" + path("pipe") + "," + path("out")});
  ASSERT_TRUE(process);
  std::ofstream pipe(path("pipe"), std::ios::binary);
  const Bytes some = CaptureBytes::pcap(false)
                         .record(kStart, 0, question(1))
                         .record(kStart, 1, question(2))
                         .bytes;
  pipe.write(reinterpret_cast<const char*>(some.data()),
             static_cast<std::streamsize>(some.size()));
  pipe.flush();
  ASSERT_TRUE(process->wait_for("started", 10s)) << process->err();
  process->signal(SIGINT);
  EXPECT_EQ(process->wait(10s), 0) << process->err();
  EXPECT_THAT(process->out(), HasSubstr("\"reason\":\"SIGINT\""));
}

// Prints what it took: half a second of a processor was the goal.
TEST_F(RunTest, AMillionPacketsGoThrough) {
  {
    auto writer = PcapWriter::open(path("in.pcap"));
    ASSERT_TRUE(writer) << writer.error().message();
    std::vector<Bytes> some;
    for (std::uint16_t i = 0; i < 1000; ++i) some.push_back(question(i, 18));
    for (std::uint32_t i = 0; i < 1'000'000; ++i) {
      writer->write(Time{i * 1000ull}, some[i % 1000]);
    }
    ASSERT_TRUE(writer->close());
  }
  const auto processor_time = [] {
    rusage usage{};
    EXPECT_EQ(::getrusage(RUSAGE_CHILDREN, &usage), 0);
    const auto of = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) +
             static_cast<double>(time.tv_usec) / 1e6;
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
  };
  const double before = processor_time();
  const auto begin = std::chrono::steady_clock::now();
  const Ended ended = run({"--handler", "reflect", "--port",
                           "p=pcap:" + path("in.pcap") + "," + path("out")});
  const std::chrono::duration<double> wall =
      std::chrono::steady_clock::now() - begin;
  const double spent = processor_time() - before;
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.line("files").at("sent"), 1'000'000u);
  std::printf("1000000 packets: %.2f s, %.2f s of a processor\n", wall.count(),
              spent);
}

}  // namespace
}  // namespace sluice::testing
