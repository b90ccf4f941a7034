// SPDX-License-Identifier: Apache-2.0
#include <net/if.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <sluice/socket.hpp>

namespace sluice {
namespace {

std::string described(const SocketOptions& options) {
  return options.interface + " queue " + std::to_string(options.queue);
}

// One ring: its size is set, then it is mapped. `page` is its mmap offset.
template <class T>
Result<Mapping> make_ring(int fd, int option, std::uint32_t size, long page,
                          const xdp_ring_offset& at, const char* name,
                          RingMemory<T>& ring) {
  if (::setsockopt(fd, SOL_XDP, option, &size, sizeof size) != 0) {
    return Error::last("setsockopt(XDP ring size)",
                       std::string(name) + " " + std::to_string(size));
  }
  auto mapping = Mapping::shared(fd, at.desc + size * sizeof(T), page, name);
  if (!mapping) return mapping.error();
  std::byte* base = mapping->bytes().data();
  ring.producer = reinterpret_cast<std::uint32_t*>(base + at.producer);
  ring.consumer = reinterpret_cast<std::uint32_t*>(base + at.consumer);
  ring.flags = reinterpret_cast<std::uint32_t*>(base + at.flags);
  ring.slots = {reinterpret_cast<T*>(base + at.desc), size};
  return mapping;
}

// What a refused bind means, where the errno alone does not tell.
std::string bind_advice(int error, const SocketOptions& options) {
  switch (error) {
    case EBUSY:
      return "Another AF_XDP socket has this queue; end its program first.";
    case EINVAL:
      return options.zero_copy
                 ? "The device has no memory access that zero-copy needs, or "
                   "the interface has no such queue."
                 : "The interface has no such queue, or its MTU does not fit "
                   "into a frame.";
    case EOPNOTSUPP:
    case ENOENT:
      return options.zero_copy ? "The driver has no zero-copy for this queue."
                               : "";
    case ENODEV:
      return "There is no such interface.";
    case ENETDOWN:
      return "Set the interface up: ip link set " + options.interface + " up.";
    default:
      return "";
  }
}

}  // namespace

Socket::~Socket() = default;  // Members go in reverse: maps, then the socket.

Result<Socket> Socket::open(const SocketOptions& options, const Umem& umem) {
  if (!std::has_single_bit(options.ring_size)) {
    return Error{EINVAL, "ring size", std::to_string(options.ring_size),
                 "It must be a power of two."};
  }
  Socket socket;
  socket.fd_ = Fd(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!socket.fd_) {
    const int error = errno;
    return Error{error, "socket(AF_XDP)", described(options),
                 error == EPERM ? "Run as root, or with CAP_NET_RAW."
                 : error == EAFNOSUPPORT
                     ? "This kernel was built without CONFIG_XDP_SOCKETS."
                     : ""};
  }
  if (auto made = socket.make_rings(options, umem); !made) return made.error();

  ProducerRing<std::uint64_t> fill(socket.rings_.fill);
  socket.lent_ = options.ring_size;
  for (std::uint32_t i = 0; i < socket.lent_; ++i) {
    fill[i] =
        options.first_frame + static_cast<std::uint64_t>(i) * umem.frame_size();
  }
  fill.submit(socket.lent_);

  if (auto bound = socket.bind(options); !bound) return bound.error();
  if (auto read = socket.read_back(options); !read) return read.error();
  return socket;
}

Result<void> Socket::make_rings(const SocketOptions& options,
                                const Umem& umem) {
  const int fd = fd_.get();
  xdp_umem_reg registration{};
  registration.addr = reinterpret_cast<std::uint64_t>(umem.bytes().data());
  registration.len = umem.bytes().size();
  registration.chunk_size = umem.frame_size();
  if (::setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &registration,
                   sizeof registration) != 0) {
    const int error = errno;
    return Error{error, "setsockopt(XDP_UMEM_REG)",
                 described(options) + ", " +
                     std::to_string(registration.len >> 10) + " KiB",
                 error == ENOBUFS
                     ? "The memory may not be locked: grant CAP_IPC_LOCK or "
                       "raise `ulimit -l`, or lower --frames-per-queue."
                     : ""};
  }
  // Before the offsets are asked for, no ring is there; their layout is fixed.
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof offsets;
  if (::getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0) {
    return Error::last("getsockopt(XDP_MMAP_OFFSETS)", described(options));
  }
  auto fill = make_ring(fd, XDP_UMEM_FILL_RING, 2 * options.ring_size,
                        static_cast<long>(XDP_UMEM_PGOFF_FILL_RING), offsets.fr,
                        "FILL", rings_.fill);
  if (!fill) return fill.error();
  fill_map_ = std::move(*fill);
  auto completion = make_ring(fd, XDP_UMEM_COMPLETION_RING, options.ring_size,
                              static_cast<long>(XDP_UMEM_PGOFF_COMPLETION_RING),
                              offsets.cr, "COMPLETION", rings_.completion);
  if (!completion) return completion.error();
  completion_map_ = std::move(*completion);
  auto rx = make_ring(fd, XDP_RX_RING, options.ring_size, XDP_PGOFF_RX_RING,
                      offsets.rx, "RX", rings_.rx);
  if (!rx) return rx.error();
  rx_map_ = std::move(*rx);
  auto tx = make_ring(fd, XDP_TX_RING, options.ring_size, XDP_PGOFF_TX_RING,
                      offsets.tx, "TX", rings_.tx);
  if (!tx) return tx.error();
  tx_map_ = std::move(*tx);
  return {};
}

// A pool is torn down behind the back of close(2): after a restart the queue
// may be busy for some time (36 to 90 ms were seen).
Result<void> Socket::bind(const SocketOptions& options) {
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = ::if_nametoindex(options.interface.c_str());
  address.sxdp_queue_id = options.queue;
  address.sxdp_flags = static_cast<std::uint16_t>(
      (options.zero_copy ? XDP_ZEROCOPY : XDP_COPY) | XDP_USE_NEED_WAKEUP |
      (options.multi_buffer ? XDP_USE_SG : 0));
  if (address.sxdp_ifindex == 0) {
    return Error::last("interface", options.interface,
                       "`ip link` shows what there is.");
  }
  constexpr int kTries = 50;
  for (int attempt = 1;; ++attempt) {
    if (::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address),
               sizeof address) == 0) {
      return {};
    }
    const int error = errno;
    if (error != EBUSY || attempt == kTries) {
      return Error{error, "bind(AF_XDP)", described(options),
                   bind_advice(error, options)};
    }
    const timespec pause{0, 20'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

Result<void> Socket::read_back(const SocketOptions& options) {
  xdp_options granted{};
  socklen_t length = sizeof granted;
  if (::getsockopt(fd_.get(), SOL_XDP, XDP_OPTIONS, &granted, &length) != 0) {
    return Error::last("getsockopt(XDP_OPTIONS)", described(options));
  }
  zero_copy_ = (granted.flags & XDP_OPTIONS_ZEROCOPY) != 0;
  if (!zero_copy_ && options.tx_budget > 0) {
    const std::uint32_t budget = std::min(options.tx_budget, options.ring_size);
    if (::setsockopt(fd_.get(), SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget,
                     sizeof budget) == 0) {
      tx_budget_ = budget;
    }
  }
  // Some drivers bind and then refuse to send: told now, not at the first
  // packet. An interface that is down is no such case.
  if (::sendto(fd_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) != 0 &&
      errno != EAGAIN && errno != EBUSY && errno != ENOBUFS &&
      errno != ENETDOWN) {
    return Error::last("sendto(AF_XDP)", described(options),
                       "The driver bound the queue, but can't send on it.");
  }
  return {};
}

Result<SocketStatistics> Socket::statistics() const {
  xdp_statistics raw{};
  socklen_t length = sizeof raw;
  if (::getsockopt(fd_.get(), SOL_XDP, XDP_STATISTICS, &raw, &length) != 0) {
    return Error::last("getsockopt(XDP_STATISTICS)");
  }
  return SocketStatistics{
      raw.rx_dropped,   raw.rx_invalid_descs,         raw.tx_invalid_descs,
      raw.rx_ring_full, raw.rx_fill_ring_empty_descs, raw.tx_ring_empty_descs};
}

}  // namespace sluice
