#include "transport/file_range.hpp"

#include <strata/error.hpp>

#include "sys.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <utility>

namespace strata::detail {

namespace {

/// What one call reads, so that a stop token is seen in time.
constexpr std::size_t most_at_once = 1U << 20;

}  // namespace

FileRange FileRange::from(std::uint64_t skip) const {
  skip = std::min(skip, size);
  return {.file = file, .offset = offset + skip, .size = size - skip};
}

RangeSource::RangeSource(FileRange range, std::string name, std::stop_token stop)
    : rest_(std::move(range)), size_(rest_.size), name_(std::move(name)), stop_(std::move(stop)) {}

std::size_t RangeSource::read(std::span<std::byte> into) {
  if (stop_.stop_requested()) throw_error(errc::cancelled, "read", name_);
  if (rest_.size == 0) return 0;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>({into.size(), rest_.size, most_at_once}));
  const ssize_t n = sys::pread(rest_.file->get(), into.data(), size, static_cast<off_t>(rest_.offset));
  if (n < 0) throw_errno(errno, "read", name_);
  if (n == 0) throw_error(errc::bad_archive, "read", name_, "its file has become shorter");
  rest_ = rest_.from(static_cast<std::uint64_t>(n));
  return static_cast<std::size_t>(n);
}

std::string read_range(const FileRange& range, std::uint64_t most, const std::string& name,
                       const std::stop_token& stop) {
  if (range.size > most)
    throw_error(errc::limit_exceeded, "read", name,
                "it has " + std::to_string(range.size) + " bytes, more than " + std::to_string(most));
  RangeSource source(range, name, stop);
  MemorySink sink;
  copy(source, sink);
  return sink.take();
}

std::string read_head(const FileRange& range, std::size_t size, const std::string& name) {
  return read_range({.file = range.file, .offset = range.offset, .size = std::min<std::uint64_t>(range.size, size)},
                    size, name, {});
}

DirectoryFiles::DirectoryFiles(const boost::filesystem::path& directory)
    : directory_(open_directory(directory)), shown_(directory.native()) {}

std::optional<FileRange> DirectoryFiles::find(const std::string& path) const {
  // Not to wait for a fifo that someone put there.
  auto file = std::make_shared<FileDescriptor>(
      try_open_beneath(directory_.get(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY, shown_));
  if (!*file) return std::nullopt;
  const Metadata found = stat_of(file->get(), shown_path(shown_, path));
  if (!found.is_file()) return std::nullopt;
  return FileRange{.file = std::move(file), .size = found.size};
}

}  // namespace strata::detail
