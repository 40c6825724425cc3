// Tells a ChangeSink what a walk found: turns files into tar entries, and sends their content.
#pragma once

#include "diff/changes.hpp"
#include "diff/compare.hpp"
#include "diff/file_content.hpp"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::detail {

class Teller {
 public:
  Teller(ChangeSink& sink, const ChangeOptions& options, Report& report);

  /// Anything there is; `path` as in the tar. `content`: of a file with one name, where it was read already.
  void tell(const std::string& path, const Seen& file, const SmallFile* content = nullptr);
  /// `directory` is "" or ends in '/'.
  void tell_whiteout(const std::string& directory, std::string_view name);
  void tell_opaque(const std::string& directory);

  /// Throws errc::cancelled where the caller wants no more.
  void check_stop() const;

 private:
  void tell_small(const std::string& path, const Seen& file, const SmallFile& content);
  void tell_content(const TarEntry& entry, int fd, const std::string& shown);
  void tell_marker(std::string path);
  TarEntry entry_of(const std::string& path, const Seen& file, const Metadata& metadata);
  void add(const TarEntry& entry);
  void advance(std::uint64_t bytes);

  ChangeSink& sink_;
  const ChangeOptions& options_;
  Report& report_;
  /// Inodes with several names that were told, and their first name.
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;
  std::vector<std::byte> buffer_;
  Progress progress_;
  std::uint64_t next_progress_ = 0;
};

}  // namespace strata::detail
