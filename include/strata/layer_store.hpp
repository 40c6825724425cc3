// LayerStore: keeps layers in a directory, by content. Import a layer tar from any stream in one pass, list and walk
// chains, export each tar byte for byte, prove that it still can.
//
//   strata::LayerStore<> store{"/var/lib/strata"};
//   auto base = store.import(strata::open_file("base.tar.gz"));
//   auto app = store.import(strata::open_file("app.tar.zst"), {.parent = base.id});
//
// The directory is the database (docs/format.md): a layer exists when its directory stands under its final name. Any
// number of threads and processes use one store at once; readers wait for nobody.
#pragma once

#include <strata/budget.hpp>
#include <strata/byte_stream.hpp>
#include <strata/compression.hpp>
#include <strata/concepts.hpp>
#include <strata/container.hpp>
#include <strata/explain.hpp>
#include <strata/export.hpp>
#include <strata/gc.hpp>
#include <strata/hash.hpp>
#include <strata/id_map.hpp>
#include <strata/layer.hpp>
#include <strata/lease.hpp>
#include <strata/progress.hpp>
#include <strata/report.hpp>
#include <strata/tag.hpp>
#include <strata/verify.hpp>
#include <strata/whiteout.hpp>

#include <boost/filesystem/path.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

/// What a power cut may cost.
enum class Durability {
  full,  ///< a layer that was reported stored is on the disk: data and metadata are synced before its name appears
  none,  ///< the kernel writes when it likes; a power cut may lose layers, or leave some with empty files (verify finds
         ///< them)
};

struct StoreOptions {
  Durability durability = Durability::full;
  /// Form of whiteouts of a store that is created, overlay_trusted or overlay_user; an existing one keeps its own.
  /// Unset: the best that this process can write.
  std::optional<UnionForm> form = {};
  bool create = true;  ///< make the store where there is none; false: errc::wrong_store
};

struct ImportOptions {
  std::optional<Digest> parent = {};  ///< chain id; unset: a base layer
  std::string author = {};
  std::string comment = {};
  std::string created = {};                     ///< RFC 3339; empty: now, or SOURCE_DATE_EPOCH where that is set
  std::optional<Digest> expected_blob = {};     ///< digest of the stream as it comes
  std::optional<Digest> expected_diff_id = {};  ///< digest of the uncompressed tar
  const Lease* lease = nullptr;                 ///< keeps the layer, from the moment that it is stored
  std::string tag = {};                         ///< is set to the layer in the same moment; empty: none
  Conformance conformance = Conformance::compat;
  Owners owners = Owners::keep;
  EndOfLayer end = EndOfLayer::proven;
  /// Keep the stream's bytes too, as they come, in blobs/ALGORITHM/HEX (docs/format.md): a repair can take contents
  /// from them. They go with the last layer whose `blob` they are.
  bool keep_blob = false;
  /// A layer that is stored already, as the digests above say, is taken as it is, with its blob if that is to be kept:
  /// the source isn't read. False: it is read, and checked.
  bool take_stored = false;
  Budget budget = {};  ///< what the layer may use; errc::limit_exceeded where that is not enough
  Control control = {};
};

/// One of several layers that are imported together.
struct LayerInput {
  ByteSource& source;
  ImportOptions options = {};  ///< `parent` counts for the first layer only
  /// Is requested once the source is to be read no further, so that one which waits can give up: with the control's own
  /// token, or where a layer below fails.
  std::stop_source stop{std::nostopstate};
};

/// A layer that is now stored, and what came up on the way. That it is stored doesn't say that this call stored it.
struct ImportedLayer : Layer {
  bool existed = false;  ///< it was there already
  Report report;
};

struct CommitOptions {
  std::string author = {};
  std::string comment = {};
  std::string created = {};                      ///< as in ImportOptions
  const Lease* lease = nullptr;                  ///< as there
  std::string tag = {};                          ///< as there
  std::optional<std::int64_t> latest_time = {};  ///< files' times after this (seconds since 1970) are stored as this
  Control control = {};
};

struct UnpackOptions {
  Owners owners = Owners::keep;
  IdMap ids = {};  ///< what the layers' ids are in the directory
  Control control = {};
};

namespace detail {
class StoreCore;
}

/// A store without its policies' types: all of its operations, compiled. Hosts name LayerStore.
/// Every operation throws Error; after one, the store is as it was before. Thread safe.
class STRATA_API LayerStoreBase {
 public:
  /// Layout and meaning of the directories; a store of another version is refused.
  static constexpr int format_version = 1;

  const boost::filesystem::path& root() const noexcept;
  UnionForm form() const noexcept;
  Durability durability() const noexcept;

  /// Reads a layer (tar, or compressed by anything that the store's policies recognise) to the end of the stream and
  /// stores it, owners as the layer has them: who mounts or unpacks it, maps them. One pass, bounded memory. After a
  /// crash: either the layer is there, whole, or nothing is but a draft that the next import removes.
  ///
  /// Where `expected_diff_id` or `expected_blob` tell beforehand which layer it will be, one call at a time extracts
  /// it, of all threads and processes: the others wait, and have its result without reading their source; if it fails,
  /// or its process dies, one of them takes over.
  ImportedLayer import(ByteSource& source, const ImportOptions& options = {});
  ImportedLayer import(ByteSource&& source, const ImportOptions& options = {}) { return import(source, options); }

  /// Imports several layers, each on top of the one before it, as import() would one after the other, but beside each
  /// other as far as the machine has processors. An error is that of the lowest layer that has one; those below it
  /// are stored then. Each control's observer may be called while another's is.
  std::vector<ImportedLayer> import_chain(std::span<const LayerInput> layers);

  /// Makes the changes of a container a layer on top of its chain. The tar is written through the hash once, and the
  /// tree is made from the upper directory beside it; the container stays as it is. Changes made while this runs may or
  /// may not be in it. After a crash: as import.
  ImportedLayer commit(const Container& container, const CommitOptions& options = {});

  /// nullopt: there is none. Throws errc::damaged for a record that says nothing that can be meant; importing the layer
  /// again mends it.
  std::optional<Layer> find(const Digest& id) const;
  /// The same, but absence is errc::not_found.
  Layer get(const Digest& id) const;
  /// A tag, a full id, or the first hexadecimal digits of one, with or without "sha256:". Throws errc::not_found, or
  /// errc::bad_argument where several begin so.
  Digest resolve(std::string_view text) const;
  /// All layers, sorted by id, but those whose record is damaged.
  std::vector<Layer> list() const;
  /// Ids of the layers whose record is damaged: find() says how.
  std::vector<Digest> damaged_records() const;
  /// Layers whose parent this is.
  std::vector<Layer> children(const Digest& id) const;
  /// The layer and its parents, base first.
  std::vector<Layer> chain(const Digest& id) const;

  /// Removes a layer. errc::in_use, naming them, while children, containers, leases or tags need it; a tree goes with
  /// the last layer that uses it. After a crash: the layer is there or gone; what is left to delete goes with the next
  /// import.
  void remove(const Digest& id);

  /// Removes all layers that nothing needs: no container, lease, tag, running import or commit, and no layer above that
  /// one of these needs; and what dead processes have left. Safe beside everything else; imports and mounts wait only
  /// while names are moved, not while files are deleted. Throws errc::damaged where something that may need a layer
  /// can't be read. After a crash: what was taken out of the store goes with the next import or gc.
  GcResult gc(const GcOptions& options = {});
  /// What gc() would clean up after processes that are gone; sorted by kind and name.
  std::vector<Leftover> leftovers() const;

  /// Makes a lease. errc::already_exists: a live one has this name.
  Lease lease(const LeaseOptions& options = {});
  /// Holds a lease again that survives, to add to it or to renew it. errc::not_found: there is none, or it has expired;
  /// errc::refused: it doesn't survive.
  Lease open_lease(std::string_view name);
  /// All of them, by name.
  std::vector<LeaseState> leases() const;
  /// Ends a lease, whoever holds it. errc::not_found.
  void remove_lease(std::string_view name);

  /// Names a layer, which the name then keeps; a tag of this name is moved. After a crash: the old or the new.
  void tag(std::string_view name, const Digest& layer);
  /// errc::not_found: there is no such tag.
  void untag(std::string_view name);
  /// By name.
  std::vector<Tag> tags() const;
  std::optional<Digest> find_tag(std::string_view name) const;

  /// Writes the layer tar, byte for byte as it was imported; returns its size. Doesn't finish the sink. Throws
  /// errc::damaged, naming the file, where the tree is no longer what was stored: what was written by then is not to be
  /// used.
  std::uint64_t export_layer(const Digest& id, ByteSink& sink, const Control& control = {}) const;

  /// Compares the layer's tree with what was stored, as closely as the level says, and names each path that is bad and
  /// how. Changes nothing. Throws errc::not_found, errc::damaged for a record that can't be read, errc::cancelled; what
  /// else is wrong is in the result.
  VerifyResult verify(const Digest& id, const VerifyOptions& options = {}) const;

  /// Proves the layer, and mends what is bad of it. Attributes, links, marks, and what was deleted or added, it mends
  /// from what the store recorded. A content comes from a tree of the store that has it, from the layer's kept blob, or
  /// from `options.source`; it goes into a new file, which takes the old one's place once the layer tar is proven to
  /// have the diff id with it. Where the tree's records are bad, the tree is made anew from the tar; errc::in_use while
  /// it is mounted. Whoever has the layer mounted: docs/crash-safety.md, "Repair".
  ///
  /// Throws errc::in_use while another repairs the tree, errc::digest_mismatch for a source that is another layer's,
  /// errc::damaged for a layer's record that can't be made again either; what can't be mended is in the result. After
  /// an error or a crash: each path is as it was or as it should be, but that the time of a directory in which
  /// something was replaced may be of today; the next repair goes on.
  RepairResult repair(const Digest& id, const RepairOptions& options = {});

  /// Exports several layers, each as export_layer() would, but beside each other as far as the machine has processors.
  /// `open` says where one is to go, once its turn has come, and is called by one thread at a time; when its layer is
  /// written, the sink is finished and destroyed, at the same time as others. Returns their sizes, in the order of
  /// `ids`. An error is that of the first layer that has one; which others were written by then isn't said. The
  /// observer gets the sum of all.
  std::vector<std::uint64_t> export_layers(std::span<const Digest> ids,
                                           const std::function<std::unique_ptr<ByteSink>(const Layer& layer)>& open,
                                           const Control& control = {}) const;

  /// Writes the whole chain as one plain root filesystem into `directory`, which must be empty or absent. Whiteouts are
  /// resolved, hardlinks and holes kept. Returns what couldn't be given to a file there. After an error or a crash: an
  /// incomplete directory.
  Report unpack(const Digest& id, const boost::filesystem::path& directory, const UnpackOptions& options = {}) const;

  /// Why a path of the chain is what it is. The path is as people give it: a leading '/', '.' and '..' are understood,
  /// symlinks on the way are followed inside the root, and one that it ends with only where a '/' follows. That nothing
  /// is there is an answer too; only symlinks in a circle are an error (ELOOP). Reads the trees; of a directory also
  /// the headers of the tars that have it, and of a file with several names the names of its layer.
  Explanation explain(const Digest& id, std::string_view path) const;

  /// The directories of the chain's trees, topmost first: the lowers of a mount. One that the chain has several times
  /// is there once, where it is topmost.
  std::vector<boost::filesystem::path> lowers(const Layer& layer) const;

  /// Containers, by name.
  std::vector<Container> containers() const;
  std::optional<Container> find_container(std::string_view name) const;

  /// What mounters and writers build on; not for hosts.
  const std::shared_ptr<detail::StoreCore>& core() const noexcept { return core_; }

 protected:
  LayerStoreBase(const boost::filesystem::path& root, const StoreOptions& options, HashPolicy hash,
                 std::vector<CompressionPolicy> codecs);
  LayerStoreBase(LayerStoreBase&&) noexcept;
  LayerStoreBase& operator=(LayerStoreBase&&) noexcept;
  ~LayerStoreBase();

 private:
  std::shared_ptr<detail::StoreCore> core_;
};

/// A store whose layers are named by `Hash`, and that reads layers compressed by `Codec` besides gzip, zstd and plain
/// tar. The hash's name is recorded in the store and checked on open.
template <ContentHash Hash = Sha256, Compression Codec = Gzip>
class LayerStore : public LayerStoreBase {
 public:
  /// Opens the store at `root`, or creates it there. Throws errc::wrong_store where what is there is none, or one that
  /// other policies made.
  explicit LayerStore(const boost::filesystem::path& root, const StoreOptions& options = {}, Codec codec = {})
      : LayerStoreBase(root, options, HashPolicy::of<Hash>(),
                       {CompressionPolicy::of<Codec>(codec), CompressionPolicy::of<Gzip>(),
                        CompressionPolicy::of<Zstd>(), CompressionPolicy::of<Uncompressed>()}) {}
};

}  // namespace strata
