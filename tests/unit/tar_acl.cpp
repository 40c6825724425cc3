// POSIX ACLs: the text of PAX records, and the binary xattr that the kernel takes.
#include "support/catch.hpp"
#include "support/tar_builder.hpp"
#include "support/tar_reading.hpp"
#include "tar/acl.hpp"

using namespace strata;
using namespace strata::detail;
using namespace strata::test;
using Catch::Contains;

namespace {

const AclNames names{"joe", 1000, "staff", 50};

std::string text_of(std::string_view text) {
  std::string why;
  const auto value = acl_from_text(text, names, why);
  INFO(text << ": " << why);
  REQUIRE(value);
  const auto again = acl_to_text(*value);
  REQUIRE(again);
  return *again;
}

std::string refused(std::string_view text) {
  std::string why;
  CHECK_FALSE(acl_from_text(text, names, why));
  return why;
}

}  // namespace

TEST_CASE("an ACL becomes the kernel's xattr") {
  std::string why;
  const auto value = acl_from_text("user::rw-,user:1:r-x,group::r--,mask::rwx,other::---", names, why);
  REQUIRE(value);
  const auto entry = [](int tag, int permissions, const char* id) {
    return std::string{static_cast<char>(tag), '\0', static_cast<char>(permissions), '\0'} + std::string(id, 4);
  };
  CHECK(*value == std::string("\2\0\0\0", 4) + entry(1, 6, "\xff\xff\xff\xff") + entry(2, 5, "\1\0\0\0") +
                      entry(4, 4, "\xff\xff\xff\xff") + entry(0x10, 7, "\xff\xff\xff\xff") +
                      entry(0x20, 0, "\xff\xff\xff\xff"));
}

TEST_CASE("every spelling of an ACL is understood") {
  const std::string plain = "user::rwx,user:1000:r--,group::r-x,group:50:-w-,mask::rwx,other::r--";
  CHECK(text_of(plain) == plain);
  // GNU tar: lines, names, effective rights as comments.
  CHECK(text_of("user::rwx\nuser:joe:r--\t#effective:r--\ngroup::r-x\ngroup:staff:-w-\nmask::rwx\nother::r--\n") ==
        plain);
  // star and libarchive: the number after the name.
  CHECK(text_of("user::rwx,user:ann:r--:1000,group::r-x,group:x:-w-:50,mask::rwx,other::r--") == plain);
  // Short tags, no empty names, any order, the prefix of a default ACL.
  CHECK(text_of("o:r--,m:rwx,g::r-x,g:50:w,u:1000:r,u::rwx") == plain);
  CHECK(text_of("default:user::rwx,default:group::r-x,default:other::r--") == "user::rwx,group::r-x,other::r--");
}

TEST_CASE("entries of one kind are sorted by number") {
  CHECK(text_of("user::rwx,user:20:r--,user:3:r--,group::r--,mask::r--,other::r--") ==
        "user::rwx,user:3:r--,user:20:r--,group::r--,mask::r--,other::r--");
}

TEST_CASE("names are never looked up on the host") {
  CHECK(text_of("user::rwx,user:root:r--,group::r--,mask::r--,other::r--") ==
        "user::rwx,user:0:r--,group::r--,mask::r--,other::r--");
  CHECK_THAT(refused("user::rwx,user:daemon:r--,group::r--,mask::r--,other::r--"), Contains("'daemon'"));
  CHECK_THAT(refused("user::rwx,group:joe:r--,group::r--,mask::r--,other::r--"), Contains("'joe'"));
}

TEST_CASE("a malformed ACL is refused by the entry") {
  for (const char* bad : {"user", "user:", "user::rwq", "nobody::rwx", "mask:5:rwx", "user:4294967295:r--", "u:x"}) {
    INFO(bad);
    CHECK_FALSE(refused(bad).empty());
  }
  for (const char* incomplete :
       {"", " # nothing\n", "user::rwx", "user::rwx,group::r--", "user::rwx,user::r--,group::r--,other::r--",
        "user::rwx,user:5:r--,group::r--,other::r--", "user::rwx,group::r--,mask::r--,mask::r--,other::r--"}) {
    CHECK_THAT(refused(incomplete), Contains("lacks an entry"));
  }
}

TEST_CASE("a value that is no ACL has no text") {
  using namespace std::string_literals;
  CHECK_FALSE(acl_to_text(""));
  CHECK_FALSE(acl_to_text("\1\0\0\0"s));
  CHECK_FALSE(acl_to_text("\2\0\0\0\1\0\6\0"s));
  CHECK_FALSE(acl_to_text("\2\0\0\0\3\0\6\0\0\0\0\0"s));
  CHECK(acl_to_text("\2\0\0\0"s) == "");
}

TEST_CASE("an ACL gets other ids, and loses the entries that have none") {
  using namespace std::string_literals;
  std::string why;
  const auto value =
      acl_from_text("user::rw-,user:3:r--,user:4:rwx,group::r--,group:3:-w-,mask::rwx,other::---", names, why).value();
  const AclIds ids = [](bool group, std::uint32_t id) {
    return id == 4 ? std::nullopt : std::optional(id + (group ? 2000 : 1000));
  };
  CHECK(acl_to_text(acl_with_ids(value, ids)) ==
        "user::rw-,user:1003:r--,group::r--,group:2003:-w-,mask::rwx,other::---");
  CHECK(acl_with_ids("", ids).empty());
  for (const auto& invalid : {"raw"s, value + "x", "\1" + value.substr(1), "\2\0\0\0\3\0\6\0\0\0\0\0"s})
    CHECK(acl_with_ids(invalid, ids) == invalid);
}

TEST_CASE("an entry's ACLs become xattrs, unless those are there themselves") {
  const std::string acl = "user::rw-,user:joe:r--:7,group::r--,mask::r--,other::r--";
  const auto text = TarBuilder()
                        .pax({{"SCHILY.acl.access", acl}, {"SCHILY.acl.default", acl}})
                        .add({.path = "d", .type = '5'})
                        .end()
                        .bytes;
  const auto entry = read_one(text);
  REQUIRE(entry.xattrs.size() == 2);
  CHECK(acl_to_text(entry.xattrs.at("system.posix_acl_access")) ==
        "user::rw-,user:7:r--,group::r--,mask::r--,other::r--");
  CHECK(entry.xattrs.at("system.posix_acl_access") == entry.xattrs.at("system.posix_acl_default"));
  CHECK(entry.other_records.empty());

  const auto both = TarBuilder()
                        .pax({{"SCHILY.acl.access", acl}, {"SCHILY.xattr.system.posix_acl_access", "raw"}})
                        .add({.path = "f"})
                        .end()
                        .bytes;
  CHECK(read_one(both).xattrs.at("system.posix_acl_access") == "raw");
}

TEST_CASE("an ACL with a name of nobody known is left out whole, and reported") {
  const auto bytes = TarBuilder()
                         .pax({{"SCHILY.acl.access", "user::rw-,user:ann:r--,group::r--,mask::r--,other::r--"}})
                         .add({.path = "f"})
                         .end()
                         .bytes;
  const auto read = read_archive(bytes);
  CHECK(read.entries.at(0).xattrs.empty());
  CHECK(read.reported("'ann'"));
}

TEST_CASE("the entry's own owner is a name that is known") {
  const auto bytes = TarBuilder()
                         .pax({{"SCHILY.acl.access", "user::rw-,user:ann:r--,group::r--,mask::r--,other::r--"}})
                         .add({.path = "f", .uid = "0000005", .user_name = "ann"})
                         .end()
                         .bytes;
  CHECK(acl_to_text(read_one(bytes).xattrs.at("system.posix_acl_access")) ==
        "user::rw-,user:5:r--,group::r--,mask::r--,other::r--");
}

TEST_CASE("an access ACL decides the mode, as it does on disk") {
  const auto bytes = TarBuilder()
                         .pax({{"SCHILY.acl.access", "user::rwx,user:4:rw-,group::r--,mask::rwx,other::--x"}})
                         .add({.path = "f", .mode = "0004741"})
                         .end()
                         .bytes;
  CHECK(read_one(bytes).mode == 04771);
  const auto without_mask =
      TarBuilder().pax({{"SCHILY.acl.access", "user::rw-,group::r--,other::---"}}).add({.path = "f"}).end().bytes;
  CHECK(read_one(without_mask).mode == 0640);
}
