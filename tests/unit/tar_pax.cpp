// PAX headers: records, the forms of their values, which wins, xattrs, global records.
#include "support/catch.hpp"
#include "support/tar_builder.hpp"
#include "support/tar_reading.hpp"
#include "tar/malformed.hpp"
#include "tar/pax.hpp"

using namespace strata;
using namespace strata::detail;
using namespace strata::test;
using Catch::Contains;

namespace {

std::string with_records(const PaxList& records, const RawHeader& entry = {.path = "f"}) {
  return TarBuilder().pax(records).add(entry).end().bytes;
}

std::string with_payload(const std::string& payload) {
  return TarBuilder().extension('x', payload).add({.path = "f"}).end().bytes;
}

Timestamp time_of(std::string_view text) {
  const auto time = parse_pax_time(text);
  REQUIRE(time);
  return *time;
}

}  // namespace

TEST_CASE("a record counts its own length") {
  for (std::size_t size = 0; size < 1200; ++size) {
    std::string payload;
    append_pax(payload, "key", std::string(size, 'v'));
    CHECK(payload == pax_record("key", std::string(size, 'v')));
    std::vector<PaxRecord> records;
    parse_pax(payload, records);
    REQUIRE(records.size() == 1);
    CHECK(records[0].value.size() == size);
  }
}

TEST_CASE("a record may hold newlines and '='") {
  const auto entry = read_one(with_records({{"comment", "a=b\nc"}, {"path", "x=\ny"}}));
  CHECK(entry.other_records.at("comment") == "a=b\nc");
  CHECK(entry.path == "x=\ny");
}

TEST_CASE("a record that is malformed is refused") {
  using namespace std::string_literals;
  for (const std::string& payload :
       {"path=x\n"s, "9 path=x"s, "8 path=x\n"s, "11 path=x\n"s, "999999999999999999999 path=x\n"s, "0 path=x\n"s,
        "3 a\n"s, "4 =\n"s, " 9 path=x\n"s, "-9 path=x\n"s, "9\tpath=x\n"s, "9 path=x\n\0"s, "2 "s, "1"s}) {
    INFO(payload);
    CHECK_THAT(refusal(with_payload(payload)), Contains("a PAX record"));
  }
}

TEST_CASE("a NUL in a name or a keyword is refused") {
  const std::string nul("a\0b", 3);
  for (const char* key : {"path", "linkpath", "uname", "gname"}) {
    CHECK_THAT(refusal(with_records({{key, nul}})), Contains("NUL"));
  }
  CHECK_THAT(refusal(with_records({{"SCHILY.xattr.user." + nul, "v"}})), Contains("NUL"));
  CHECK(read_one(with_records({{"SCHILY.xattr.user.a", nul}})).xattrs.at("user.a") == nul);
}

TEST_CASE("records win over the header block") {
  const auto entry = read_one(with_records({{"path", "pax"},
                                            {"linkpath", "to"},
                                            {"uid", "3000000"},
                                            {"gid", "4000000"},
                                            {"uname", "user"},
                                            {"gname", "group"},
                                            {"mtime", "1.5"},
                                            {"atime", "2"},
                                            {"ctime", "3.000000001"}},
                                           {.path = "f", .type = '2', .link = "l", .user_name = "u"}));
  CHECK(entry.path == "pax");
  CHECK(entry.link == "to");
  CHECK(entry.uid == 3000000);
  CHECK(entry.gid == 4000000);
  CHECK(entry.user_name == "user");
  CHECK(entry.group_name == "group");
  CHECK(entry.mtime == Timestamp{1, 500000000});
  CHECK(entry.atime == Timestamp{2, 0});
  CHECK(entry.ctime == Timestamp{3, 1});
  CHECK(entry.other_records.empty());
}

TEST_CASE("a size in PAX wins, larger or smaller") {
  const RawHeader entry{.path = "f", .content = "hello", .size = "00000001000"};
  CHECK(read_one(with_records({{"size", "5"}}, entry)).content == "hello");
  CHECK(read_one(with_records({{"size", "5"}}, {.path = "f", .content = "hello", .size = "00000000001"})).content ==
        "hello");
  for (const char* bad : {"5.0", "-5", "+5", "0x5", " 5", "nan", "9223372036854775807", "18446744073709551619"}) {
    CHECK_FALSE(refusal(with_records({{"size", bad}}, entry)).empty());
  }
}

TEST_CASE("of a keyword twice the last counts, of two headers the last alone") {
  CHECK(read_one(with_records({{"path", "a"}, {"path", "b"}})).path == "b");
  const auto bytes = TarBuilder().pax({{"path", "a"}, {"uid", "7"}}).pax({{"gid", "8"}}).add({.path = "f"}).end().bytes;
  const auto entry = read_one(bytes);
  CHECK(entry.path == "f");
  CHECK(entry.uid == 0);
  CHECK(entry.gid == 8);
  CHECK(read_archive(bytes).reported("second PAX header"));
}

TEST_CASE("an empty value leaves the header block's") {
  CHECK(read_one(with_records({{"path", ""}})).path == "f");
  CHECK(read_one(with_records({{"path", "a"}, {"path", ""}})).path == "f");
}

TEST_CASE("Sun's own type is a PAX header too") {
  CHECK(read_one(TarBuilder().pax({{"path", "sun"}}, 'X').add({.path = "f"}).end().bytes).path == "sun");
}

TEST_CASE("global records hold for all later entries, below their own") {
  TarBuilder tar;
  tar.add({.path = "before"});
  tar.pax({{"mtime", "5"}, {"comment", "all"}, {"uid", "9"}}, 'g').add({.path = "a"});
  tar.pax({{"mtime", "6"}, {"uid", ""}}).add({.path = "b"});
  tar.pax({{"mtime", ""}}, 'g').add({.path = "c", .mtime = "00000000012"}).end();
  const auto read = read_archive(tar.bytes);
  REQUIRE(read.entries.size() == 4);
  CHECK(read.entries[0].mtime == Timestamp{0, 0});
  CHECK(read.entries[0].other_records.empty());
  CHECK(read.entries[1].mtime == Timestamp{5, 0});
  CHECK(read.entries[1].uid == 9);
  CHECK(read.entries[1].other_records.at("comment") == "all");
  CHECK(read.entries[2].mtime == Timestamp{6, 0});
  CHECK(read.entries[2].uid == 0);
  CHECK(read.entries[3].mtime == Timestamp{10, 0});
  CHECK(read.entries[3].uid == 9);
}

TEST_CASE("a global record that can be meant for one file only is left out and reported") {
  const auto bytes =
      TarBuilder().pax({{"path", "all"}, {"size", "5"}}, 'g').add({.path = "a"}).add({.path = "b"}).end().bytes;
  const auto read = read_archive(bytes);
  REQUIRE(read.entries.size() == 2);
  CHECK(read.entries[0].path == "a");
  CHECK(read.entries[1].path == "b");
  CHECK(read.reported("global PAX record 'path'"));
}

TEST_CASE("global records are bounded, however many headers they come in") {
  TarBuilder tar;
  for (int i = 0; i < 300; ++i) tar.pax({{"key" + std::to_string(i), "v"}}, 'g');
  CHECK_THAT(refusal(tar.add({.path = "f"}).end().bytes, errc::limit_exceeded), Contains("global"));
}

TEST_CASE("times have nanoseconds, round down, and may be before 1970") {
  CHECK(time_of("1.5") == Timestamp{1, 500000000});
  CHECK(time_of("1.") == Timestamp{1, 0});
  CHECK(time_of("0.000000001") == Timestamp{0, 1});
  CHECK(time_of("1.9999999999") == Timestamp{1, 999999999});
  CHECK(time_of("-1") == Timestamp{-1, 0});
  CHECK(time_of("-1.5") == Timestamp{-2, 500000000});
  CHECK(time_of("-0.5") == Timestamp{-1, 500000000});
  CHECK(time_of("-0.0") == Timestamp{0, 0});
  CHECK(time_of("-1.0000000001") == Timestamp{-2, 999999999});
  CHECK(time_of("-1.9999999999") == Timestamp{-2, 0});
  CHECK(time_of("-1.0000000000") == Timestamp{-1, 0});
  CHECK(time_of("-9223372036854775808") == Timestamp{INT64_MIN, 0});
  CHECK(time_of("-9223372036854775807.9999999999") == Timestamp{INT64_MIN, 0});
  for (const char* bad : {"", "-", ".5", "1.5x", "1,5", "--1", "+1", "1.-5", "1e3", "9223372036854775808", "1.5.5",
                          "-.5", "-+1", "-9223372036854775808.1"}) {
    INFO(bad);
    CHECK_FALSE(parse_pax_time(bad));
  }
  CHECK_THAT(refusal(with_records({{"mtime", "soon"}})), Contains("mtime is not a time: 'soon'"));
}

TEST_CASE("times are written so that they are read back") {
  CHECK(format_pax_time({1, 500000000}) == "1.5");
  CHECK(format_pax_time({-2, 500000000}) == "-1.5");
  CHECK(format_pax_time({-1, 999999999}) == "-0.000000001");
  CHECK(format_pax_time({-7, 0}) == "-7");
  for (const Timestamp time :
       {Timestamp{0, 0}, Timestamp{0, 10}, Timestamp{-1, 1}, Timestamp{-1, 999999999}, Timestamp{-2, 1},
        Timestamp{INT64_MAX, 999999999}, Timestamp{-INT64_MAX, 0}, Timestamp{INT64_MIN, 0}, Timestamp{INT64_MIN, 1}}) {
    CHECK(time_of(format_pax_time(time)) == time);
  }
}

TEST_CASE("xattrs of SCHILY win over those of LIBARCHIVE, whose names and values are encoded") {
  const auto entry = read_one(with_records({{"SCHILY.xattr.user.a", "schily"},
                                            {"SCHILY.xattr.user.empty", ""},
                                            {"LIBARCHIVE.xattr.user.a", "bGlicw"},
                                            {"LIBARCHIVE.xattr.user.b%3D%25", "AAEC/w=="}}));
  CHECK(entry.xattrs.size() == 3);
  CHECK(entry.xattrs.at("user.a") == "schily");
  CHECK(entry.xattrs.at("user.empty").empty());
  CHECK(entry.xattrs.at("user.b=%") == std::string("\x00\x01\x02\xff", 4));
}

TEST_CASE("an xattr that can't be is left out and reported") {
  const auto read = read_archive(
      with_records({{"LIBARCHIVE.xattr.user.a", "?"}, {"LIBARCHIVE.xattr.user.%00", "AAEC"}, {"SCHILY.xattr.", "v"}}));
  CHECK(read.entries.at(0).xattrs.empty());
  CHECK(read.report.total() == 3);
}

TEST_CASE("SELinux labels come by either record") {
  CHECK(read_one(with_records({{"RHT.security.selinux", "label"}})).xattrs.at("security.selinux") == "label");
}

TEST_CASE("large device numbers come by SCHILY's records") {
  const auto entry = read_one(with_records({{"SCHILY.devmajor", "4095"}, {"SCHILY.devminor", "1048575"}},
                                           {.path = "d", .type = '3', .device_major = "0000001"}));
  CHECK(entry.device_major == 4095);
  CHECK(entry.device_minor == 1048575);
  CHECK_FALSE(refusal(with_records({{"SCHILY.devmajor", "4294967296"}}, {.path = "d", .type = '3'})).empty());
}

TEST_CASE("records without a field are kept as they are") {
  const auto entry = read_one(with_records({{"VENDOR.key", "value"}, {"SCHILY.nlink", "2"}}));
  CHECK(entry.other_records.size() == 2);
  CHECK(entry.other_records.at("VENDOR.key") == "value");
}

TEST_CASE("base64 and percent encoding are undone as they were done") {
  std::string all;
  for (int i = 0; i < 256; ++i) {
    all += static_cast<char>(i);
    CHECK(decode_base64(encode_base64(all)) == all);
    CHECK(decode_percent(encode_percent(all)) == all);
  }
  CHECK(encode_base64("abcd") == "YWJjZA");
  CHECK(encode_percent("user.a=b%") == "user.a%3Db%25");
  CHECK_FALSE(decode_base64("A"));
  CHECK_FALSE(decode_base64("ab d"));
  CHECK(decode_percent("100%") == "100%");
  CHECK(decode_percent("%4") == "%4");
  CHECK(decode_percent("%41") == "A");
}
