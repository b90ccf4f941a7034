// SPDX-License-Identifier: Apache-2.0
// Lists in files that include others.
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sluice/rules.hpp>
#include <string>

#include <gtest/gtest.h>

namespace {

using sluice::Rules;

class RulesFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "rulesXXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder + "/";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(
        std::filesystem::path(folder_ + name).parent_path());
    std::ofstream(folder_ + name) << text;
    return folder_ + name;
  }
  // "PLACE: ADVICE" with the folder left out.
  std::string complaint(const std::string& path) {
    const auto rules = Rules::load(path);
    if (rules) return "";
    std::string text = rules.error().arguments + ": " + rules.error().advice;
    for (auto at = text.find(folder_); at != text.npos;
         at = text.find(folder_)) {
      text.erase(at, folder_.size());
    }
    return text;
  }

  std::string folder_;
};

TEST_F(RulesFileTest, IncludesFilesBesideTheOneThatNamesThem) {
  write("sets/hosts", "define hosts = { 192.0.2.1 }\ninclude ports\n");
  write("sets/ports", "define web = { 80 }\r\ncount port $web");
  write("two words", "pass arp\n");
  const auto path = write("main.rules",
                          "include sets/hosts  # named sets\n"
                          "drop src host $hosts\n"
                          "include \"two words\"\n"
                          "include \"" +
                              folder_ +
                              "two words\" # again\n"
                              "default drop\n");
  const auto rules = Rules::load(path);
  ASSERT_TRUE(rules) << rules.error().message();
  EXPECT_EQ(rules->text(),
            "define hosts = { 192.0.2.1 }\ndefine web = { 80 }\n"
            "count port $web\ndrop src host $hosts\npass arp\npass arp\n"
            "default drop\n");
  EXPECT_EQ(rules->source((*rules)[0].source), folder_ + "sets/ports");
  EXPECT_EQ((*rules)[0].line, 2u);
  EXPECT_EQ(rules->source((*rules)[1].source), path);
  EXPECT_EQ((*rules)[1].line, 2u);
}

TEST_F(RulesFileTest, ErrorsNameTheFileTheyAreIn) {
  write("inner", "pass udp\ndrop udp tcp\n");
  EXPECT_EQ(complaint(write("outer", "include inner\n")),
            "inner line 2 column 10: Expected 'and' or 'or', found 'tcp'");
  EXPECT_EQ(complaint(write("outer", "drop @a udp\n\n include missing\n")),
            "outer line 3 column 2: Cannot read 'missing'");
  write("again", "drop @a tcp");
  EXPECT_EQ(complaint(write("outer", "drop @a udp\ninclude again\n")),
            "again line 1 column 6: The label '@a' is already that of outer "
            "line 1");
  EXPECT_EQ(complaint(write("outer", "include a b")),
            "outer line 1 column 9: Expected the name of one file, found 'a'");
  EXPECT_EQ(complaint(write("outer", "include \"a")),
            "outer line 1 column 9: Expected the name of one file, found "
            "'\"'");
  EXPECT_EQ(Rules::load(folder_ + "nothing").error().code, ENOENT);
  EXPECT_EQ(Rules::load(folder_).error().code, EISDIR);
}

TEST_F(RulesFileTest, NoFileIncludesItselfAndNoneIsTooDeep) {
  EXPECT_EQ(complaint(write("a", "include ./a")),
            "a line 1 column 1: './a' includes itself");
  write("b", "include c");
  EXPECT_EQ(complaint(write("c", "include b")),
            "b line 1 column 1: 'c' includes itself");
  for (int i = 0; i < 9; ++i) {
    write("d" + std::to_string(i), "include d" + std::to_string(i + 1));
  }
  write("d9", "drop all");
  EXPECT_TRUE(Rules::load(folder_ + "d1"));
  EXPECT_EQ(complaint(folder_ + "d0"),
            "d8 line 1 column 1: Files are included at most 8 deep, and 10000 "
            "in all");
}

}  // namespace
