// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <sluice/counter.hpp>
#include <thread>

namespace sluice {
namespace {

TEST(CounterTest, CountsUp) {
  Counter counter;
  EXPECT_EQ(counter.value(), 0U);
  ++counter;
  counter += 5;
  counter.add(10);
  EXPECT_EQ(counter.value(), 16U);
}

TEST(CounterTest, IsReadWholeByAnotherThread) {
  Counter counter;
  constexpr std::uint64_t kStep = 0x1'0000'0001;  // Both halves move at once.
  std::thread writer([&counter] {
    for (int i = 0; i < 100'000; ++i) counter += kStep;
  });
  std::uint64_t last = 0;
  while (last < 100'000 * kStep) {
    const std::uint64_t now = counter.value();
    ASSERT_EQ(now >> 32, now & 0xffff'ffff);
    ASSERT_GE(now, last);
    last = now;
  }
  writer.join();
}

TEST(GaugeTest, GoesUpAndDown) {
  Gauge gauge;
  gauge.set(3);
  gauge.add(-5);
  EXPECT_EQ(gauge.value(), -2);
}

TEST(HistogramTest, KeepsSmallValuesExactly) {
  Histogram histogram;
  for (std::uint64_t value = 0; value < 16; ++value) histogram.record(value);
  EXPECT_EQ(histogram.count(), 16U);
  EXPECT_EQ(histogram.quantile(0), 0U);
  EXPECT_EQ(histogram.quantile(0.5), 7U);
  EXPECT_EQ(histogram.quantile(1), 15U);
}

TEST(HistogramTest, IsRightToWithinAnEighth) {
  for (std::uint64_t value = 1; value < 1'000'000'000'000;
       value = value * 5 / 4 + 1) {
    Histogram histogram;
    histogram.record(value);
    const std::uint64_t told = histogram.quantile(0.5);
    EXPECT_LE(told, value);
    EXPECT_LE(value - told, value / 8) << value;
  }
}

TEST(HistogramTest, TakesTheGreatestValueThereIs) {
  Histogram histogram;
  histogram.record(std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(histogram.count(), 1U);
  EXPECT_EQ(histogram.quantile(1), 0xf000'0000'0000'0000U);
}

TEST(HistogramTest, WithoutValuesHasNoQuantiles) {
  EXPECT_EQ(Histogram().quantile(0.99), 0U);
}

}  // namespace
}  // namespace sluice
