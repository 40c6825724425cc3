// A directory of a test's own, gone when it ends.
#pragma once

#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>

#include <sys/stat.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace strata::test {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string name = (boost::filesystem::temp_directory_path() / "strata-test-XXXXXX").native();
    if (!::mkdtemp(name.data())) throw std::runtime_error("cannot create " + name);
    ::chmod(name.c_str(), 0755);
    path_ = name;
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() {
    // Overlay's work/work has mode 0000, and a test may shut others: an ordinary user has to open them first.
    if (std::system(("chmod -R u+rwX '" + path_.native() + "' 2>/dev/null; rm -rf '" + path_.native() + "'").c_str()))
      std::fprintf(stderr, "cannot remove %s\n", path_.c_str());
  }

  const boost::filesystem::path& path() const { return path_; }
  /// A new directory in it.
  boost::filesystem::path directory(const std::string& name) const {
    boost::filesystem::create_directories(path_ / name);
    return path_ / name;
  }

 private:
  boost::filesystem::path path_;
};

}  // namespace strata::test
