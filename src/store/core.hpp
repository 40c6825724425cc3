// The store behind LayerStoreBase: where things stand on disk, and the locks that order changes to it.
//
// One lock file, ROOT/lock, orders publication against removal: whoever makes something refer to a layer (a child, a
// container) holds it shared while it checks that the layer is there and puts the reference in place; whoever removes
// holds it exclusively. It is never held while data is read or written.
#pragma once

#include <strata/container.hpp>
#include <strata/hash.hpp>
#include <strata/layer.hpp>
#include <strata/layer_store.hpp>
#include <strata/progress.hpp>

#include "store/lock.hpp"

#include <boost/filesystem/path.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

class StoreCore {
 public:
  StoreCore(const boost::filesystem::path& root, const StoreOptions& options, HashPolicy hash,
            std::vector<CompressionPolicy> codecs);

  const boost::filesystem::path& root() const { return root_; }  ///< absolute
  UnionForm form() const { return form_; }
  Durability durability() const { return durability_; }
  const HashPolicy& hash() const { return hash_; }
  const std::vector<CompressionPolicy>& codecs() const { return codecs_; }
  /// ROOT, opened.
  int root_descriptor() const { return root_fd_.get(); }

  Lock lock(Lock::Kind kind) const { return Lock::wait(root_fd_.get(), "lock", kind); }

  /// Whether what `fd` is open on is what stands at `path` beneath the root.
  bool is_at(const std::string& path, int fd) const;
  /// Makes a directory's names durable, as the store's durability asks.
  void sync(int dir, std::string_view shown) const;
  /// write_small_file, and durable as the store's durability asks; not its name, which is the directory's.
  void write_record(int dir, const std::string& name, std::string_view text) const;
  /// detail::write_note; once the directory is synced, it is durable as the store's durability asks.
  void write_note(int dir, const std::string& name, std::string_view text) const;

  std::optional<Layer> find(const Digest& id) const;
  /// The same, but one whose record is damaged is none.
  std::optional<Layer> find_undamaged(const Digest& id) const;
  Layer get(const Digest& id) const;
  /// Whether there is a record; it isn't read.
  bool has(const Digest& id) const;
  /// All but those whose record is damaged: one of them is not to block what is done to the others.
  std::vector<Layer> list(std::vector<Digest>* damaged = nullptr) const;
  /// Of all layers, sorted; no record is read.
  std::vector<Digest> ids() const { return names_in("layers"); }
  /// The digests that name what is in layers/, trees/ or blobs/, sorted.
  std::vector<Digest> names_in(const char* room) const;

  boost::filesystem::path tree_directory(const Digest& key) const;  ///< ROOT/trees/ALGORITHM/HEX
  boost::filesystem::path layer_directory(const Digest& id) const;
  std::string layer_path(const Digest& id) const;  ///< the same, beneath ROOT
  std::string tree_path(const Digest& key) const;
  std::string blob_path(const Digest& blob) const;  ///< of a kept one
  boost::filesystem::path containers_directory() const { return root_ / "containers"; }
  boost::filesystem::path mounts_directory() const { return root_ / "mounts"; }
  /// fs/ of the chain's trees, topmost first.
  std::vector<boost::filesystem::path> lowers(const Layer& layer) const;
  /// The same in another union form, each tree translated when it is asked for first. The layer is one that something
  /// keeps. Throws errc::unsupported where a tree has what the form can't say. Any number of processes may do this at
  /// once. After a crash: the translation is there, whole, or not.
  std::vector<boost::filesystem::path> lowers(const Layer& layer, UnionForm form, const Control& control = {}) const;
  /// The directory whose attributes the chain's root has; nullopt: no tar of the chain lists it (then 0755, 0:0).
  std::optional<boost::filesystem::path> root_attributes(const Layer& layer) const;

  std::vector<Container> containers() const;
  std::optional<Container> find_container(std::string_view name) const;

 private:
  boost::filesystem::path root_;
  FileDescriptor root_fd_;
  UnionForm form_ = UnionForm::overlay_trusted;
  Durability durability_;
  HashPolicy hash_;
  std::vector<CompressionPolicy> codecs_;
};

}  // namespace strata::detail
