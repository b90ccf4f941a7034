// SPDX-License-Identifier: Apache-2.0
// What a driver offers to XDP programs, by the netdev family of generic
// netlink. Source: Documentation/netlink/specs/netdev.yaml of Linux 6.8.
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <optional>
#include <sluice/netdev.hpp>
#include <sluice/uapi.hpp>
#include <span>

namespace sluice {
namespace {

using Attributes = std::span<const std::byte>;

// The payload of an attribute; none: it is not there, or shorter.
template <class T>
std::optional<T> attribute(Attributes all, std::uint16_t wanted) {
  while (all.size() >= sizeof(nlattr)) {
    nlattr each;
    std::memcpy(&each, all.data(), sizeof each);
    if (each.nla_len < sizeof each || each.nla_len > all.size()) break;
    if ((each.nla_type & NLA_TYPE_MASK) == wanted &&
        each.nla_len >= NLA_HDRLEN + sizeof(T)) {
      T value;
      std::memcpy(&value, all.data() + NLA_HDRLEN, sizeof value);
      return value;
    }
    all =
        all.subspan(std::min<std::size_t>(NLA_ALIGN(each.nla_len), all.size()));
  }
  return {};
}

// One request with one attribute; what the kernel answers.
class Generic {
 public:
  Generic()
      : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC)) {}

  template <std::size_t kSize>
  Attributes ask(std::uint16_t family, std::uint8_t command, std::uint16_t type,
                 const std::array<char, kSize>& value) {
    struct {
      nlmsghdr header;
      genlmsghdr generic;
      nlattr attribute;
      std::array<char, NLA_ALIGN(kSize)> value;
    } request{};
    request.header = {sizeof request, family, NLM_F_REQUEST, 0, 0};
    request.generic = {command, 1, 0};
    request.attribute = {NLA_HDRLEN + kSize, type};
    std::memcpy(request.value.data(), value.data(), kSize);
    if (!fd_ || ::send(fd_.get(), &request, sizeof request, 0) < 0) return {};
    const auto size = ::recv(fd_.get(), bytes_.data(), bytes_.size(), 0);
    nlmsghdr answer;
    constexpr std::size_t kHeaders = NLMSG_HDRLEN + GENL_HDRLEN;
    if (size < static_cast<ssize_t>(kHeaders)) return {};
    std::memcpy(&answer, bytes_.data(), sizeof answer);
    if (answer.nlmsg_type != family) return {};  // It is an error.
    return Attributes(bytes_).subspan(
        kHeaders, static_cast<std::size_t>(size) - kHeaders);
  }

 private:
  Fd fd_;
  alignas(nlmsghdr) std::array<std::byte, 16384> bytes_{};
};

}  // namespace

bool has_hardware_time(int ifindex) {
  Generic netlink;
  const auto family = attribute<std::uint16_t>(
      netlink.ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME,
                  std::to_array("netdev")),
      CTRL_ATTR_FAMILY_ID);
  if (!family) return false;
  std::array<char, sizeof ifindex> index{};
  std::memcpy(index.data(), &ifindex, sizeof ifindex);
  const auto features = attribute<std::uint64_t>(
      netlink.ask(*family, uapi::kNetdevDevGet, uapi::kNetdevIfindex, index),
      uapi::kNetdevRxMetadata);
  return features && (*features & uapi::kNetdevRxTimestamp) != 0;
}

}  // namespace sluice
