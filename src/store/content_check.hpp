// Whether a file holds the content that a tree recorded.
#pragma once

#include "store/expected.hpp"

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace strata::detail {

/// Reads files, one after another, with a buffer of its own. Used by one thread at a time.
class ContentCheck {
 public:
  explicit ContentCheck(std::stop_token stop);

  /// Whether what the checksum covers is as recorded, and the rest of the file's `size` bytes are zeros. `extents`
  /// empty: it covers all. Throws Error that shows `path`, errc::cancelled among them.
  bool matches(int fd, std::uint64_t size, const std::vector<SparseExtent>& extents, const ContentChecksum& checksum,
               const std::string& path);
  /// Whether a file has nothing but zeros from here to there. Holes cost nothing.
  bool is_blank(int fd, std::uint64_t from, std::uint64_t to, const std::string& path);

 private:
  /// Shows all bytes of a range to `see`, until it returns false or the file ends. False: not all was seen.
  template <class See>
  bool read(int fd, std::uint64_t from, std::uint64_t to, const std::string& path, See see);

  /// All of a file that the buffer has room for: without the state that pieces need, which is most of the work on a
  /// small one.
  bool matches(int fd, std::size_t size, const ContentChecksum& checksum, const std::string& path);

  std::stop_token stop_;
  static constexpr std::size_t buffer_size = 256U << 10;
  std::unique_ptr<std::byte[]> buffer_;  // not zeroed: small layers touch little of it
};

}  // namespace strata::detail
