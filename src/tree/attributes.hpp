// Owner, mode, times and extended attributes of a file: giving them to it, in the one order that keeps them all (A15).
#pragma once

#include <strata/report.hpp>
#include <strata/tar.hpp>

#include "tree/directory.hpp"

#include <string>

namespace strata::detail {

struct Attributes {
  std::uint32_t mode = 0755;  ///< permission bits
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  Timestamp mtime;
  Xattrs xattrs;
};

Attributes attributes_of(const TarEntry& entry);
Attributes attributes_of(const Metadata& metadata, Xattrs xattrs);

/// chmod of an entry `name` of `dir`, never followed, whatever another process puts at that name meanwhile. What the
/// kernel returns: -1 and errno. A symlink's mode can't be changed.
int change_mode(int dir, const std::string& name, mode_t mode);

/// Gives attributes to files. What can't be given (an owner that the user namespace doesn't map, a trusted attribute of
/// an ordinary user) is an error or an event, as Owners and Conformance say.
struct ObjectSetter {
  Owners owners;
  Report& report;
  Conformance conformance;
  bool* altered;  ///< set once a file got another owner, time or attribute than asked for
  /// Whose new files are; asked once, not for each file.
  uid_t own_uid = ::geteuid();
  gid_t own_gid = ::getegid();

  /// Whether set_file has nothing to report of these, whatever happens: they are given, or it throws. Then any thread
  /// may call it.
  bool gives_silently(const Attributes& attributes) const;
  /// A regular file just created with `created_mode` by this process and open for writing.
  void set_file(int fd, const Attributes& attributes, std::uint32_t created_mode, const std::string& path) const;
  /// Anything else that was just created: `name` in `dir`; never followed. A symlink has no mode.
  void set_node(int dir, const std::string& name, mode_t type, const Attributes& attributes,
                const std::string& path) const;
  /// A directory that may have attributes already: all are replaced, other xattrs removed (A10); times are left to
  /// set_times.
  void replace_directory(int fd, const Attributes& attributes, const std::string& path) const;
  static void set_times(int dir, const std::string& name, const Timestamp& mtime, const std::string& path);
  /// Of what is open, not with O_PATH; of a directory whatever its mode is.
  static void set_times(int fd, const Timestamp& mtime, const std::string& path);

 private:
  void note_acl(const std::string& name) const;
  void check_time(const Metadata& now, const Attributes& attributes, const std::string& path) const;
  void owner_failed(int error, const Attributes& attributes, const std::string& path) const;
  void xattr_failed(int error, const std::string& name, const std::string& path) const;
};

}  // namespace strata::detail
