// SPDX-License-Identifier: Apache-2.0
// DoctorSaid: what `sluice doctor --json` said.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <sluice/testing/process.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace sluice::testing {

struct DoctorSaid {
  int code = -1;
  std::vector<nlohmann::json> findings;
  nlohmann::json ended;
  std::string err;

  /// Waits for the doctor to end.
  static DoctorSaid of(Process doctor) {
    DoctorSaid said;
    said.code = doctor.wait(std::chrono::seconds(60)).value_or(-1);
    said.err = doctor.err();
    std::istringstream lines(doctor.out());
    for (std::string line; std::getline(lines, line);) {
      auto json = nlohmann::json::parse(line, nullptr, false);
      const auto type = json.value("type", "");
      if (type == "finding") said.findings.push_back(json);
      if (type == "doctor") said.ended = json;
    }
    EXPECT_FALSE(said.ended.is_null()) << doctor.out() << doctor.err();
    return said;
  }

  /// The finding of that name, or null.
  [[nodiscard]] nlohmann::json find(const std::string& id) const {
    for (const auto& each : findings) {
      if (each.at("id") == id) return each;
    }
    return {};
  }
};

/// It has that finding, and it ended with the exit code for that.
inline void expect_found(const DoctorSaid& said, const char* id,
                         const char* severity) {
  const auto found = said.find(id);
  ASSERT_FALSE(found.is_null())
      << id << " is not in " << nlohmann::json(said.findings) << said.err;
  EXPECT_EQ(found.at("severity"), severity) << found;
  EXPECT_FALSE(found.at("sentence").get<std::string>().empty());
  ASSERT_FALSE(said.ended.is_null()) << said.err;
  EXPECT_EQ(said.code, said.ended.at("wrong") > 0 ? 1 : 0);
}

}  // namespace sluice::testing
