// A place within a root filesystem that isn't trusted: its links lead wherever they like, but never out of it, as for a
// process that has it as its root.
#pragma once

#include <strata/file_descriptor.hpp>

#include <boost/filesystem/path.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// A directory of a root, and the way to it. Each name is looked up by itself, and never followed by the kernel, so
/// that no link, and nobody who moves directories meanwhile, leads out of the root.
class RootDirectory {
 public:
  /// The root itself; directories that are made belong to `user` and `group`.
  RootDirectory(const boost::filesystem::path& root, unsigned user, unsigned group);

  int fd() const { return way_.back().directory.get(); }
  /// "/etc/app", and of a name in it, for messages.
  std::string path(const std::string& name = {}) const;
  /// The directory, open for reading.
  FileDescriptor reopen() const;

  /// Goes to a directory, from here or, where `path` begins with '/', from the root; makes what isn't there.
  void walk(std::string_view path) { go(path, true); }
  /// Goes into one of this directory's, or where a link of this name leads. Whether it was made, with this mode.
  bool enter(const std::string& name, unsigned mode);
  /// Back to where the last enter() came from.
  void leave();
  /// Whether it is a directory, or a link that leads to one.
  bool is_directory(const std::string& name) const;
  /// Takes away what has this name; errc::already_exists where that is a directory.
  void make_room(const std::string& name);

 private:
  struct Step {
    FileDescriptor directory;
    std::string name;
  };
  RootDirectory(const RootDirectory& other);
  /// Whether it is there, in the end; `make`: it is.
  bool go(std::string_view path, bool make);
  bool step(const std::string& name, unsigned mode);

  unsigned user_, group_;
  std::vector<Step> way_;
  std::vector<std::vector<Step>> left_;  ///< where enter() came from: empty where it is one step up
};

}  // namespace strata::detail
