// TarWriter: what it writes is what TarReader gives back, in the simplest form that holds it, always the same.
#include "support/catch.hpp"
#include "support/tar_reading.hpp"
#include "tar/acl.hpp"

#include <limits>
#include <random>

using namespace strata;
using namespace strata::test;
using Catch::Contains;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string written(const std::vector<ReadEntry>& entries) {
  MemorySink sink;
  TarWriter writer(sink);
  for (const auto& entry : entries) {
    writer.add(entry);
    // In two pieces, to see that pieces don't matter.
    const std::size_t half = entry.content.size() / 2;
    writer.content(bytes_of(entry.content).first(half));
    writer.content(bytes_of(entry.content).subspan(half));
  }
  writer.finish();
  CHECK(writer.offset() == sink.text().size());
  return sink.take();
}

ReadEntry file(const std::string& path, const std::string& content = {}) {
  ReadEntry entry;
  entry.path = path;
  entry.mode = 0644;
  entry.content = content;
  entry.size = entry.stored_size = content.size();
  return entry;
}

ReadEntry of_type(TarType type, const std::string& path, const std::string& link = {}) {
  ReadEntry entry = file(path);
  entry.type = type;
  entry.link = link;
  return entry;
}

void check_same(const ReadEntry& a, const ReadEntry& b) {
  INFO(a.path);
  CHECK(a.path == b.path);
  CHECK(a.link == b.link);
  CHECK(a.type == b.type);
  CHECK(a.mode == b.mode);
  CHECK(a.uid == b.uid);
  CHECK(a.gid == b.gid);
  CHECK(a.user_name == b.user_name);
  CHECK(a.group_name == b.group_name);
  CHECK(a.size == b.size);
  CHECK(a.stored_size == b.stored_size);
  CHECK(a.mtime == b.mtime);
  CHECK(a.atime == b.atime);
  CHECK(a.ctime == b.ctime);
  CHECK(a.device_major == b.device_major);
  CHECK(a.device_minor == b.device_minor);
  CHECK(a.xattrs == b.xattrs);
  CHECK(a.extents == b.extents);
  CHECK(a.sparse == b.sparse);
  CHECK(a.other_records == b.other_records);
  CHECK((a.content == b.content));
}

void check_round_trip(const ReadEntry& entry) { check_same(read_one(written({entry})), entry); }

std::string refused(const TarEntry& entry) {
  MemorySink sink;
  TarWriter writer(sink);
  try {
    writer.add(entry);
  } catch (const Error& e) {
    CHECK(e.code() == errc::bad_argument);
    CHECK(sink.text().empty());
    return e.what();
  }
  return {};
}

bool has_pax(const std::string& archive) { return archive[156] == 'x'; }

}  // namespace

TEST_CASE("an entry that fits is plain ustar") {
  auto entry = file("usr/bin/tool", "hello");
  entry.mode = 06755;
  entry.uid = 07777777;
  entry.gid = 07777777;
  entry.mtime = {077777777777, 0};
  entry.user_name = std::string(32, 'u');
  entry.group_name = "g";
  const std::string archive = written({entry});
  CHECK(archive.size() == 512 * 4);
  CHECK(archive.substr(257, 8) == std::string("ustar\00000", 8));
  check_same(read_one(archive), entry);
}

TEST_CASE("every type is written and read back") {
  for (const auto& entry : {of_type(TarType::directory, "d/"), of_type(TarType::symlink, "s", "../to"),
                            of_type(TarType::hardlink, "h", "d/f"), of_type(TarType::fifo, "p")}) {
    CHECK_FALSE(has_pax(written({entry})));
    check_round_trip(entry);
  }
  auto device = of_type(TarType::character, "c");
  device.device_major = 4095;
  device.device_minor = 1048575;
  CHECK_FALSE(has_pax(written({device})));
  check_round_trip(device);
  device.type = TarType::block;
  device.device_minor = 0xFFFFFFFF;
  check_round_trip(device);
}

TEST_CASE("a directory's name ends in a slash, once") {
  CHECK(read_one(written({of_type(TarType::directory, "d")})).path == "d/");
  CHECK(read_one(written({of_type(TarType::directory, "./")})).path == "./");
}

TEST_CASE("a long path is split where it can be, else PAX") {
  const std::string part(50, 'p');
  const auto is_plain = [](const std::string& path) {
    check_round_trip(file(path));
    return !has_pax(written({file(path)}));
  };
  CHECK(is_plain(std::string(100, 'n')));
  CHECK_FALSE(is_plain(std::string(101, 'n')));
  CHECK(is_plain(std::string(155, 'p') + '/' + std::string(100, 'n')));
  CHECK_FALSE(is_plain(std::string(156, 'p') + '/' + std::string(100, 'n')));
  CHECK_FALSE(is_plain(std::string(155, 'p') + '/' + std::string(101, 'n')));
  CHECK(is_plain(part + '/' + part + '/' + part));
  CHECK_FALSE(is_plain('/' + std::string(100, 'n')));
  CHECK(is_plain("//" + std::string(100, 'n')));
  CHECK_FALSE(is_plain(std::string(5000, 'n')));
  check_round_trip(of_type(TarType::directory, std::string(100, 'd') + '/'));
  check_round_trip(of_type(TarType::directory, part + '/' + part + "/d/"));
  for (std::size_t size = 90; size < 270; ++size) {
    std::string path(size, 'x');
    for (std::size_t i = 40; i + 1 < size; i += 41) path[i] = '/';
    check_round_trip(file(path));
    check_round_trip(of_type(TarType::directory, path + '/'));
  }
}

TEST_CASE("what ustar has no room for goes into one PAX header") {
  auto entry = file("caf\xe9/" + std::string(300, 'n'), "content");
  entry.uid = 010000000;
  entry.gid = 4294967294;
  entry.mtime = {-2, 500000000};
  entry.atime = Timestamp{1, 2};
  entry.ctime = Timestamp{077777777777 + 1LL, 0};
  entry.user_name = std::string(33, 'u');
  entry.group_name = std::string(40, 'g');
  entry.xattrs = {{"user.empty", ""}, {"user.binary", std::string("\0\n=\xff", 4)}, {"user.a=b", "equals"}};
  entry.other_records = {{"VENDOR.key", "kept"}};
  const std::string archive = written({entry});
  CHECK(has_pax(archive));
  CHECK(archive.substr(0, 12) == "PaxHeaders/n");
  check_same(read_one(archive), entry);

  auto link = of_type(TarType::symlink, "l", std::string(101, 't'));
  CHECK(has_pax(written({link})));
  check_round_trip(link);
}

TEST_CASE("times outside of ustar's range are written in PAX") {
  for (const Timestamp time : {Timestamp{0, 1}, Timestamp{-1, 0}, Timestamp{-1, 999999999},
                               Timestamp{077777777777 + 1LL, 0}, Timestamp{std::numeric_limits<std::int64_t>::max(), 5},
                               Timestamp{-std::numeric_limits<std::int64_t>::max(), 0}}) {
    auto entry = file("f");
    entry.mtime = time;
    CHECK(has_pax(written({entry})));
    check_round_trip(entry);
  }
}

TEST_CASE("a size beyond 8 GiB is written in PAX") {
  MemorySink sink;
  TarWriter writer(sink);
  auto entry = file("f");
  entry.size = 0100000000000;
  writer.add(entry);
  MemorySource source{std::string_view(sink.text())};
  TarReader reader(source);
  CHECK(reader.next()->size == 0100000000000);
}

TEST_CASE("the same entries give the same bytes") {
  auto entry = file("f", "x");
  entry.xattrs = {{"user.a", "1"}, {"user.b", "2"}};
  CHECK(written({entry, entry}) == written({entry, entry}));
  const std::string one = written({entry});
  CHECK(one.substr(136, 11) == "00000000000");
}

TEST_CASE("ACLs are written as text and as the kernel has them") {
  auto entry = of_type(TarType::directory, "d/");
  std::string why;
  const auto acl = *detail::acl_from_text("user::rwx,user:7:r--,group::r-x,mask::r-x,other::---", {}, why);
  entry.xattrs = {{"system.posix_acl_access", acl}, {"system.posix_acl_default", acl}};
  const std::string archive = written({entry});
  CHECK_THAT(archive, Contains("SCHILY.acl.access=user::rwx,user:7:r--,group::r-x,mask::r-x,other::---\n"));
  CHECK_THAT(archive, Contains("SCHILY.acl.default=user::rwx"));
  CHECK_THAT(archive, Contains("SCHILY.xattr.system.posix_acl_access="));
  check_same(read_one(archive), entry);
}

TEST_CASE("sparse files are written as GNU's 1.0") {
  auto entry = file("dir/sparse", "abcdefgh");
  entry.sparse = true;
  entry.size = 1 << 20;
  for (const std::vector<SparseExtent>& extents :
       {std::vector<SparseExtent>{{0, 8}}, {{4096, 3}, {8192, 5}}, {{(1 << 20) - 8, 8}}}) {
    entry.extents = extents;
    check_round_trip(entry);
  }
  std::vector<SparseExtent> many;
  for (std::uint64_t i = 0; i < 300; ++i) many.push_back({i * 1000, 1});
  entry.extents = many;
  entry.content = std::string(300, 'm');
  entry.stored_size = 300;
  check_round_trip(entry);
  entry.extents.clear();
  entry.content.clear();
  entry.stored_size = 0;
  check_round_trip(entry);
}

TEST_CASE("an entry that can't be meant is refused before a byte is written") {
  CHECK_THAT(refused(file("")), Contains("empty"));
  CHECK_THAT(refused(file(std::string("a\0b", 3))), Contains("NUL"));
  CHECK_THAT(refused(file("f/")), Contains("no directory"));
  CHECK_THAT(refused(of_type(TarType::symlink, "l")), Contains("without target"));
  CHECK_THAT(refused(of_type(TarType::fifo, "p", "to")), Contains("no link"));
  auto entry = of_type(TarType::fifo, "p");
  entry.size = 1;
  CHECK_THAT(refused(entry), Contains("no content"));
  entry = file("f");
  entry.mode = 010000;
  CHECK_THAT(refused(entry), Contains("permission bits"));
  entry = file("f");
  entry.xattrs = {{"", "v"}};
  CHECK_THAT(refused(entry), Contains("xattr"));
  entry.xattrs = {{"system.posix_acl_access", "no ACL"}};
  CHECK_THAT(refused(entry), Contains("no ACL"));
  entry = file("f");
  entry.other_records = {{"a=b", "v"}};
  CHECK_THAT(refused(entry), Contains("keyword"));
  entry = file("f", "abc");
  entry.sparse = true;
  for (const std::vector<SparseExtent>& bad :
       {std::vector<SparseExtent>{{0, 2}}, {{0, 2}, {1, 1}}, {{2, 1}, {0, 2}}, {{1, 3}}, {{~0ULL, 3}}}) {
    entry.extents = bad;
    CHECK_THAT(refused(entry), Contains("extents"));
  }
}

TEST_CASE("content must be as long as its entry says") {
  MemorySink sink;
  TarWriter writer(sink);
  writer.add(file("first", "abc"));
  CHECK_THROWS_WITH(writer.add(file("second")), Contains("'first' still lacks 3 bytes"));
  writer.content(bytes_of("ab"));
  CHECK_THROWS_WITH(writer.finish(), Contains("still lacks 1 byte"));
  CHECK_THROWS_WITH(writer.content(bytes_of("cd")), Contains("1 bytes longer"));
  writer.content(bytes_of("c"));
  writer.finish();
  CHECK_THROWS_WITH(writer.add(file("late")), Contains("finished"));
  CHECK(read_one(sink.text()).content == "abc");
}

TEST_CASE("random entries come back as they were") {
  std::mt19937 random(7);
  const auto below = [&](std::uint64_t n) { return static_cast<std::size_t>(random() % n); };
  const auto name = [&](std::size_t longest) {
    std::string text;
    for (std::size_t i = 0, size = 1 + below(longest); i < size; ++i) text += static_cast<char>(1 + below(255));
    for (char& c : text)
      if (below(20) == 0) c = '/';
    if (text.back() == '/') text.back() = 'x';
    return text;
  };
  std::vector<ReadEntry> entries;
  for (int i = 0; i < 300; ++i) {
    auto entry = file(name(400), std::string(below(3000), 'c'));
    entry.mode = static_cast<std::uint32_t>(below(010000));
    entry.uid = below(2) == 0 ? below(4000) : random();
    entry.gid = random();
    entry.mtime = {static_cast<std::int64_t>(random()) - 2000000000,
                   below(2) == 0 ? 0U : static_cast<std::uint32_t>(below(1000000000))};
    entry.user_name = name(50);
    while (below(2) == 0) entry.xattrs["user." + name(60)] = std::string(below(100), static_cast<char>(below(256)));
    if (below(4) == 0) {
      entry.type = TarType::symlink;
      entry.link = name(300);
      entry.content.clear();
      entry.size = entry.stored_size = 0;
    }
    entries.push_back(entry);
  }
  const auto read = read_archive(written(entries));
  REQUIRE(read.entries.size() == entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) check_same(read.entries[i], entries[i]);
}
