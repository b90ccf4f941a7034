// SPDX-License-Identifier: Apache-2.0
// Each trait of the simulated kernel has a scenario of its own.
#include <gtest/gtest.h>

#include <sluice/testing/sim_faults.hpp>
#include <string>

namespace sluice::testing {
namespace {

struct Named {
  SimTrait trait;
  const char* scenario;
};

// In the order of the traits. "Sim/": shown on veth, too.
constexpr Named kNamed[] = {
    {SimTrait::kick_budget,
     "Sim/LongRings.AKickTakes32DescriptorsAndSaysAgain/0"},
    {SimTrait::kick_enetdown,
     "Sim/KernelTraits.ALinkThatIsDownRefusesAllAndIsAnEvent/0"},
    {SimTrait::kick_enxio,
     "Sim/KernelTraits.ASocketWithoutADeviceTakesNothing/0"},
    {SimTrait::kick_enobufs, "Each/SimKickError.TakesNothing/0"},
    {SimTrait::kick_eintr, "Each/SimKickError.TakesNothing/1"},
    {SimTrait::kick_eagain,
     "Sim/KernelTraits.AKickMaySayAgainAndTakeNothing/0"},
    {SimTrait::tx_refused,
     "Sim/KernelTraits."
     "WithoutACarrierPacketsAreTakenAndLostAndThatIsBusy/0"},
    {SimTrait::tx_invalid,
     "Sim/KernelTraits."
     "InvalidDescriptorsAreConsumedCountedAndComeBack/0"},
    {SimTrait::tx_behind_invalid,
     "Sim/KernelTraits."
     "AKickStopsBehindAnInvalidDescriptorAndSaysNothing/0"},
    {SimTrait::tx_oversized, "Sim/MultiBuffer.ALongerChainIsDroppedToItsEnd/0"},
    {SimTrait::tx_chain,
     "Sim/MultiBuffer.AChainIsSentAsOnePacketEvenIfTwoKicksTakeIt/0"},
    {SimTrait::tx_driver_dry,
     "ZeroCopy.TheDriverTakesFromTxUntilItIsEmptyThenAsks"},
    {SimTrait::tx_stuck, "SimTraits.AQueueMayGetStuckByItself"},
    {SimTrait::completion_blocked,
     "Sim/ShortRings.AFullCompletionRingBlocksTx/0"},
    {SimTrait::completion_late,
     "Sim/KernelTraits.AHeldFrameComesBackBehindOneSentLater/0"},
    {SimTrait::completion_swapped,
     "Sim/KernelTraits.AHeldFrameComesBackBehindOneSentLater/0"},
    {SimTrait::rx_fill_empty,
     "Sim/KernelTraits.WithoutFramesInFillPacketsAreLostAndCounted/0"},
    {SimTrait::rx_ring_full,
     "Sim/ShortRings.WithoutRoomInRxPacketsAreLostAndTheFrameStays/0"},
    {SimTrait::rx_too_large, "Sim/KernelTraits.WithoutSgALargePacketIsLost/0"},
    {SimTrait::rx_link_down,
     "Sim/KernelTraits.ALinkThatIsDownRefusesAllAndIsAnEvent/0"},
    {SimTrait::rx_driver_dry,
     "ZeroCopy.ADriverWithoutFramesSleepsUntilItIsWoken"},
    {SimTrait::rx_chain, "Sim/MultiBuffer.ALargePacketComesAsAChain/0"},
    {SimTrait::rx_chain_split, "SimMultiBuffer.TheEndOfAChainMayComeLater"},
    {SimTrait::rx_chain_cut, "SimMultiBuffer.ADescriptorOfAChainMayBeBad"},
    {SimTrait::rx_chain_overlong,
     "Sim/MultiBuffer.AChainMayBeLongerThanOneThatCanBeSent/0"},
    {SimTrait::fill_invalid,
     "Sim/KernelTraits.WhatNamesNoFrameInFillIsPassedOverAndNobodyIsTold/0"},
    {SimTrait::link_down,
     "Sim/KernelTraits.ALinkThatIsDownRefusesAllAndIsAnEvent/0"},
    {SimTrait::link_up,
     "Sim/KernelTraits.ALinkThatIsDownRefusesAllAndIsAnEvent/0"},
    {SimTrait::port_lost,
     "SimCoreTest.AnInterfaceThatIsDeletedAndMadeAgainIsBoundAgain"},
    {SimTrait::port_rebound,
     "SimCoreTest.AnInterfaceThatIsDeletedAndMadeAgainIsBoundAgain"},
    {SimTrait::tx_cut_off,
     "SimCoreTest.AnInterfaceThatIsDeletedAndMadeAgainIsBoundAgain"},
    {SimTrait::wake_spurious, "SimTraits.SleepMayEndForNoReason"},
    {SimTrait::wake_missed, "SimTraits.SleepDoesNotEndForPacketsThatWereThere"},
    {SimTrait::index_wrapped, "LateIndices.GoPast2To32"},
};
static_assert(std::size(kNamed) == kSimTraits);

bool exists(const std::string& name) {
  const auto& program = *::testing::UnitTest::GetInstance();
  for (int i = 0; i < program.total_test_suite_count(); ++i) {
    const auto& suite = *program.GetTestSuite(i);
    for (int j = 0; j < suite.total_test_count(); ++j) {
      const std::string each = suite.GetTestInfo(j)->name();
      if (std::string(suite.name()) + "." + each == name) return true;
    }
  }
  return false;
}

TEST(TraitNamedTest, EachTraitHasAScenario) {
  for (std::size_t i = 0; i < kSimTraits; ++i) {
    EXPECT_EQ(kNamed[i].trait, static_cast<SimTrait>(i)) << "out of order";
    EXPECT_TRUE(exists(kNamed[i].scenario))
        << name_of(kNamed[i].trait) << " has no " << kNamed[i].scenario;
  }
}

}  // namespace
}  // namespace sluice::testing
