// SPDX-License-Identifier: Apache-2.0
// A header lies anywhere in a packet, so it can't ask to be aligned.
// SAYS: static assertion failed.*a header is a packed, trivially copyable
#include <cstdint>
#include <sluice/packet.hpp>

struct Header {
#ifdef MISTAKE
  std::uint32_t word;
#else
  std::uint8_t bytes[4];
#endif
};

Header* first(const sluice::Packet& packet) { return packet.header<Header>(); }
