// Where bytes come from and go to: two small interfaces that files, descriptors, memory, iostreams and a host's own
// transports implement. They are the only virtual calls on the way of the data, one for each block of it.
#pragma once

#include <strata/export.hpp>
#include <strata/file_descriptor.hpp>

#include <boost/filesystem/path.hpp>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace strata {

/// Bytes in order, once. Used by one thread at a time, which need not be the one that made it.
class STRATA_API ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills up to into.size() bytes (there is room for one), at least one unless the source has ended; 0 says that it
  /// has, and each later call says it again. Throws Error.
  virtual std::size_t read(std::span<std::byte> into) = 0;
  /// How many bytes it will give in all, where that is known.
  virtual std::optional<std::uint64_t> size() const { return std::nullopt; }
  /// What messages call it, fit to be shown: quoted() where it is a name.
  virtual std::string name() const { return "the input"; }
};

/// Takes bytes in order. Used by one thread at a time.
class STRATA_API ByteSink {
 public:
  virtual ~ByteSink() = default;
  /// Takes all of them. Throws Error.
  virtual void write(std::span<const std::byte> bytes) = 0;
  /// Nothing more will come: flushes and reports what only shows at the end. Called at most once; a sink that is
  /// destroyed without it may hold an incomplete stream.
  virtual void finish() {}
};

/// Reads a descriptor from where it stands. `name` is what messages call it.
class STRATA_API FileSource final : public ByteSource {
 public:
  FileSource(FileDescriptor fd, std::string name);
  std::size_t read(std::span<std::byte> into) override;
  std::optional<std::uint64_t> size() const override { return size_; }
  std::string name() const override { return name_; }

 private:
  FileDescriptor fd_;
  std::string name_;
  std::optional<std::uint64_t> size_;
};

/// Writes a descriptor from where it stands. Does not sync.
class STRATA_API FileSink final : public ByteSink {
 public:
  FileSink(FileDescriptor fd, std::string name);
  void write(std::span<const std::byte> bytes) override;

 private:
  FileDescriptor fd_;
  std::string name_;
};

/// Reads memory that outlives it.
class STRATA_API MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::byte> bytes) : rest_(bytes), size_(bytes.size()) {}
  explicit MemorySource(std::string_view text) : MemorySource(std::as_bytes(std::span(text.data(), text.size()))) {}
  std::size_t read(std::span<std::byte> into) override;
  std::optional<std::uint64_t> size() const override { return size_; }

 private:
  std::span<const std::byte> rest_;
  std::uint64_t size_;
};

/// Appends to a string.
class STRATA_API MemorySink final : public ByteSink {
 public:
  void write(std::span<const std::byte> bytes) override;
  const std::string& text() const noexcept { return text_; }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// Reads a std::istream that outlives it.
class STRATA_API StreamSource final : public ByteSource {
 public:
  explicit StreamSource(std::istream& stream) : stream_(stream) {}
  std::size_t read(std::span<std::byte> into) override;

 private:
  std::istream& stream_;
};

/// Writes a std::ostream that outlives it.
class STRATA_API StreamSink final : public ByteSink {
 public:
  explicit StreamSink(std::ostream& stream) : stream_(stream) {}
  void write(std::span<const std::byte> bytes) override;
  void finish() override;

 private:
  std::ostream& stream_;
};

/// Counts and drops.
class STRATA_API NullSink final : public ByteSink {
 public:
  void write(std::span<const std::byte> bytes) override { size_ += bytes.size(); }
  std::uint64_t size() const noexcept { return size_; }

 private:
  std::uint64_t size_ = 0;
};

/// Opens a file for reading. Throws Error that names the path.
STRATA_API FileSource open_file(const boost::filesystem::path& path);
/// Creates or empties a file for writing, mode 0666 less the umask.
STRATA_API FileSink create_file(const boost::filesystem::path& path);
/// Copies everything, in blocks of 128 KiB; returns how much. Does not call sink.finish().
STRATA_API std::uint64_t copy(ByteSource& from, ByteSink& to);

}  // namespace strata
