// SPDX-License-Identifier: Apache-2.0
// The whole library, for those who embed an engine. A handler's own program
// needs <sluice/app.hpp> alone.
#pragma once

#include <sluice/engine.hpp>
#include <sluice/headers.hpp>
#include <sluice/parse.hpp>
