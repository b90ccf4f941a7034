// SPDX-License-Identifier: Apache-2.0
// Socket: one AF_XDP socket (XSK), bound to one queue of one interface.
//
// On the kernel's own interface: libxdp 1.3 can't hand a socket over, can't
// set TX options, and can't release one queue of several.
// Source: Documentation/networking/af_xdp.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <sluice/port.hpp>
#include <sluice/result.hpp>
#include <sluice/sys.hpp>
#include <sluice/umem.hpp>
#include <span>
#include <string>

namespace sluice {

struct SocketOptions {
  std::string interface = {};
  std::uint32_t queue = 0;
  std::uint32_t ring_size = 2048;  ///< RX, TX, COMPLETION; FILL has twice that.
  bool zero_copy = false;          ///< Ask for zero-copy; otherwise for copies.
  bool multi_buffer = false;       ///< Packets may span frames (XDP_USE_SG).
  std::uint64_t first_frame = 0;   ///< Address of the first frame to fill with.
  /// Frames to fill with instead, by address; not more than FILL has room for.
  std::optional<std::span<const std::uint64_t>> frames = std::nullopt;
  /// Descriptors of one kick in copy mode; 0: the kernel's 32.
  std::uint32_t tx_budget = 0;
  /// Prefer busy polling: packets that a call of user space's moves at most,
  /// 1 to 65535; 0: do not.
  std::uint32_t busy_poll = 0;
  /// Descriptors may say XDP_TX_METADATA, and each needs room for a TxMetadata
  /// in front of it, in its frame: Linux refuses those without, whatever they
  /// say. Where the kernel has none, it is left out: Socket::tx_metadata().
  bool tx_metadata = false;
};

/// What the kernel counts for a socket (XDP_STATISTICS), in packets.
struct SocketStatistics {
  std::uint64_t rx_dropped = 0;  ///< Too large, or no memory.
  /// 0: it is of RX, which the kernel writes. It counts no bad FILL entries.
  std::uint64_t rx_invalid = 0;
  std::uint64_t tx_invalid = 0;    ///< TX entries that were no good.
  std::uint64_t rx_ring_full = 0;  ///< RX had no room.
  std::uint64_t fill_empty = 0;    ///< FILL had nothing.
  std::uint64_t tx_empty = 0;      ///< Not a loss: TX was looked at in vain.

  SocketStatistics& operator+=(const SocketStatistics& other) noexcept;
};

class Socket {
 public:
  /// Registers `umem`, maps the rings, fills FILL with the `ring_size` frames
  /// from `first_frame` on (drivers want it full at bind), and binds. A queue
  /// that was just given up is busy for some ten milliseconds: waited for, up
  /// to a second. `umem` outlives the socket.
  /// System calls: socket(2), setsockopt(2), mmap(2), bind(2), sendto(2).
  /// Capabilities: CAP_NET_RAW; CAP_IPC_LOCK or RLIMIT_MEMLOCK for the memory;
  /// CAP_NET_ADMIN to prefer busy polling.
  [[nodiscard]] static Result<Socket> open(const SocketOptions& options,
                                           const Umem& umem);

  /// Goes on with a bound socket received from another process, which no longer
  /// uses it. `options.ring_size` is what it was made with; `lent` is how many
  /// frames the kernel has for receiving (Port::receiving() of the giver). A
  /// FramePool takes them to be the first of the memory, as they are after
  /// open(): hand over before packets flow.
  /// System calls: getsockopt(2), mmap(2).
  [[nodiscard]] static Result<Socket> adopt(Fd fd, const SocketOptions& options,
                                            std::uint32_t lent);

  Socket(Socket&&) = default;
  Socket& operator=(Socket&&) = default;
  /// Unmaps the rings, then closes: a ring left mapped would keep the queue
  /// bound. Nothing may poll the socket any more.
  ~Socket();

  [[nodiscard]] PortRings rings() const noexcept { return rings_; }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// Frames that the kernel had for receiving from the start.
  [[nodiscard]] std::uint32_t lent() const noexcept { return lent_; }
  /// What the kernel granted, read back (XDP_OPTIONS).
  [[nodiscard]] bool zero_copy() const noexcept { return zero_copy_; }
  /// Descriptors one kick takes in copy mode.
  [[nodiscard]] std::uint32_t tx_budget() const noexcept { return tx_budget_; }

  /// It was asked for, and the kernel has it (Linux 6.8).
  [[nodiscard]] bool tx_metadata() const noexcept { return tx_metadata_; }

  /// System call: getsockopt(2).
  [[nodiscard]] Result<SocketStatistics> statistics() const;

  /// The NAPI that busy polling polls (SO_INCOMING_NAPI_ID); 0: none. A socket
  /// has it from its first packet on; since Linux 6.13 from bind on or never,
  /// as the driver tells of its queues. On veth there is none.
  /// System call: getsockopt(2).
  [[nodiscard]] std::uint32_t napi_id() const;

 private:
  Socket() = default;
  Result<void> register_umem(const SocketOptions& options, const Umem& umem);
  Result<void> size_rings(const SocketOptions& options);
  Result<void> map_rings(const SocketOptions& options);
  void fill(const SocketOptions& options, std::uint32_t frame_size);
  Result<void> bind(const SocketOptions& options);
  Result<void> read_mode(const SocketOptions& options);
  Result<void> prove_tx(const SocketOptions& options);
  Result<void> prefer_busy_poll(const SocketOptions& options);

  Fd fd_;
  Mapping fill_map_, rx_map_, tx_map_, completion_map_;
  PortRings rings_;
  std::uint32_t lent_ = 0;
  std::uint32_t tx_budget_ = 32;
  bool zero_copy_ = false;
  bool tx_metadata_ = false;
};

}  // namespace sluice
