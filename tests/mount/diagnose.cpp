#include <strata/diagnose.hpp>

#include "support/mount_files.hpp"

#include <sys/stat.h>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

std::optional<Finding> find(const std::vector<Finding>& findings, const std::string& name) {
  for (const Finding& finding : findings)
    if (finding.name == name) return finding;
  return std::nullopt;
}

Finding::Verdict verdict_of(const std::vector<Finding>& findings, const std::string& name) {
  const auto finding = find(findings, name);
  CAPTURE(name);
  REQUIRE(finding);
  return finding->verdict;
}

}  // namespace

TEST_CASE("the kernel, the user and the filesystem are looked at, and nothing is left") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  const auto mounts = mount_table().size();
  const auto findings = diagnose(scratch.root());
  CHECK(fs::is_empty(scratch.root()));
  CHECK(mount_table().size() == mounts);
  for (const char* topic : {"kernel", "user", "filesystem"})
    CHECK(std::any_of(findings.begin(), findings.end(), [&](const auto& finding) { return finding.topic == topic; }));
  for (const Finding& finding : findings) {
    CAPTURE(finding.topic, finding.name, finding.value);
    CHECK_FALSE(finding.value.empty());
    CHECK(finding.remedy.empty() == (finding.verdict == Finding::Verdict::good));
  }
  for (const char* name : {"overlay", "mounting", "overlay upper", "CAP_SYS_ADMIN", "O_TMPFILE", "whiteout devices"})
    CHECK(verdict_of(findings, name) == Finding::Verdict::good);
  CHECK(verdict_of(findings, "trusted.* attributes") ==
        (private_namespace().user ? Finding::Verdict::limited : Finding::Verdict::good));
}

TEST_CASE("of a directory that doesn't exist yet the nearest above it is looked at") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  const auto findings = diagnose(scratch.root() / "not/yet");
  CHECK(find(findings, "directory")->value == scratch.root().native());
  CHECK(fs::is_empty(scratch.root()));
}

TEST_CASE("a filesystem that can't hold an upper is told") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  const fs::path small = scratch.directory("small");
  REQUIRE(::mount("tmpfs", small.c_str(), "tmpfs", 0, "nr_inodes=12,size=1m") == 0);
  const auto findings = diagnose(small);
  CHECK(find(findings, "type")->value == "tmpfs");
  CHECK(verdict_of(findings, "free space") == Finding::Verdict::limited);
  CHECK(verdict_of(findings, "free inodes") == Finding::Verdict::limited);
  REQUIRE(::mount(nullptr, small.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  CHECK(verdict_of(diagnose(small), "writing") == Finding::Verdict::bad);
  REQUIRE(::umount2(small.c_str(), MNT_DETACH) == 0);
}
