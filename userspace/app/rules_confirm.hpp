// SPDX-License-Identifier: Apache-2.0
// `rules load --confirm`: a list that goes again unless somebody says that it
// may stay. Private to the app wing.
#pragma once

#include <string>

#include "live_rules.hpp"

namespace sluice::app {

/// Puts the list into force and waits for a line on standard input. Without
/// one in time, and at a signal (SIGHUP: the terminal went away), the list
/// before comes back. The exit code: kOk if the new one stays.
int load_unless_unconfirmed(const std::string& interface,
                            const Proposal& proposal, Duration patience,
                            bool json);

}  // namespace sluice::app
