// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <set>
#include <sluice/headers.hpp>
#include <string>
#include <string_view>
#include <unordered_set>

namespace sluice {
namespace {

template <class T, std::size_t Size>
T view(const std::array<std::uint8_t, Size>& bytes) {
  return std::bit_cast<T>(bytes);
}

static_assert(std::is_trivial_v<be16> && alignof(be32) == 1);
static_assert(be16{0x1234} == 0x1234 && be32{0x12345678} == 0x12345678);
static_assert(std::is_trivially_copyable_v<Ipv6> && HeaderView<Ipv6Address>);

TEST(HeadersTest, NumbersLieInNetworkOrder) {
  EXPECT_EQ((std::bit_cast<std::array<std::uint8_t, 2>>(be16{0x0102})),
            (std::array<std::uint8_t, 2>{1, 2}));
  EXPECT_EQ((std::bit_cast<std::array<std::uint8_t, 4>>(be32{0x01020304})),
            (std::array<std::uint8_t, 4>{1, 2, 3, 4}));
  const be16 number = 0xbeef;
  EXPECT_EQ(be16::from_wire(number.wire()), number);
}

TEST(HeadersTest, EthernetSwapsItsAddressesAndNothingElse) {
  auto eth = view<Ethernet>(std::array<std::uint8_t, 14>{
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x86, 0xdd});
  eth.swap_addresses();
  EXPECT_EQ(eth.destination, (MacAddress{{7, 8, 9, 10, 11, 12}}));
  EXPECT_EQ(eth.source, (MacAddress{{1, 2, 3, 4, 5, 6}}));
  EXPECT_EQ(eth.type(), EtherType::ipv6);
}

TEST(HeadersTest, VlanSplitsItsControlWord) {
  const auto tag = view<Vlan>(std::array<std::uint8_t, 4>{0xb1, 0x23, 8, 0});
  EXPECT_EQ(tag.id(), 0x123);
  EXPECT_EQ(tag.priority(), 5);
  EXPECT_EQ(tag.type(), EtherType::ipv4);
}

TEST(HeadersTest, Ipv4TellsItsFragmentFacts) {
  Ipv4 ip{};
  ip.version_and_words = 0x4f;
  EXPECT_EQ(ip.version(), 4u);
  EXPECT_EQ(ip.header_size(), 60u);
  EXPECT_FALSE(ip.is_fragment());

  ip.flags_and_offset = 0x4000;
  EXPECT_TRUE(ip.dont_fragment());
  EXPECT_FALSE(ip.is_fragment());

  ip.flags_and_offset = 0x2000;  // The first.
  EXPECT_TRUE(ip.more_fragments());
  EXPECT_TRUE(ip.is_fragment());
  EXPECT_EQ(ip.fragment_offset(), 0u);

  ip.flags_and_offset = 0x1fff;  // The last that can be.
  EXPECT_FALSE(ip.more_fragments());
  EXPECT_TRUE(ip.is_fragment());
  EXPECT_EQ(ip.fragment_offset(), 65528u);
}

TEST(HeadersTest, Ipv6SplitsItsFirstWord) {
  Ipv6 ip{};
  ip.version_class_flow = 0x6ab12345;
  EXPECT_EQ(ip.version(), 6u);
  EXPECT_EQ(ip.traffic_class(), 0xab);
  EXPECT_EQ(ip.flow_label(), 0x12345u);
}

TEST(HeadersTest, AtomicFragmentIsNoFragment) {
  FragmentHeader header{};
  EXPECT_FALSE(header.is_fragment());
  header.offset_and_more = 0x0006;  // Reserved bits.
  EXPECT_FALSE(header.is_fragment());
  header.offset_and_more = 0x0001;
  EXPECT_TRUE(header.is_fragment());
  EXPECT_TRUE(header.more_fragments());
  header.offset_and_more = 0x0018;
  EXPECT_TRUE(header.is_fragment());
  EXPECT_EQ(header.fragment_offset(), 24u);
}

TEST(HeadersTest, TcpSizeCountsItsOptions) {
  Tcp tcp{};
  tcp.offset_and_reserved = 0x80;
  EXPECT_EQ(tcp.header_size(), 32u);
}

TEST(HeadersTest, ArpKnowsWhetherItIsIpv4OverEthernet) {
  auto arp = view<Arp>(std::array<std::uint8_t, 28>{0, 1, 8, 0, 6, 4, 0, 1});
  EXPECT_TRUE(arp.is_ipv4_over_ethernet());
  EXPECT_EQ(arp.operation, Arp::kRequest);
  arp.hardware_size = 8;
  EXPECT_FALSE(arp.is_ipv4_over_ethernet());
}

TEST(AddressTest, TextGoesThereAndBack) {
  for (const char* text : {"02:00:00:00:00:0a", "ff:ff:ff:ff:ff:ff"}) {
    const auto mac = MacAddress::parse(text);
    ASSERT_TRUE(mac) << text;
    EXPECT_EQ(mac->text(), text);
  }
  for (const char* text : {"0.0.0.0", "192.0.2.1", "255.255.255.255"}) {
    const auto address = Ipv4Address::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
  for (const char* text : {"::", "::1", "2001:db8::a:0:1", "fe80::1"}) {
    const auto address = Ipv6Address::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
  EXPECT_EQ(MacAddress::parse("0A:0b:0C:0d:0E:0f")->text(),
            "0a:0b:0c:0d:0e:0f");
}

TEST(AddressTest, WrongTextIsRefusedByName) {
  for (const char* text :
       {"", "02:00:00:00:00", "02:00:00:00:00:0a:", "02-00-00-00-00-0a",
        "02:00:00:00:00:0g", "02:00:00:00:00: a", "+2:00:00:00:00:0a"}) {
    EXPECT_FALSE(MacAddress::parse(text)) << text;
  }
  for (const char* text : {"", "1.2.3", "1.2.3.256", "1.2.3.4 ", "::1"}) {
    EXPECT_FALSE(Ipv4Address::parse(text)) << text;
  }
  for (const char* text : {"", ":::", "1.2.3.4", "fe80::1%eth0", "g::1"}) {
    EXPECT_FALSE(Ipv6Address::parse(text)) << text;
  }
  EXPECT_FALSE(Ipv4Address::parse(std::string_view("1.2.3.4\0x", 9)));
  EXPECT_EQ(Ipv4Address::parse("1.2.3").error().message(),
            "IPv4 address \"1.2.3\": Invalid argument. "
            "Write it like 192.0.2.1");
}

TEST(AddressTest, SolicitedNodeAndItsMacAreThoseOfTheRfcs) {
  const auto address = *Ipv6Address::parse("2001:db8::12:3456:789a");
  EXPECT_EQ(address.solicited_node().text(), "ff02::1:ff56:789a");
  EXPECT_EQ(address.solicited_node().multicast_mac().text(),
            "33:33:ff:56:78:9a");
  EXPECT_TRUE(address.solicited_node().is_multicast());
  EXPECT_FALSE(address.is_multicast());
  EXPECT_TRUE(Ipv6Address{}.is_unspecified());
  EXPECT_EQ(Ipv6Address::mapped({{192, 0, 2, 1}}).text(), "::ffff:192.0.2.1");
}

TEST(AddressTest, KindsAreTold) {
  EXPECT_TRUE(MacAddress::broadcast().is_multicast());
  EXPECT_FALSE((MacAddress{{2, 0, 0, 0, 0, 1}}).is_multicast());
  EXPECT_TRUE((Ipv4Address{{224, 0, 0, 1}}).is_multicast());
  EXPECT_FALSE((Ipv4Address{{223, 255, 255, 255}}).is_multicast());
}

TEST(AddressTest, AddressesSortAndHash) {
  const Ipv4Address a{{10, 0, 0, 1}};
  const Ipv4Address b{{10, 0, 0, 2}};
  EXPECT_LT(a, b);
  EXPECT_EQ((std::set<Ipv4Address>{b, a, b}.size()), 2u);

  std::unordered_set<Ipv4Address> v4;
  std::unordered_set<Ipv6Address> v6;
  std::unordered_set<MacAddress> macs;
  std::set<std::size_t> hashes;
  for (int i = 0; i < 256; ++i) {
    const auto byte = static_cast<std::uint8_t>(i);
    v4.insert({{10, 0, 0, byte}});
    v6.insert({{0x20, 1, byte}});
    macs.insert({{2, 0, 0, 0, 0, byte}});
    hashes.insert(std::hash<Ipv6Address>{}({{0x20, 1, byte}}));
  }
  EXPECT_EQ(v4.size(), 256u);
  EXPECT_EQ(v6.size(), 256u);
  EXPECT_EQ(macs.size(), 256u);
  EXPECT_EQ(hashes.size(), 256u);
}

}  // namespace
}  // namespace sluice
