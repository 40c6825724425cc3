// A tar that is written into a file beside the one that it becomes.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/file_descriptor.hpp>

#include "transport/unfinished_file.hpp"

#include <boost/filesystem/path.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace strata::detail {

/// Members have no owner, no time and the mode 0644, directories 0755: the same contents give the same bytes. A member
/// whose content throws isn't in it.
class NewArchive {
 public:
  using Content = std::function<void(ByteSink& to)>;

  explicit NewArchive(const boost::filesystem::path& file);

  void add_directory(const std::string& name);
  void add(const std::string& name, std::string_view content);
  void add(const std::string& name, std::uint64_t size, const Content& content);
  /// One whose size, and name, show only when it was written: `content` returns the name, which is of at most 100
  /// bytes.
  void add_unsized(const std::function<std::string(ByteSink& to)>& content);
  /// Ends it and gives it its name, on the disk too.
  void finish();

 private:
  void undo_if_thrown(const std::function<void()>& work);

  std::string shown_;
  std::string name_;  ///< in the directory
  FileDescriptor directory_;
  std::optional<UnfinishedFile> file_;
  std::uint64_t end_ = 0;  ///< of the members so far
};

}  // namespace strata::detail
