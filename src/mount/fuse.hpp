// Filesystems that a program serves.
#pragma once

#include <strata/file_descriptor.hpp>
#include <strata/mount_plan.hpp>

#include "base/program.hpp"

#include <boost/filesystem/path.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// Why no program can serve a filesystem here, and what would help; empty: one can.
std::string why_no_fuse();

/// A plan's directories as a program is told of them, by words in a list.
class DirectoryNames {
 public:
  /// `special`: what means something in the list.
  DirectoryNames(const MountPlan& plan, std::string_view special);
  /// A name as it is, or, where that could mean something else, that of a descriptor, which the program has to inherit.
  std::string of(const boost::filesystem::path& directory);
  std::vector<int> kept() const;

 private:
  std::string special_;
  bool by_descriptor_;
  std::vector<FileDescriptor> kept_;
};

/// Runs a program that goes to the background once it serves. Throws Error with what it said where it doesn't;
/// `subject` is what it was to serve, and `package` has it in Debian.
ProgramResult run_fuse_program(const std::vector<std::string>& program, const std::vector<int>& kept,
                               const std::string& subject, const std::string& package);

/// Mounts a filesystem of type "fuse.SUBTYPE" at plan.target, which `program` serves, a word each, and a last one that
/// names its end of it. It inherits `kept`. Throws Error with what it said; then nothing is mounted.
void mount_fuse(const MountPlan& plan, const std::string& subtype, std::vector<std::string> program,
                std::vector<int> kept);

/// Takes down what is mounted there, if a program serves it, or did until it died.
void unmount_fuse(const std::string& target, std::string_view what);

}  // namespace strata::detail
