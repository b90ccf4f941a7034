// SPDX-License-Identifier: Apache-2.0
// Netlink: requests with attributes, and the messages that answer them.
// Private to the library.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <sluice/result.hpp>
#include <sluice/sys.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::netlink {

/// One attribute of a message; its value lies in the message.
struct Attribute {
  std::uint16_t type = 0;  ///< Without the flags.
  std::span<const char> value;

  /// A number of the size that the attribute has: 1, 2, 4 or 8 bytes.
  [[nodiscard]] std::uint64_t number() const noexcept;
  /// Up to the first zero.
  [[nodiscard]] std::string text() const;
};

/// The attributes in `bytes`, one after another; what is cut off is left out.
[[nodiscard]] std::vector<Attribute> attributes(std::span<const char> bytes);
/// The first of that type.
[[nodiscard]] std::optional<Attribute> find(std::span<const char> bytes,
                                            std::uint16_t type);

/// A request as it is built: a header of the protocol, then attributes.
class Request {
 public:
  Request(std::uint16_t type, std::uint16_t flags);

  /// The protocol's own header: ifinfomsg, genlmsghdr.
  template <class T>
  Request& header(const T& header) {
    append(&header, sizeof header);
    return *this;
  }
  Request& add(unsigned type, std::span<const char> value);
  Request& add(unsigned type, std::uint32_t number);
  Request& add_byte(unsigned type, std::uint8_t number);
  /// With the zero at its end.
  Request& add(unsigned type, const std::string& text);
  /// What `inner` adds is inside this attribute.
  Request& nest(unsigned type, const std::function<void(Request&)>& inner);

  /// The message, its length written.
  [[nodiscard]] std::span<const char> bytes();

 private:
  void append(const void* bytes, std::size_t size);
  std::vector<char> bytes_;
};

/// A message that came: its header, and what follows.
using Message = std::function<void(const nlmsghdr&, std::span<const char>)>;

/// Calls `message` for each message of a datagram. Nothing: more may follow;
/// else the end of the answer: 0, or the error that the kernel told, > 0.
std::optional<int> each_message(std::span<const char> datagram,
                                const Message& message,
                                std::string* said = nullptr);

/// A netlink socket for requests. One thread at a time.
class Talk {
 public:
  /// NETLINK_ROUTE or NETLINK_GENERIC. System call: socket(AF_NETLINK).
  [[nodiscard]] static Result<Talk> open(int protocol);

  /// Sends, and reads the answer to its end. `call` names the request in
  /// errors, whose advice is what the kernel says beside the number.
  Result<void> ask(Request& request, const char* call,
                   const std::string& arguments, const Message& message = {});

 private:
  Fd fd_;
};

/// A family of generic netlink: "ethtool", "netdev".
class Family {
 public:
  /// ENOENT: the kernel has no such family.
  [[nodiscard]] static Result<Family> open(const char* name);

  /// Asks for `command`; the attributes of the answer follow its header.
  Result<void> ask(std::uint8_t command, const char* call,
                   const std::string& arguments,
                   const std::function<void(Request&)>& fill,
                   const std::function<void(std::span<const char>)>& answer,
                   bool dump = false);

 private:
  Talk talk_;
  std::uint16_t id_ = 0;
};

/// What the family "netdev" tells of an interface's driver: the number in an
/// attribute of DEV_GET. None: it does not tell, or the kernel has no such
/// family (Linux 6.3).
[[nodiscard]] std::optional<std::uint64_t> told_of_device(
    int ifindex, std::uint16_t attribute);

}  // namespace sluice::netlink
