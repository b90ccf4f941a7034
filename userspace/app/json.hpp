// SPDX-License-Identifier: Apache-2.0
// JSON as the commands print it: one object a line, with its type and the
// version of its fields. Private to the app wing.
#pragma once

#include <nlohmann/json.hpp>
#include <sluice/metadata.hpp>
#include <sluice/stats.hpp>
#include <string>

namespace sluice::app {

using Json = nlohmann::ordered_json;

/// An object of this type, and the schema's version, to be filled in.
[[nodiscard]] Json line(const char* type);

/// One line. JSON is UTF-8; other bytes, as labels may have, are replaced.
[[nodiscard]] std::string dumped(const Json& json);

[[nodiscard]] Json of(const Count& count);
[[nodiscard]] Json of(const VerdictCounts& counts);
/// But for the time, whose clock is told elsewhere.
[[nodiscard]] Json of(RxHints hints);
/// An interface, with its verdicts and what each rule has counted.
[[nodiscard]] Json of(const PortStats& port);

}  // namespace sluice::app
