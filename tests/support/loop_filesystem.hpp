// A filesystem of a kind in a file, for tests of root.
#pragma once

#include "support/namespace.hpp"

#include <boost/filesystem/operations.hpp>

#include <cstdint>
#include <cstdlib>
#include <string>

#include <sys/mount.h>
#include <unistd.h>

namespace strata::test {

/// Mounted for as long as this lives, in the private namespace alone.
class LoopFilesystem {
 public:
  /// `kind`: "btrfs", as mkfs.KIND knows it; `options`: more for that.
  explicit LoopFilesystem(const std::string& kind, const std::string& options = {}) {
    if (::geteuid() != 0 || private_namespace().user) {
      why_ = "only root may mount a " + kind + " from a file";
      return;
    }
    const boost::filesystem::path home = private_namespace().place / ("loop-" + kind + "-" + std::to_string(next()));
    boost::filesystem::create_directory(home);
    home_ = home;
    const std::string image = (home / "image").native(), place = (home / "fs").native();
    boost::filesystem::create_directory(place);
    const auto run = [](const std::string& command) {
      return std::system(("PATH=$PATH:/usr/sbin:/sbin; { " + command + "; } >/dev/null 2>&1").c_str()) == 0;
    };
    // The image is sparse, and needs memory for what is written only.
    if (!run("truncate -s 512M " + image + " && mkfs." + kind + " -q " + options + " " + image))
      why_ = "mkfs." + kind + " isn't there, or fails";
    else if (!run("mount -o loop " + image + " " + place))
      why_ = "this system can't mount a " + kind + " from a file";
    else
      place_ = place;
  }
  LoopFilesystem(const LoopFilesystem&) = delete;
  LoopFilesystem& operator=(const LoopFilesystem&) = delete;
  ~LoopFilesystem() {
    if (!place_.empty() && ::umount2(place_.c_str(), 0) != 0) ::umount2(place_.c_str(), MNT_DETACH);
    boost::system::error_code ignored;
    if (!home_.empty()) boost::filesystem::remove_all(home_, ignored);
  }

  /// Empty: there is none, and why_not() says why.
  const boost::filesystem::path& place() const { return place_; }
  const std::string& why_not() const { return why_; }

 private:
  static int next() {
    static int count = 0;
    return ++count;
  }
  boost::filesystem::path home_, place_;
  std::string why_;
};

}  // namespace strata::test
