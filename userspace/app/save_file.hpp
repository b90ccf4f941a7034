// SPDX-License-Identifier: Apache-2.0
// A file that is written as a whole or not at all. Private to the app wing.
#pragma once

#include <sluice/result.hpp>
#include <string>
#include <string_view>

namespace sluice::app {

/// Puts a file into the place of `path`, with the mode that one had; nobody
/// sees half of it. System calls: open(2), fsync(2), rename(2).
Result<void> save_file(const std::string& path, std::string_view text);

}  // namespace sluice::app
