// The files of a plain tar, read where they lie.
#pragma once

#include <strata/tar.hpp>

#include "transport/file_range.hpp"

#include <boost/filesystem/path.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

namespace strata::detail {

/// Finds all members once, passing over their contents; of several with one name the last counts, as it does to a tar
/// that unpacks them. Symlinks and hardlinks are followed within the archive, and nowhere else.
class ArchiveFiles final : public ImageFiles {
 public:
  /// Members of one archive, and bytes of their names: images have some hundreds, of about 100 bytes.
  static constexpr std::uint64_t most_members = 1U << 16;
  static constexpr std::uint64_t most_name_bytes = 16U << 20;

  /// Throws errc::unsupported for a compressed one, errc::bad_archive, errc::limit_exceeded.
  explicit ArchiveFiles(const boost::filesystem::path& file);

  /// errc::unsupported for a sparse member.
  std::optional<FileRange> find(const std::string& path) const override;

 private:
  struct Member {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    bool sparse = false;
    std::string link = {};  ///< where a symlink leads, from the archive's root; empty: it is a file
  };

  void refuse_compressed() const;
  void scan();
  void note(const TarEntry& entry, std::uint64_t content);

  FileRange whole_;
  std::string shown_;
  std::unordered_map<std::string, Member> members_;
};

/// "a//b/./c" as "a/b/c", and each ".." without what is before it; nullopt where it leads out, or to the root.
std::optional<std::string> path_in_archive(const std::string& path);

}  // namespace strata::detail
