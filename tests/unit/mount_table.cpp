#include <strata/mount_plan.hpp>

#include "mount/mount_table.hpp"
#include "support/catch.hpp"

using namespace strata;

TEST_CASE("a line of the mount table is read, whatever optional fields it has") {
  const auto entries = detail::parse_mount_table(
      "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
      "37 35 0:5 / /a\\040b\\012c\\134d ro,relatime shared:2 master:1 propagate_from:2 - overlay strata:x "
      "rw,lowerdir=/l\n"
      "38 35 0:6 / /plain rw - fuse.x y ro\n");
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].id == 36);
  CHECK(entries[0].target == "/mnt2");
  CHECK(entries[0].type == "ext3");
  CHECK(entries[0].source == "/dev/root");
  CHECK(entries[0].options == "rw,errors=continue");
  CHECK_FALSE(entries[0].read_only);
  CHECK(entries[1].target == "/a b\nc\\d");
  CHECK(entries[1].source == "strata:x");
  CHECK(entries[1].read_only);
  CHECK(entries[2].type == "fuse.x");
  CHECK(entries[2].read_only);
}

TEST_CASE("a line is as long as it is") {
  const std::string lowers(200000, 'x');
  const auto entries = detail::parse_mount_table("1 2 0:1 / /m rw - overlay s rw,lowerdir=" + lowers);
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].options.size() == lowers.size() + 12);
}

TEST_CASE("an empty source is kept, and lines that are none are passed over") {
  const auto entries = detail::parse_mount_table("1 2 0:1 / /m rw - tmpfs  rw\n\nnonsense\n7 1 0:1 / /n rw\n");
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].source.empty());
  CHECK(entries[0].options == "rw");
  CHECK(entries[1].type.empty());
}

TEST_CASE("only three octal digits after a backslash are an escape") {
  CHECK(detail::unescape_octal("a\\054b") == "a,b");
  CHECK(detail::unescape_octal("\\134040") == "\\040");
  CHECK(detail::unescape_octal("\\377") == "\xff");
  CHECK(detail::unescape_octal("a\\9") == "a\\9");
  CHECK(detail::unescape_octal("a\\04") == "a\\04");
  CHECK(detail::unescape_octal("\\") == "\\");
}

TEST_CASE("an option is found by its whole name") {
  CHECK(detail::mount_option("rw,xindex=on,index=off,volatile", "index") == "off");
  CHECK(detail::mount_option("rw,volatile", "volatile") == "");
  CHECK_FALSE(detail::mount_option("rw,index=off", "inde"));
  CHECK_FALSE(detail::mount_option("", "rw"));
}

TEST_CASE("this process's own table has its root") {
  bool found = false;
  for (const auto& entry : mount_table()) found = found || entry.target == "/";
  CHECK(found);
}

TEST_CASE("an overlay's layers are read, one by one and from a list") {
  const auto one_by_one = detail::overlay_layers(
      "rw,lowerdir+=/a:b,lowerdir+=/c\\054d,datadir+=/e\\040f,upperdir=/u\\134,workdir=/w,index=off");
  CHECK(one_by_one.lowers == std::vector<boost::filesystem::path>{"/a:b", "/c,d"});
  CHECK(one_by_one.data_only == std::vector<boost::filesystem::path>{"/e f"});
  CHECK(one_by_one.upper == "/u\\");
  CHECK(one_by_one.work == "/w");
  const auto list = detail::overlay_layers(
      "ro,lowerdir=/a\\134:b:/c\\134\\054d:/e\\134\\134f:/g\\072h::/i::/j,upperdir=/k\\134\\134l,workdir=/"
      "m\\134\\054n");
  CHECK(list.lowers == std::vector<boost::filesystem::path>{"/a:b", "/c,d", "/e\\f", "/g:h"});
  CHECK(list.data_only == std::vector<boost::filesystem::path>{"/i", "/j"});
  CHECK(list.upper == "/k\\l");
  CHECK(list.work == "/m,n");
  CHECK(detail::overlay_layers("lowerdir=").lowers.empty());
  CHECK(detail::overlay_layers("lowerdir").lowers.empty());
  CHECK(detail::overlay_layers("").lowers.empty());
  CHECK(detail::overlay_layers("lowerdir=a\\").lowers.size() == 1);
}
