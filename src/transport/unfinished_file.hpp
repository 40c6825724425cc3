// A file that gets its name once it is whole.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/file_descriptor.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace strata::detail {

/// Written under a name of its own (UnfinishedFile::prefix and random digits), which goes with it unless it is
/// published.
class UnfinishedFile final : public ByteSink {
 public:
  static constexpr std::string_view prefix = ".strata-";

  /// Mode 0666 less the umask. `dir` outlives it; `shown` is what messages call it.
  UnfinishedFile(int dir, std::string shown);
  ~UnfinishedFile() override;
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  void write(std::span<const std::byte> bytes) override;
  /// Bytes at a place before its end, which the end is not moved by.
  void write_at(std::uint64_t offset, std::string_view bytes);
  /// Cuts it, or lengthens it by a hole: what is written next comes there.
  void resize(std::uint64_t size);
  /// Syncs it and renames it, over what has that name. The directory's sync is the caller's.
  void publish(int dir, const std::string& name);

 private:
  int dir_;
  std::string shown_;
  std::string name_;  ///< empty once it is published
  FileDescriptor fd_;
};

}  // namespace strata::detail
