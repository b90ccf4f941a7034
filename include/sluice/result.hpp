// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value, or the Error that explains why there is none.
//
// Names follow std::expected, so that this file can shrink to two aliases once
// every supported compiler ships <expected>. Set-up and control use it; the
// packet path counts and never makes an Error.
#pragma once

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace sluice {

/// A failed operation, told so that a person can act on it. Cold: it allocates.
struct Error {
  int code = 0;                ///< errno value, > 0.
  const char* call = "";       ///< Literal: "bind(AF_XDP)", "rule", "--cpus".
  std::string arguments = {};  ///< What it was called with: "veth0 queue 3".
  std::string advice = {};     ///< One sentence with the remedy, or empty.

  /// Error for the current errno. Call before anything can overwrite errno.
  [[nodiscard]] static Error last(const char* call, std::string arguments = {},
                                  std::string advice = {});

  /// "bind(AF_XDP) veth0 queue 3: Device or resource busy. ADVICE"
  [[nodiscard]] std::string message() const;
};

/// "EBUSY" for 16; "errno 4711" for what has no name.
[[nodiscard]] std::string errno_name(int code);

/// Holds a T or an Error. Test before use: `if (!result) return
/// result.error()`.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {
    assert(this->error().code > 0);
  }

  [[nodiscard]] explicit operator bool() const noexcept {
    return state_.index() == 0;
  }

  /// REQUIRES: *this holds a value.
  [[nodiscard]] T& operator*() & noexcept { return value(); }
  [[nodiscard]] const T& operator*() const& noexcept { return value(); }
  [[nodiscard]] T&& operator*() && noexcept { return std::move(value()); }
  [[nodiscard]] T* operator->() noexcept { return &value(); }
  [[nodiscard]] const T* operator->() const noexcept { return &value(); }

  /// REQUIRES: *this holds an error.
  [[nodiscard]] const Error& error() const noexcept {
    const Error* error = std::get_if<1>(&state_);
    assert(error != nullptr);
    return *error;
  }

 private:
  T& value() noexcept {
    T* value = std::get_if<0>(&state_);
    assert(value != nullptr);
    return *value;
  }
  const T& value() const noexcept {
    const T* value = std::get_if<0>(&state_);
    assert(value != nullptr);
    return *value;
  }

  std::variant<T, Error> state_;
};

/// Success, or an Error. `return {};` is success.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) { assert(error_.code > 0); }

  [[nodiscard]] explicit operator bool() const noexcept {
    return error_.code == 0;
  }
  /// REQUIRES: *this holds an error.
  [[nodiscard]] const Error& error() const noexcept {
    assert(error_.code > 0);
    return error_;
  }

 private:
  Error error_;
};

}  // namespace sluice
