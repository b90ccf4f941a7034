// SPDX-License-Identifier: Apache-2.0
// What is told of an interface in a network namespace that /sys does not show.
#include <filesystem>
#include <sluice/host.hpp>

#include "veth_test.hpp"

namespace sluice::testing {
namespace {

using HostTest = VethTest;

// As eth0 of a container whose /sys has the machine's.
TEST_F(HostTest, ANicThatOnlyHasTheSameNameIsNotAsked) {
  std::string name = mine().interface;
  for (const auto& nic :
       std::filesystem::directory_iterator("/sys/class/net")) {
    const std::string next = nic.path().filename();
    if (next == "lo") continue;
    SCOPED_TRACE(next);
    const std::string set = "link set dev " + name;
    ASSERT_TRUE(lab().ip(Side::a, set + " down"));
    ASSERT_TRUE(lab().ip(Side::a, set + " name " + next));
    name = next;
    ASSERT_TRUE(lab().ip(Side::a, "link set dev " + name + " up"));
    const auto facts =
        lab().in(Side::a, [&] { return InterfaceFacts::read(name); });
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->kind, "veth");
    EXPECT_TRUE(facts->interrupts.empty());
    EXPECT_EQ(facts->node, -1);
    EXPECT_FALSE(facts->virtual_function);
  }
}

}  // namespace
}  // namespace sluice::testing
