// SPDX-License-Identifier: Apache-2.0
// `sluice doctor`: what is wrong with the host, told and mended. Private to the
// app wing.
#pragma once

#include <string>

#include "flags.hpp"

namespace CLI {
class App;
}

namespace sluice::app {

struct DoctorFlags {
  RunFlags run;     // What a run would be told.
  std::string fix;  // Findings, with commas; "wrong": what is.
  bool restore = false;
};

/// Names its flags; `app` keeps references into `flags`.
void add_doctor_flags(CLI::App& app, DoctorFlags& flags);

/// 0: nothing is wrong; 1: something is; 2: usage.
int doctor_command(const DoctorFlags& flags);

}  // namespace sluice::app
