// The tar format, read and written. Layers are tars, so this is strata's own: it keeps every byte that another
// reader drops (for export), and reads what is found in the wild: ustar and v7 (POSIX.1-1988), PAX (POSIX.1-2001) with
// the SCHILY, LIBARCHIVE and GNU vendor keys, GNU and star extensions, base-256 numbers, and four kinds of sparse
// files.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/export.hpp>
#include <strata/report.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace strata {

inline constexpr std::size_t tar_block = 512;

/// What an entry makes. Values are the type flags of POSIX.1; flags that mean the same ('\0', '7', 'S', 'D') are read
/// as `file` or `directory`, and so is a v7 file whose name ends in '/'. An unknown flag is a file, as POSIX asks, and
/// reported; parts of files of other volumes ('M') are refused.
enum class TarType : char {
  file = '0',
  hardlink = '1',
  symlink = '2',
  character = '3',
  block = '4',
  directory = '5',
  fifo = '6',
};

/// A point in time: `nanoseconds` (0 to 999,999,999) after `seconds` since 1970, which may be negative.
struct Timestamp {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

/// `size` bytes of data at `offset` of a sparse file; the rest of it are holes.
struct SparseExtent {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  friend bool operator==(const SparseExtent&, const SparseExtent&) = default;
};

/// Extended attributes: full name ("user.note", "security.capability") to raw value, sorted by name.
using Xattrs = std::map<std::string, std::string, std::less<>>;

/// One entry, after all extension headers before it were applied. Names are bytes, as in the archive: not normalised,
/// not checked, of no particular encoding, but without NUL.
struct TarEntry {
  std::string path;
  std::string link;  ///< target of a hardlink or symlink
  TarType type = TarType::file;
  std::uint32_t mode = 0;  ///< permission bits with set-id and sticky: 07777; where an ACL came as text, as it says
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::string user_name;  ///< informative only; owners are numbers
  std::string group_name;
  std::uint64_t size = 0;         ///< of the file; of a sparse one, holes included. 0 where the type has no content
  std::uint64_t stored_size = 0;  ///< bytes of content in the archive that content() gives
  Timestamp mtime;
  std::optional<Timestamp> atime;
  std::optional<Timestamp> ctime;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  Xattrs xattrs;  ///< SCHILY.xattr.*, LIBARCHIVE.xattr.*, and SCHILY.acl.* as system.posix_acl_*
  /// Of a sparse file, its data in ascending order, without overlap, summing to stored_size; else empty.
  std::vector<SparseExtent> extents;
  bool sparse = false;
  /// PAX records that strata has no field for, by keyword, global ones included.
  std::map<std::string, std::string, std::less<>> other_records;
  /// What the global PAX headers that stand right before it are called. (A reader's; TarWriter writes none.)
  std::vector<std::string> global_headers;
};

/// How an archive ended.
enum class TarEnd {
  marked,    ///< by two blocks of zeros
  half,      ///< by one block of zeros and nothing else
  unmarked,  ///< after a whole entry, without any marker
  cut,       ///< in the padding after an entry's content
};

/// What a reader refuses as too large, with errc::limit_exceeded. Defaults are far beyond what archivers write.
struct TarLimits {
  std::uint64_t header_bytes = 1 << 20;  ///< one PAX or GNU long-name header
  std::uint64_t extents = 1 << 20;       ///< data extents of one sparse file
  std::uint64_t path_bytes = 1 << 16;    ///< a path or link
};

/// Reads one archive, front to back, in bounded memory and one pass; the source must outlive it. Not thread safe.
///
///   while (const TarEntry* entry = reader.next())
///     for (auto piece = reader.content(); !piece.empty(); piece = reader.content()) …
///
/// Where an archive says a thing twice, it is read as Go's archive/tar reads it, and so containerd, Docker and umoci:
/// the last PAX header before an entry counts alone, a GNU long name wins over a PAX path, types without content have
/// none whatever their size. Global PAX records are defaults for all later entries, as POSIX has it, but for those that
/// can be meant for one file only (path, linkpath, size, sparse maps), which are left out and reported.
///
/// Whatever breaks the format throws Error with errc::bad_archive, the entry's ordinal and offset in the message;
/// the reader can't be used after that. Odd but readable things are reported under the rule "tar" and where
/// semantics.md has a rule, under that.
class STRATA_API TarReader {
 public:
  /// Shows every byte of the archive that is not content, in order: headers, padding, markers, what follows the
  /// end. Content that was not asked for is shown too, as `skipped` (it belongs to the entry that next() gave last).
  struct RawObserver {
    virtual ~RawObserver() = default;
    virtual void structure(std::span<const std::byte> bytes) = 0;
    virtual void skipped(std::span<const std::byte> bytes) { structure(bytes); }
  };

  explicit TarReader(ByteSource& source, TarLimits limits = {});
  ~TarReader();
  TarReader(TarReader&&) noexcept;
  TarReader& operator=(TarReader&&) noexcept;

  void set_observer(RawObserver* observer);
  /// Where odd things are reported; none: they are not.
  void set_report(Report* report);

  /// Moves to the next entry, passing over content that was not read. nullptr at the end of the archive, after the
  /// source has been read to its end. What it points to stays until the next call.
  const TarEntry* next();
  /// The next piece of the current entry's stored content, empty at its end. Valid until the next call of anything.
  std::span<const std::byte> content();
  /// While this is held, what content() gave last stays as it is, whatever is called meanwhile.
  std::shared_ptr<const void> content_owner();

  /// Offset in the archive of the current entry's first header block.
  std::uint64_t entry_offset() const;
  /// Bytes read so far.
  std::uint64_t offset() const;
  /// Entries given so far.
  std::uint64_t entries() const;
  /// How the archive ended; meaningful once next() has returned nullptr.
  TarEnd end() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes an archive: the same entries give the same bytes. ustar where an entry fits, with one PAX header before it
/// where it doesn't (long names, large numbers, sub-second or negative times, xattrs); names are stored as bytes. POSIX
/// ACLs are written both as xattrs, for Go's readers, and as text, for GNU tar and libarchive. The sink must outlive
/// it.
///
/// What can't be meant (an empty path, a NUL in a name, content of another length than its entry says) throws Error
/// with errc::bad_argument.
class STRATA_API TarWriter {
 public:
  explicit TarWriter(ByteSink& sink);
  ~TarWriter();
  TarWriter(TarWriter&&) noexcept;
  TarWriter& operator=(TarWriter&&) noexcept;

  /// Writes an entry's headers; for a file, entry.size bytes of content must follow (with entry.sparse: the data of
  /// its extents, written as PAX sparse 1.0). user_name, group_name, atime, ctime and other_records are written where
  /// they are set. A directory's name gets its '/'.
  void add(const TarEntry& entry);
  void content(std::span<const std::byte> bytes);
  /// Ends the archive with two blocks of zeros. Does not finish the sink.
  void finish();
  std::uint64_t offset() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strata
