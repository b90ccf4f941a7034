// SPDX-License-Identifier: Apache-2.0
// A test of a handler: packets go in, packets come out. No root, no NIC.
#include <gtest/gtest.h>

#include <chrono>
#include <sluice/services/reflect.hpp>
#include <sluice/testing/replay.hpp>

using namespace sluice::testing;
using namespace std::chrono_literals;
using sluice::services::Reflect;

TEST(Reflect, SendsDatagramsBackAndDropsWhatItDoesNotKnow) {
  const auto question = Frame().eth(kMacA, kMacB).ipv4("10.0.0.1", "10.0.0.2");
  const auto answer = Frame().eth(kMacB, kMacA).ipv4("10.0.0.2", "10.0.0.1");

  const auto run = replay<Reflect>(
      {{Frame(question).udp(4000, 53).payload("hello"), 0ms},
       {Frame(question).protocol(99).payload("what is this?"), 5ms}});

  ASSERT_TRUE(run) << run.error().message();
  ASSERT_EQ(run->sent.size(), 1u);
  EXPECT_EQ(run->sent[0].bytes,
            Frame(answer).udp(53, 4000).payload("hello").bytes());
  EXPECT_EQ(run->dropped, 1u);
  EXPECT_EQ(run->counter("reflected"), 1);
}
