// SPDX-License-Identifier: Apache-2.0
// RulesFile: the file of `run --rules`, read again on SIGHUP. Private to the
// app wing.
#pragma once

#include <sluice/engine.hpp>
#include <string>
#include <vector>

namespace sluice::app {

class RulesFile {
 public:
  /// `path` is empty where there is none; `rules`: what it was read as.
  RulesFile(std::string path, Rules rules)
      : path_(std::move(path)), rules_(std::move(rules)) {}

  /// Reads it and puts it into force on all ports; lines for people: what was
  /// changed from elsewhere meanwhile and is replaced, or why it is not.
  [[nodiscard]] std::vector<std::string> reload(Engine& engine);

 private:
  std::string path_;
  Rules rules_;
};

}  // namespace sluice::app
