// TarReader: which fields count in which dialect, types, ends, errors, what an observer sees.
#include "support/catch.hpp"
#include "support/tar_builder.hpp"
#include "support/tar_reading.hpp"

#include <cstdint>

using namespace strata;
using namespace strata::test;
using Catch::Contains;

namespace {

std::string archive(const RawHeader& entry) { return TarBuilder().add(entry).end().bytes; }

std::string as_string(const char* text, std::size_t size) { return {text, size}; }

}  // namespace

TEST_CASE("a plain ustar entry gives all its fields") {
  const auto entry = read_one(archive({.path = "usr/bin/tool",
                                       .content = "hello",
                                       .mode = "0104755",
                                       .uid = "0001750",
                                       .gid = "0000144",
                                       .mtime = "14524770400",
                                       .user_name = "joe",
                                       .group_name = "users"}));
  CHECK(entry.path == "usr/bin/tool");
  CHECK(entry.type == TarType::file);
  CHECK(entry.mode == 04755);
  CHECK(entry.uid == 1000);
  CHECK(entry.gid == 100);
  CHECK(entry.size == 5);
  CHECK(entry.content == "hello");
  CHECK(entry.mtime == Timestamp{014524770400, 0});
  CHECK(entry.user_name == "joe");
  CHECK(entry.group_name == "users");
  CHECK_FALSE(entry.sparse);
  CHECK_FALSE(entry.atime);
}

TEST_CASE("fields that fill their width need no NUL") {
  const std::string name(100, 'n');
  const std::string link(100, 'l');
  const auto entry = read_one(archive({.path = name, .type = '2', .link = link, .user_name = std::string(32, 'u')}));
  CHECK(entry.path == name);
  CHECK(entry.link == link);
  CHECK(entry.user_name == std::string(32, 'u'));
}

TEST_CASE("a name ends at its NUL") { CHECK(read_one(archive({.path = as_string("abc\0def", 7)})).path == "abc"); }

TEST_CASE("names are bytes, of no encoding") {
  CHECK(read_one(archive({.path = "\xff\xfe/\x80\n"})).path == "\xff\xfe/\x80\n");
}

TEST_CASE("the prefix field belongs to ustar alone") {
  CHECK(read_one(archive({.path = "name", .prefix = "some/dir"})).path == "some/dir/name");
  CHECK(read_one(archive({.path = "name", .magic = v7_magic, .prefix = "some/dir"})).path == "name");
}

TEST_CASE("under GNU's magic the prefix field holds times") {
  const auto entry = read_one(archive({.path = "f", .magic = gnu_magic, .prefix = "00000000012"}));
  CHECK(entry.path == "f");
  REQUIRE(entry.atime);
  CHECK(*entry.atime == Timestamp{10, 0});
}

TEST_CASE("a ustar prefix under GNU's magic, as old Go programs wrote it, is read and reported") {
  const auto read = read_archive(archive({.path = "f", .magic = gnu_magic, .prefix = "usr/share"}));
  REQUIRE(read.entries.size() == 1);
  CHECK(read.entries[0].path == "usr/share/f");
  CHECK(read.reported("ustar prefix"));
}

TEST_CASE("star's prefix is shorter, since times follow it") {
  const std::string prefix = "p" + std::string(129, 'r') + "x";
  const auto entry =
      read_one(archive({.path = "f",
                        .prefix = prefix,
                        .raw = {{476, "00000000012\0"}, {488, "00000000013\0"}, {508, as_string("tar\0", 4)}}}));
  CHECK(entry.path == prefix + "/f");
  REQUIRE(entry.ctime);
  CHECK(entry.atime->seconds == 10);
  CHECK(entry.ctime->seconds == 11);
}

TEST_CASE("type flags that mean the same are read as one type") {
  CHECK(read_one(archive({.path = "a", .type = '\0', .content = "x"})).type == TarType::file);
  CHECK(read_one(archive({.path = "a", .type = '7', .content = "x"})).type == TarType::file);
  CHECK(read_one(archive({.path = "a/", .type = '\0', .magic = v7_magic})).type == TarType::directory);
  CHECK(read_one(archive({.path = "a/", .type = '0', .magic = v7_magic})).type == TarType::directory);
  CHECK(read_one(archive({.path = "a/", .type = '\0'})).type == TarType::directory);
}

TEST_CASE("devices have their numbers, and nothing else has any") {
  const RawHeader device{.path = "d", .type = '4', .device_major = "0000010", .device_minor = "0000021"};
  const auto entry = read_one(archive(device));
  CHECK(entry.type == TarType::block);
  CHECK(entry.device_major == 8);
  CHECK(entry.device_minor == 17);
  RawHeader file = device;
  file.type = '0';
  CHECK(read_one(archive(file)).device_major == 0);
  CHECK(read_one(archive({.path = "f", .device_major = "junk"})).path == "f");
}

TEST_CASE("an unknown type is a file, as POSIX asks, and reported") {
  const auto read = read_archive(TarBuilder().add({.path = "odd", .type = 'Z', .content = "data"}).end().bytes);
  REQUIRE(read.entries.size() == 1);
  CHECK(read.entries[0].type == TarType::file);
  CHECK(read.entries[0].content == "data");
  CHECK(read.reported("type 'Z'"));
}

TEST_CASE("types without content have none, whatever their size says") {
  for (const char type : {'1', '2', '3', '4', '5', '6'}) {
    TarBuilder tar;
    tar.add({.path = "link", .type = type, .link = "target", .size = "00000000005"}).add({.path = "next"}).end();
    const auto read = read_archive(tar.bytes);
    REQUIRE(read.entries.size() == 2);
    CHECK(read.entries[0].size == 0);
    CHECK(read.entries[1].path == "next");
    CHECK(read.reported("its size of 5"));
  }
}

TEST_CASE("only links have a target") {
  CHECK(read_one(archive({.path = "f", .link = "leftover"})).link.empty());
  CHECK(read_one(archive({.path = "f", .type = '1', .link = "to"})).link == "to");
}

TEST_CASE("a GNU dump directory is a directory, its listing is structure") {
  TarBuilder tar;
  tar.add({.path = "d/", .type = 'D', .content = as_string("Yfile\0\0", 7), .magic = gnu_magic});
  tar.add({.path = "d/file", .content = "x"}).end();
  const auto read = read_archive(tar.bytes);
  REQUIRE(read.entries.size() == 2);
  CHECK(read.entries[0].type == TarType::directory);
  CHECK(read.entries[0].size == 0);
  CHECK(read.entries[1].content == "x");
}

TEST_CASE("a volume label is no entry, and parts of files of other volumes are refused") {
  TarBuilder label;
  label.add({.path = "backup 1", .type = 'V', .magic = gnu_magic}).add({.path = "f"}).end();
  CHECK(read_archive(label.bytes).entries.size() == 1);
  CHECK_THAT(refusal(archive({.path = "f", .type = 'M', .magic = gnu_magic})), Contains("another volume"));
  CHECK_THAT(refusal(archive({.path = "f", .type = 'N', .magic = gnu_magic})), Contains("renamed"));
}

TEST_CASE("GNU long names and links are applied to the next entry alone") {
  const std::string name(300, 'n');
  const std::string link(400, 'l');
  TarBuilder tar;
  tar.long_link(link).long_name(name).add({.path = "short", .type = '2', .link = "short", .magic = gnu_magic});
  tar.add({.path = "plain", .type = '2', .link = "too"}).end();
  const auto read = read_archive(tar.bytes);
  REQUIRE(read.entries.size() == 2);
  CHECK(read.entries[0].path == name);
  CHECK(read.entries[0].link == link);
  CHECK(read.entries[0].offset == 0);
  CHECK(read.entries[1].path == "plain");
  CHECK(read.entries[1].link == "too");
  CHECK(read.entries[1].offset == tar.bytes.size() - 1024 - 512);
}

TEST_CASE("a GNU long name wins over a PAX path, in either order") {
  const auto pax_first = TarBuilder().pax({{"path", "pax"}}).long_name("gnu").add({.path = "f"}).end().bytes;
  const auto gnu_first = TarBuilder().long_name("gnu").pax({{"path", "pax"}}).add({.path = "f"}).end().bytes;
  CHECK(read_one(pax_first).path == "gnu");
  CHECK(read_one(gnu_first).path == "gnu");
  CHECK(read_archive(gnu_first).reported("GNU long name and a PAX path"));
}

TEST_CASE("how an archive ends is told") {
  const auto one = TarBuilder().add({.path = "f", .content = "x"}).bytes;
  const std::string zeros(512, '\0');
  CHECK(read_archive(one + zeros + zeros).end == TarEnd::marked);
  CHECK(read_archive(one + zeros).end == TarEnd::half);
  CHECK(read_archive(one).end == TarEnd::unmarked);
  CHECK(read_archive(one.substr(0, 513)).end == TarEnd::cut);
  CHECK(read_archive(one.substr(0, 1023)).end == TarEnd::cut);
  CHECK(read_archive("").end == TarEnd::unmarked);
  CHECK(read_archive(zeros + zeros).entries.empty());
}

TEST_CASE("nothing odd is reported about an ordinary archive") {
  const auto read =
      read_archive(TarBuilder().add({.path = "f", .content = "x"}).end().raw(std::string(8192, '\0')).bytes);
  CHECK(read.report.empty());
}

TEST_CASE("what follows the end marker is shown, not read") {
  TarBuilder tar;
  tar.add({.path = "f"}).end().add({.path = "hidden"}).raw("junk of no whole block");
  const auto read = read_archive(tar.bytes);
  CHECK(read.entries.size() == 1);
  CHECK(read.end == TarEnd::marked);
  CHECK(read.reported("what follows the end marker"));
}

TEST_CASE("a lone block of zeros before more is refused") {
  const auto bytes = TarBuilder().add({.path = "a"}).raw(std::string(512, '\0')).add({.path = "b"}).end().bytes;
  CHECK_THAT(refusal(bytes), Contains("block of zeros"));
}

TEST_CASE("an archive may end after extension headers, with nothing lost but them") {
  const auto read = read_archive(TarBuilder().add({.path = "f"}).pax({{"path", "x"}}).bytes);
  CHECK(read.entries.size() == 1);
  CHECK(read.reported("extension header with no entry"));
}

TEST_CASE("an archive that is cut within an entry is refused at every byte") {
  TarBuilder tar;
  tar.pax({{"path", "name"}}).add({.path = "f", .content = std::string(600, 'c')});
  const std::size_t header = 1024;
  for (std::size_t cut = 1; cut < header + 512 + 600; ++cut) {
    if (cut == header) continue;
    INFO("cut at " << cut);
    CHECK_THAT(refusal(tar.bytes.substr(0, cut)), Contains("ends in the middle of"));
  }
}

TEST_CASE("checksums are unsigned or signed, and never blank") {
  CHECK(refusal(archive({.path = "f"})).empty());
  CHECK_THAT(refusal(archive({.path = "f", .checksum = "0000001\0"})), Contains("checksum"));
  CHECK_THAT(refusal(archive({.path = "f", .checksum = "        "})), Contains("checksum"));
  CHECK_THAT(refusal(archive({.path = "f", .checksum = std::string(8, '\0')})), Contains("checksum"));

  std::string block = header_block({.path = "\xff"});
  long sum = 8 * ' ';
  for (std::size_t i = 0; i < block.size(); ++i)
    if (i < 148 || i >= 156) sum += static_cast<signed char>(block[i]);
  block.replace(148, 7, octal(static_cast<std::uint64_t>(sum), 6) + '\0');
  const auto read = read_archive(block + std::string(1024, '\0'));
  CHECK(read.entries.size() == 1);
  CHECK(read.reported("signed"));
}

TEST_CASE("sizes are octal or base 256, and anything else is refused") {
  const auto with = [](const std::string& size) {
    return TarBuilder().add({.path = "f", .content = "abc", .size = size}).end().bytes;
  };
  CHECK(read_one(with("00000000003")).content == "abc");
  CHECK(read_one(with("000000000003")).content == "abc");
  CHECK(read_one(with("         3 ")).content == "abc");
  CHECK(read_one(with(as_string("3\0zzzzzzzzzz", 12))).content == "abc");
  CHECK(read_one(with(base256(3, 12))).content == "abc");
  for (const std::string& bad : {std::string("00000000008"), std::string("-0000000003"), std::string("0000 000003"),
                                 base256(-1, 12), base256(-512, 12), base256(INT64_MAX, 12),
                                 base256(INT64_MAX - 510, 12), '\x80' + std::string(11, '\xff'), std::string("3x")}) {
    CHECK_THAT(refusal(with(bad)), Contains("its size is"));
  }
  // The largest that can be padded is believed, and its content then missed.
  CHECK_THAT(refusal(with(base256(INT64_MAX - 511, 12))), Contains("in the middle of its content"));
}

TEST_CASE("junk in other numbers is refused by name") {
  CHECK_THAT(refusal(archive({.path = "f", .mode = "rwxr-xr"})), Contains("its mode"));
  CHECK_THAT(refusal(archive({.path = "f", .uid = "12a"})), Contains("its uid"));
  CHECK_THAT(refusal(archive({.path = "f", .gid = base256(-2, 8)})), Contains("its gid is negative"));
  CHECK_THAT(refusal(archive({.path = "f", .mtime = "yesterday"})), Contains("its mtime"));
}

TEST_CASE("owners and times may be base 256, times before 1970 too") {
  const auto entry = read_one(archive({.path = "f", .uid = base256(4000000000, 8), .mtime = base256(-2, 12)}));
  CHECK(entry.uid == 4000000000);
  CHECK(entry.mtime == Timestamp{-2, 0});
}

TEST_CASE("an error names the entry, its ordinal and its offset") {
  TarBuilder tar;
  tar.add({.path = "a"}).pax({{"path", "usr/bin/x"}}).add({.path = "f", .size = "junk"});
  const std::string message = refusal(tar.bytes);
  CHECK_THAT(message, Contains("entry 2 ('usr/bin/x') at offset 512"));
  CHECK_THAT(refusal(TarBuilder().add({.path = "a"}).raw(std::string(512, 'z')).bytes),
             Contains("entry 2 at offset 512") && Contains("checksum"));
}

TEST_CASE("limits refuse what is too large, before it is in memory") {
  const TarLimits limits{.header_bytes = 1000, .extents = 4, .path_bytes = 50};
  const auto big = TarBuilder().pax({{"comment", std::string(2000, 'c')}}).add({.path = "f"}).end().bytes;
  CHECK_THAT(refusal(big, errc::limit_exceeded, limits), Contains("1000"));
  const auto claim = TarBuilder().add({.path = "x", .type = 'x', .size = "77777777777"}).bytes;
  CHECK_THAT(refusal(claim, errc::limit_exceeded), Contains("limit"));
  const auto path = archive({.path = std::string(51, 'p')});
  CHECK_THAT(refusal(path, errc::limit_exceeded, limits), Contains("51 bytes"));
  const auto link = archive({.path = "l", .type = '2', .link = std::string(51, 'p')});
  CHECK_THAT(refusal(link, errc::limit_exceeded, limits), Contains("51 bytes"));
}

TEST_CASE("content that nobody asked for is shown as skipped") {
  TarBuilder tar;
  tar.add({.path = "a", .content = std::string(300000, 'a')}).add({.path = "b", .content = "b"}).end();
  MemorySource source{std::string_view(tar.bytes)};
  TarReader reader(source);
  Rebuild rebuild;
  reader.set_observer(&rebuild);
  REQUIRE(reader.next() != nullptr);
  REQUIRE(reader.next()->path == "b");
  CHECK(rebuild.skipped_bytes == 300000);
  REQUIRE(reader.next() == nullptr);
  CHECK(rebuild.skipped_bytes == 300001);
  CHECK((rebuild.text == tar.bytes));
}

TEST_CASE("a source that gives a byte at a time gives the same archive") {
  TarBuilder tar;
  tar.pax({{"path", std::string(700, 'p')}}).add({.path = "f", .content = std::string(1500, 'c')});
  tar.long_name("long").add({.path = "g", .content = "x"}).end();
  for (const std::size_t piece : {1U, 7U, 511U, 513U}) {
    const auto read = read_archive(tar.bytes, {}, piece);
    REQUIRE(read.entries.size() == 2);
    CHECK(read.entries[0].content == std::string(1500, 'c'));
    CHECK(read.entries[1].path == "long");
  }
}

TEST_CASE("a reader can be moved while it reads") {
  const auto bytes = TarBuilder().add({.path = "a", .content = "1"}).add({.path = "b"}).end().bytes;
  MemorySource source{std::string_view(bytes)};
  TarReader first(source);
  REQUIRE(first.next() != nullptr);
  TarReader second(std::move(first));
  CHECK(second.content().size() == 1);
  CHECK(second.next()->path == "b");
}
