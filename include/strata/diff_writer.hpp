// DiffWriter: turns what changed into a layer tar, in one pass: from a container's upper directory (the cost grows
// with the change alone), or from any two trees.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/compression.hpp>
#include <strata/concepts.hpp>
#include <strata/container.hpp>
#include <strata/digest.hpp>
#include <strata/export.hpp>
#include <strata/hash.hpp>
#include <strata/id_map.hpp>
#include <strata/layer_store.hpp>
#include <strata/progress.hpp>
#include <strata/report.hpp>
#include <strata/whiteout.hpp>

#include <boost/filesystem/path.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace strata {

struct DiffOptions {
  /// Times after this (seconds since 1970) are written as this. Unset: SOURCE_DATE_EPOCH where the environment has it.
  std::optional<std::int64_t> latest_time = {};
  /// What the ids on the disk are in the layer. One that has none there ends the diff with errc::refused. (A container
  /// of a store has the ids of its layers, unless a mount of the host's own mapped them.)
  IdMap ids = {};
  /// Between two trees: a file that has the same type, mode, owner, size and time to the nanosecond in both is taken
  /// for the same, and neither its content nor its xattrs are read (as rsync does it). Much faster between trees that
  /// are copies of each other, and wrong where a time was set back, or a filesystem's clock is too coarse to tell. An
  /// upper is always read.
  bool trust_times = false;
  Control control = {};
};

/// What was written.
struct DiffResult {
  Digest diff_id;               ///< of the tar
  Digest blob;                  ///< of the bytes given to the sink
  std::uint64_t tar_size = 0;   ///< bytes
  std::uint64_t blob_size = 0;  ///< bytes
  std::uint64_t entries = 0;
  std::string media_type;
  Report report;
};

/// The compiled part of DiffWriter; hosts name DiffWriter. The same input gives the same bytes. Doesn't finish the
/// sink. Errors: Error; what the sink got by then is no layer. A file that can't be read, that changes size while it is
/// read, or whose name a layer can't carry (".wh.…", errc::refused) ends the diff: there is no partial one. Thread
/// safe; each call stands alone.
class STRATA_API DiffWriterBase {
 public:
  /// The changes of a container over its chain. It may be mounted; changes made meanwhile may or may not be in it.
  DiffResult write(const LayerStoreBase& store, const Container& container, ByteSink& sink,
                   const DiffOptions& options = {}) const;

  /// The changes that `upper` (a directory as the kernel's overlay leaves it, either union form) makes to `lowers`,
  /// topmost first. Without lowers: everything.
  DiffResult write_upper(const boost::filesystem::path& upper, const std::vector<boost::filesystem::path>& lowers,
                         ByteSink& sink, const DiffOptions& options = {}) const;

  /// The same of an upper that another union mount has left, in its form, on top of lowers that are all in
  /// `lower_form`. A change that a form can't say isn't in the layer: unionfs-fuse keeps no extended attributes of what
  /// it copies up, and whole seconds of its time. Throws errc::unsupported for a file that a form says to be another
  /// than it is.
  DiffResult write_upper(const boost::filesystem::path& upper, UnionForm form,
                         const std::vector<boost::filesystem::path>& lowers, UnionForm lower_form, ByteSink& sink,
                         const DiffOptions& options = {}) const;

  /// What makes the plain directory `newer` of the plain directory `older`.
  DiffResult write_trees(const boost::filesystem::path& older, const boost::filesystem::path& newer, ByteSink& sink,
                         const DiffOptions& options = {}) const;

  /// Proves a layer that write() has written, with the same options: reads it, applies it in a directory of its own to
  /// the chain, and compares what that gives with what the container shows, in every attribute that a layer carries
  /// (holes are none). Where they differ, throws errc::damaged whose subject is the first path that does. Nothing below
  /// is copied; files that the layer doesn't touch are looked at, not read. The container must not change meanwhile.
  void prove(const LayerStoreBase& store, const Container& container, ByteSource& layer,
             const DiffOptions& options = {}) const;
  /// The same for what write_upper() and write_trees() have written. `scratch`: a directory in which one can be made
  /// that is removed again, on a filesystem that holds what the layer holds (owners, xattrs, marks of an overlay).
  /// Between trees every file is read.
  void prove_upper(const boost::filesystem::path& upper, const std::vector<boost::filesystem::path>& lowers,
                   ByteSource& layer, const boost::filesystem::path& scratch, const DiffOptions& options = {}) const;
  void prove_upper(const boost::filesystem::path& upper, UnionForm form,
                   const std::vector<boost::filesystem::path>& lowers, UnionForm lower_form, ByteSource& layer,
                   const boost::filesystem::path& scratch, const DiffOptions& options = {}) const;
  void prove_trees(const boost::filesystem::path& older, const boost::filesystem::path& newer, ByteSource& layer,
                   const boost::filesystem::path& scratch, const DiffOptions& options = {}) const;

 protected:
  DiffWriterBase(HashPolicy hash, CompressionPolicy codec) : hash_(hash), codec_(std::move(codec)) {}

 private:
  HashPolicy hash_;
  CompressionPolicy codec_;
};

/// Digests by `Hash`, compresses by `Codec`.
template <ContentHash Hash = Sha256, Compression Codec = Gzip>
class DiffWriter : public DiffWriterBase {
 public:
  explicit DiffWriter(Codec codec = {}) : DiffWriterBase(HashPolicy::of<Hash>(), CompressionPolicy::of<Codec>(codec)) {}
};

}  // namespace strata
