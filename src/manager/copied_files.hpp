// The files that a step of a build copies: what they are, as a key, and the copying of them into a root that isn't
// trusted.
#pragma once

#include <strata/digest.hpp>
#include <strata/file_descriptor.hpp>
#include <strata/tar.hpp>

#include <boost/filesystem/path.hpp>

#include <optional>
#include <stop_token>
#include <string>

namespace strata::detail {

struct CopyTarget {
  std::string to;  ///< in the root, whose own links lead nowhere else
  unsigned user = 0, group = 0;
  std::optional<Timestamp> time = {};  ///< of everything that is copied; unset: its own
};

/// A file, or what is in a directory. Links in it are copied as links. Throws errc::unsupported for what is neither
/// file, directory nor link.
class CopiedFiles {
 public:
  explicit CopiedFiles(const boost::filesystem::path& from);

  /// Names, modes, contents, and where they go to; times unless they are given.
  Digest key(const CopyTarget& target, const std::stop_token& stop) const;
  /// A file goes to the path `to`, or, where that is a directory or ends in '/', into it. Directories that are there
  /// keep their attributes, also where a link of the root leads to one; files and links replace what is there.
  void copy(const boost::filesystem::path& root, const CopyTarget& target, const std::stop_token& stop) const;

 private:
  boost::filesystem::path from_;
  FileDescriptor opened_;
};

}  // namespace strata::detail
