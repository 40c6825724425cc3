#include <strata/error.hpp>
#include <strata/file_descriptor.hpp>
#include <strata/whiteout.hpp>

#include "support/catch.hpp"
#include "support/scratch.hpp"

#include <fcntl.h>
#include <sys/xattr.h>

#include <cerrno>
#include <string>

using namespace strata;

TEST_CASE("union forms are known by the names that a store records", "[whiteout]") {
  CHECK(to_string(UnionForm::overlay_trusted) == "overlay-trusted");
  CHECK(to_string(UnionForm::overlay_user) == "overlay-user");
  for (const UnionForm form : all_union_forms) CHECK(union_form_by_name(to_string(form)) == form);
  for (const char* name : {"", "overlay", "Overlay-User", "AUFS"}) {
    try {
      union_form_by_name(name);
      FAIL("it was taken");
    } catch (const Error& e) {
      CHECK(e.code() == errc::bad_argument);
      CHECK(e.subject() == quoted(name));
    }
  }
}

TEST_CASE("each form of the kernel has its namespace of attributes", "[whiteout]") {
  CHECK(overlay_prefix(UnionForm::overlay_trusted) == "trusted.overlay.");
  CHECK(overlay_prefix(UnionForm::overlay_user) == "user.overlay.");
  CHECK(overlay_prefix(UnionForm::overlay_xattr_trusted) == "trusted.overlay.");
  CHECK(overlay_prefix(UnionForm::overlay_xattr_user) == "user.overlay.");
  for (const UnionForm form : {UnionForm::fuse_overlayfs, UnionForm::aufs, UnionForm::unionfs_fuse})
    CHECK(overlay_prefix(form).empty());
}

TEST_CASE("the best form is one whose attributes this process can write", "[whiteout]") {
  const test::ScratchDirectory scratch;
  const FileDescriptor directory(::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(directory);
  const UnionForm form = best_union_form(directory.get());
  CHECK(::flistxattr(directory.get(), nullptr, 0) <= 0);  // it left nothing behind
  const int result = ::fsetxattr(directory.get(), "trusted.overlay.opaque", "y", 1, 0);
  INFO("setting trusted.overlay.opaque: " << (result == 0 ? 0 : errno));
  CHECK((form == UnionForm::overlay_trusted) == (result == 0));
}
