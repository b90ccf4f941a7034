// SPDX-License-Identifier: Apache-2.0
// What to tell a person whom the kernel refused a program.
#pragma once

#include <string>
#include <vector>

#include <sluice/program.hpp>

namespace sluice {

/// Whether this process has it, in its effective set: CAP_NET_RAW.
/// System call: capget(2).
[[nodiscard]] bool has_capability(unsigned capability);

/// Which of the capabilities for XDP this process has not got, by name.
[[nodiscard]] std::vector<std::string> missing_capabilities();

// Whether this process lacks a capability that loading and attaching take.
bool lacks_capabilities();

/// For EPERM: which capability is missing, or what else may forbid it.
[[nodiscard]] std::string permission_advice();

/// For errno `code` of attaching: who is there already, or the remedy. Empty if
/// nothing is known.
[[nodiscard]] std::string attach_advice(int code, int ifindex, AttachMode mode);

}  // namespace sluice
