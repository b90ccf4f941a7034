// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <cstring>
#include <sluice/result.hpp>

namespace sluice {

Error Error::last(const char* call, std::string arguments, std::string advice) {
  return {errno, call, std::move(arguments), std::move(advice)};
}

std::string Error::message() const {
  std::string text = call;
  if (!arguments.empty()) text += " " + arguments;
  text += ": ";
  text += strerrordesc_np(code) != nullptr ? strerrordesc_np(code)
                                           : errno_name(code).c_str();
  if (!advice.empty()) text += ". " + advice;
  return text;
}

std::string errno_name(int code) {
  const char* name = strerrorname_np(code);
  return name != nullptr ? name : "errno " + std::to_string(code);
}

}  // namespace sluice
