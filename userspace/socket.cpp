// SPDX-License-Identifier: Apache-2.0
#include <net/if.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <sluice/socket.hpp>
#include <tuple>

namespace sluice {
namespace {

std::string described(const SocketOptions& options) {
  return options.interface + " queue " + std::to_string(options.queue);
}

// Maps one ring of `size` entries. `page` is its mmap offset.
template <class T>
Result<Mapping> map_ring(int fd, std::uint32_t size, long page,
                         const xdp_ring_offset& at, const char* name,
                         RingMemory<T>& ring) {
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
  if (error == EBUSY) {
    return "Another AF_XDP socket has this queue; end its program first.";
  }
  if (error == EINVAL) {
    return options.zero_copy
               ? "The device can't reach this host's memory by itself (a "
                 "virtio NIC without iommu_platform), or the interface has no "
                 "such queue."
               : "The interface has no such queue, or its MTU does not fit "
                 "into a frame.";
  }
  if (error == ENOENT && options.zero_copy) {
    return "The device can't stop one queue alone, which zero-copy needs (a "
           "virtio NIC without queue_reset).";
  }
  if (error == EOPNOTSUPP && options.zero_copy) {
    return "The driver has no zero-copy for this queue.";
  }
  if (error == ENODEV) {  // Since its name was looked up.
    return "The interface has gone; `ip link` shows what there is.";
  }
  if (error == ENETDOWN) {
    return "Set the interface up: ip link set " + options.interface + " up.";
  }
  return "";
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
  if (auto r = socket.register_umem(options, umem); !r) return r.error();
  if (auto r = socket.size_rings(options); !r) return r.error();
  if (auto r = socket.map_rings(options); !r) return r.error();

  socket.fill(options, umem.frame_size());
  if (auto r = socket.bind(options); !r) return r.error();
  if (auto r = socket.read_mode(options); !r) return r.error();
  if (auto r = socket.prove_tx(options); !r) return r.error();
  if (auto r = socket.prefer_busy_poll(options); !r) return r.error();
  return socket;
}

Result<Socket> Socket::adopt(Fd fd, const SocketOptions& options,
                             std::uint32_t lent) {
  Socket socket;
  socket.fd_ = std::move(fd);
  socket.lent_ = lent;
  if (auto r = socket.map_rings(options); !r) return r.error();
  if (auto r = socket.read_mode(options); !r) return r.error();
  return socket;
}

Result<void> Socket::register_umem(const SocketOptions& options,
                                   const Umem& umem) {
  UmemRegistration registration{};
  registration.addr = reinterpret_cast<std::uint64_t>(umem.bytes().data());
  registration.len = umem.bytes().size();
  registration.chunk_size = umem.frame_size();
  const auto try_it = [&] {
    return ::setsockopt(fd_.get(), SOL_XDP, XDP_UMEM_REG, &registration,
                        sizeof registration) == 0;
  };
  if (options.tx_metadata) {
    registration.flags = XDP_UMEM_TX_METADATA_LEN;
    registration.tx_metadata_len = sizeof(TxMetadata);
    tx_metadata_ = try_it();
    if (tx_metadata_) return {};
    registration.flags = registration.tx_metadata_len = 0;
  }
  if (try_it()) return {};
  const int error = errno;
  return Error{error, "setsockopt(XDP_UMEM_REG)",
               described(options) + ", " +
                   std::to_string(registration.len >> 10) + " KiB",
               error == ENOBUFS
                   ? "The memory may not be locked: grant CAP_IPC_LOCK or "
                     "raise `ulimit -l`, or lower --frames-per-queue."
                   : ""};
}

// FILL has twice what RX has, so that it never looks full while the kernel's
// index is on its way to us.
Result<void> Socket::size_rings(const SocketOptions& options) {
  const std::pair<int, std::uint32_t> sizes[] = {
      {XDP_UMEM_FILL_RING, 2 * options.ring_size},
      {XDP_UMEM_COMPLETION_RING, options.ring_size},
      {XDP_RX_RING, options.ring_size},
      {XDP_TX_RING, options.ring_size}};
  for (const auto& [option, size] : sizes) {
    if (::setsockopt(fd_.get(), SOL_XDP, option, &size, sizeof size) != 0) {
      return Error::last("setsockopt(XDP ring size)",
                         described(options) + ", " + std::to_string(size));
    }
  }
  return {};
}

Result<void> Socket::map_rings(const SocketOptions& options) {
  const int fd = fd_.get();
  const std::uint32_t size = options.ring_size;
  xdp_mmap_offsets at{};
  socklen_t length = sizeof at;
  if (::getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &length) != 0) {
    return Error::last("getsockopt(XDP_MMAP_OFFSETS)", described(options));
  }
  auto fill =
      map_ring(fd, 2 * size, static_cast<long>(XDP_UMEM_PGOFF_FILL_RING), at.fr,
               "FILL", rings_.fill);
  if (!fill) return fill.error();
  auto completion =
      map_ring(fd, size, static_cast<long>(XDP_UMEM_PGOFF_COMPLETION_RING),
               at.cr, "COMPLETION", rings_.completion);
  if (!completion) return completion.error();
  auto rx = map_ring(fd, size, XDP_PGOFF_RX_RING, at.rx, "RX", rings_.rx);
  if (!rx) return rx.error();
  auto tx = map_ring(fd, size, XDP_PGOFF_TX_RING, at.tx, "TX", rings_.tx);
  if (!tx) return tx.error();
  fill_map_ = std::move(*fill);
  completion_map_ = std::move(*completion);
  rx_map_ = std::move(*rx);
  tx_map_ = std::move(*tx);
  return {};
}

void Socket::fill(const SocketOptions& options, std::uint32_t frame_size) {
  ProducerRing<std::uint64_t> fill(rings_.fill);
  if (options.frames) {
    fill.submit(*options.frames);
    lent_ = static_cast<std::uint32_t>(options.frames->size());
    return;
  }
  lent_ = options.ring_size;
  for (std::uint32_t i = 0; i < lent_; ++i) {
    fill[i] = options.first_frame + std::uint64_t{i} * frame_size;
  }
  fill.submit(lent_);
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

Result<void> Socket::read_mode(const SocketOptions& options) {
  xdp_options granted{};
  socklen_t length = sizeof granted;
  if (::getsockopt(fd_.get(), SOL_XDP, XDP_OPTIONS, &granted, &length) != 0) {
    return Error::last("getsockopt(XDP_OPTIONS)", described(options));
  }
  zero_copy_ = (granted.flags & XDP_OPTIONS_ZEROCOPY) != 0;
  if (zero_copy_ || options.tx_budget == 0) return {};
  const std::uint32_t budget = std::min(options.tx_budget, options.ring_size);
  if (::setsockopt(fd_.get(), SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget,
                   sizeof budget) == 0) {
    tx_budget_ = budget;
  }
  return {};
}

// Some drivers bind a queue and then refuse to send on it: told now, not at the
// first packet. An interface that is down is no such case.
Result<void> Socket::prove_tx(const SocketOptions& options) {
  if (::sendto(fd_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) == 0 ||
      errno == EAGAIN || errno == EBUSY || errno == ENOBUFS ||
      errno == ENETDOWN) {
    return {};
  }
  return Error::last("sendto(AF_XDP)", described(options),
                     "The driver bound the queue, but can't send on it.");
}

// Last: a socket that prefers it proves nothing of what the driver sends.
Result<void> Socket::prefer_busy_poll(const SocketOptions& options) {
  if (options.busy_poll == 0) return {};
  // How long a call may poll: those on an AF_XDP socket do it once, whatever
  // is said here, but for 0.
  constexpr int kMicroseconds = 20;
  const std::tuple<int, const char*, int> wanted[] = {
      {SO_PREFER_BUSY_POLL, "setsockopt(SO_PREFER_BUSY_POLL)", 1},
      {SO_BUSY_POLL, "setsockopt(SO_BUSY_POLL)", kMicroseconds},
      {SO_BUSY_POLL_BUDGET, "setsockopt(SO_BUSY_POLL_BUDGET)",
       static_cast<int>(options.busy_poll)}};
  for (const auto& [option, call, value] : wanted) {
    if (::setsockopt(fd_.get(), SOL_SOCKET, option, &value, sizeof value) ==
        0) {
      continue;
    }
    const int error = errno;
    return Error{error, call, described(options) + ", " + std::to_string(value),
                 error == EPERM
                     ? "Busy polling takes CAP_NET_ADMIN: run as root, or "
                       "without --busy-poll."
                 : error == ENOPROTOOPT
                     ? "This kernel was built without CONFIG_NET_RX_BUSY_POLL."
                 : error == EINVAL ? "A budget is 1 to 65535 packets."
                                   : ""};
  }
  return {};
}

std::uint32_t Socket::napi_id() const {
  std::uint32_t id = 0;
  socklen_t length = sizeof id;
  // Refused by kernels that can't busy-poll, which have none.
  (void)::getsockopt(fd_.get(), SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &length);
  return id;
}

SocketStatistics& SocketStatistics::operator+=(
    const SocketStatistics& other) noexcept {
  rx_dropped += other.rx_dropped;
  rx_invalid += other.rx_invalid;
  tx_invalid += other.tx_invalid;
  rx_ring_full += other.rx_ring_full;
  fill_empty += other.fill_empty;
  tx_empty += other.tx_empty;
  return *this;
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
