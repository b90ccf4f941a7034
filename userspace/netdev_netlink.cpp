// SPDX-License-Identifier: Apache-2.0
#include "netdev_netlink.hpp"

#include <linux/genetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <sluice/uapi.hpp>

namespace sluice::netlink {
namespace {

// The kernel's words of an error, if it has some.
std::string words_of(const nlmsghdr& header, std::span<const char> payload) {
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  // Behind the error stands the request, or its header alone.
  std::size_t at = sizeof(nlmsgerr);
  if ((header.nlmsg_flags & NLM_F_CAPPED) == 0 && payload.size() >= at) {
    nlmsgerr error;
    std::memcpy(&error, payload.data(), sizeof error);
    at += NLMSG_ALIGN(error.msg.nlmsg_len) - sizeof error.msg;
  }
  if (at > payload.size()) return {};
  const auto words = find(payload.subspan(at), NLMSGERR_ATTR_MSG);
  return words ? words->text() : std::string();
}

}  // namespace

std::uint64_t Attribute::number() const noexcept {
  if (value.size() == 1) return static_cast<std::uint8_t>(value[0]);
  const auto as = [this]<class T>(T number) -> std::uint64_t {
    std::memcpy(&number, value.data(), sizeof number);
    return number;
  };
  if (value.size() == 2) return as(std::uint16_t{});
  if (value.size() == 4) return as(std::uint32_t{});
  if (value.size() == 8) return as(std::uint64_t{});
  return 0;
}

std::string Attribute::text() const {
  return {value.data(), ::strnlen(value.data(), value.size())};
}

std::vector<Attribute> attributes(std::span<const char> bytes) {
  std::vector<Attribute> all;
  while (bytes.size() >= sizeof(nlattr)) {
    nlattr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > bytes.size()) break;
    all.push_back(
        {static_cast<std::uint16_t>(header.nla_type & NLA_TYPE_MASK),
         bytes.subspan(sizeof header, header.nla_len - sizeof header)});
    const std::size_t next = NLA_ALIGN(header.nla_len);
    if (next >= bytes.size()) break;
    bytes = bytes.subspan(next);
  }
  return all;
}

std::optional<Attribute> find(std::span<const char> bytes, std::uint16_t type) {
  for (const Attribute& each : attributes(bytes)) {
    if (each.type == type) return each;
  }
  return std::nullopt;
}

Request::Request(std::uint16_t type, std::uint16_t flags) {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  append(&header, sizeof header);
}

void Request::append(const void* bytes, std::size_t size) {
  const auto* first = static_cast<const char*>(bytes);
  bytes_.insert(bytes_.end(), first, first + size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

Request& Request::add(unsigned type, std::span<const char> value) {
  nlattr header{};
  header.nla_type = static_cast<std::uint16_t>(type);
  header.nla_len = static_cast<std::uint16_t>(sizeof header + value.size());
  append(&header, sizeof header);
  append(value.data(), value.size());
  return *this;
}

Request& Request::add(unsigned type, std::uint32_t number) {
  const auto* bytes = reinterpret_cast<const char*>(&number);
  return add(type, std::span(bytes, sizeof number));
}

Request& Request::add_byte(unsigned type, std::uint8_t number) {
  const auto* bytes = reinterpret_cast<const char*>(&number);
  return add(type, std::span(bytes, sizeof number));
}

Request& Request::add(unsigned type, const std::string& text) {
  return add(type, std::span(text.c_str(), text.size() + 1));
}

Request& Request::nest(unsigned type,
                       const std::function<void(Request&)>& inner) {
  const std::size_t at = bytes_.size();
  add(type | NLA_F_NESTED, std::span<const char>{});
  inner(*this);
  const auto size = static_cast<std::uint16_t>(bytes_.size() - at);
  std::memcpy(bytes_.data() + at + offsetof(nlattr, nla_len), &size,
              sizeof size);
  return *this;
}

std::span<const char> Request::bytes() {
  const auto size = static_cast<std::uint32_t>(bytes_.size());
  std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_len), &size,
              sizeof size);
  return bytes_;
}

std::optional<int> each_message(std::span<const char> datagram,
                                const Message& message, std::string* said) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, datagram.data(), sizeof header);
    if (header.nlmsg_len < sizeof header ||
        header.nlmsg_len > datagram.size()) {
      break;
    }
    const auto payload =
        datagram.subspan(sizeof header, header.nlmsg_len - sizeof header);
    if (header.nlmsg_type == NLMSG_DONE) return 0;
    if (header.nlmsg_type == NLMSG_ERROR) {
      int error = -EBADMSG;
      if (payload.size() >= sizeof error) {
        std::memcpy(&error, payload.data(), sizeof error);
      }
      if (said != nullptr) *said = words_of(header, payload);
      return -error;
    }
    message(header, payload);
    const std::size_t next = NLMSG_ALIGN(header.nlmsg_len);
    if (next >= datagram.size()) break;
    datagram = datagram.subspan(next);
  }
  return std::nullopt;
}

Result<Talk> Talk::open(int protocol) {
  Talk talk;
  talk.fd_ = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!talk.fd_) return Error::last("socket(AF_NETLINK)");
  constexpr int kOn = 1;  // An old kernel says a number and no words.
  (void)::setsockopt(talk.fd_.get(), SOL_NETLINK, NETLINK_EXT_ACK, &kOn,
                     sizeof kOn);
  return talk;
}

Result<void> Talk::ask(Request& request, const char* call,
                       const std::string& arguments, const Message& message) {
  const auto bytes = request.bytes();
  if (::send(fd_.get(), bytes.data(), bytes.size(), 0) < 0) {
    return Error::last(call, arguments);
  }
  std::vector<char> datagram(65536);
  while (true) {
    const auto size = ::recv(fd_.get(), datagram.data(), datagram.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error::last(call, arguments);
    std::string said;
    const auto end = each_message(
        {datagram.data(), static_cast<std::size_t>(size)},
        [&](const nlmsghdr& header, std::span<const char> payload) {
          if (message) message(header, payload);
        },
        &said);
    if (!end) continue;
    if (*end == 0) return {};
    if (!said.empty()) said = "The kernel says: " + said;
    return Error{*end, call, arguments, said};
  }
}

Result<Family> Family::open(const char* name) {
  auto talk = Talk::open(NETLINK_GENERIC);
  if (!talk) return talk.error();
  Family family;
  family.talk_ = std::move(*talk);
  family.id_ = GENL_ID_CTRL;
  auto found = family.ask(
      CTRL_CMD_GETFAMILY, "genetlink(CTRL_CMD_GETFAMILY)", name,
      [&](Request& request) {
        request.add(CTRL_ATTR_FAMILY_NAME, std::string(name));
      },
      [&](std::span<const char> answer) {
        const auto id = find(answer, CTRL_ATTR_FAMILY_ID);
        if (id) family.id_ = static_cast<std::uint16_t>(id->number());
      });
  if (!found) return found.error();
  return family;
}

Result<void> Family::ask(
    std::uint8_t command, const char* call, const std::string& arguments,
    const std::function<void(Request&)>& fill,
    const std::function<void(std::span<const char>)>& answer, bool dump) {
  // A dump ends by itself, anything else with the acknowledgement.
  Request request(id_, dump ? NLM_F_DUMP : NLM_F_ACK);
  genlmsghdr header{};
  header.cmd = command;
  header.version = 1;
  request.header(header);
  if (fill) fill(request);
  return talk_.ask(request, call, arguments,
                   [&](const nlmsghdr&, std::span<const char> payload) {
                     if (answer && payload.size() >= sizeof header) {
                       answer(payload.subspan(sizeof header));
                     }
                   });
}

std::optional<std::uint64_t> told_of_device(int ifindex,
                                            std::uint16_t attribute) {
  auto family = Family::open("netdev");
  if (!family) return {};
  std::optional<std::uint64_t> number;
  (void)family->ask(
      netdev_family::kDevGet, "netdev(DEV_GET)", std::to_string(ifindex),
      [&](Request& request) {
        request.add(netdev_family::kDevIfindex,
                    static_cast<std::uint32_t>(ifindex));
      },
      [&](std::span<const char> answer) {
        if (const auto found = find(answer, attribute)) {
          number = found->number();
        }
      });
  return number;
}

}  // namespace sluice::netlink
