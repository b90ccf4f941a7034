// SPDX-License-Identifier: Apache-2.0
// What runs out: descriptors, lockable memory, memory. Each ends in a sentence,
// and leaves nothing.
#include "veth_test.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLUICE_SANITIZED
#endif
#endif

namespace sluice::testing {
namespace {

class ExhaustionTest : public VethTest {
 protected:
  // `sluice run` behind a shell that takes something away first.
  void expect_refused(const std::string& before, const std::string& flags,
                      const Words& said) {
    Process process = spawn(
        Side::a, {"bash", "-c",
                  before + " " SLUICE_PROGRAM " run -i " + mine().interface +
                      " --steer 'udp and dst port 7' " + flags});
    EXPECT_EQ(process.wait(60s), 1) << process.out() << process.err();
    for (const std::string& each : said) {
      EXPECT_NE(process.err().find(each), std::string::npos)
          << "\"" << each << "\" is not in: " << process.err();
    }
    expect_nothing_left();
  }
};

TEST_F(ExhaustionTest, OfLockableMemoryIsSaidWithTheRemedy) {
  expect_refused(
      "ulimit -l 64; exec setpriv --bounding-set -ipc_lock "
      "--inh-caps -ipc_lock",
      "", {"CAP_IPC_LOCK", "ulimit -l"});
}

// Sanitizers need descriptors and address space themselves.
#if !defined(SLUICE_SANITIZED)

TEST_F(ExhaustionTest, OfDescriptorsIsSaid) {
  for (const int limit : {6, 12, 18}) {
    SCOPED_TRACE(limit);
    expect_refused("ulimit -n " + std::to_string(limit) + "; exec", "",
                   {"sluice: ", "Too many open files"});
  }
}

TEST_F(ExhaustionTest, OfAddressSpaceForPacketMemoryIsSaid) {
  expect_refused("ulimit -v 4000000; exec",
                 "--frames-per-queue 4000000 --frame-size 4096",
                 {"sluice: ", "Cannot allocate memory"});
}

#endif

}  // namespace
}  // namespace sluice::testing
