// Where the faults happen: a store with a few layers that stay, and what it looks like on the disk.
#pragma once

#include <strata/layer_store.hpp>
#include <strata/mounter.hpp>

#include <boost/filesystem/path.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace strata::test {

/// Layer tars, each made once. Together they have whatever a layer may have: hardlinks (to its own files and to lower
/// ones), whiteouts, opaque directories, attributes, sparse files, replaced entries, devices' kin.
struct Tars {
  std::string base, child, odd, large;
  std::string large_gzip, large_zstd, small_gzip;
};
const Tars& tars();

class Scene {
 public:
  explicit Scene(const boost::filesystem::path& place);

  const boost::filesystem::path& place() const { return place_; }
  boost::filesystem::path root() const { return place_ / "store"; }
  LayerStore<>& store() { return *store_; }
  const Digest& base() const { return base_; }
  const Digest& child() const { return child_; }  ///< on top of base

  void reopen();
  Digest import(const std::string& tar, const std::optional<Digest>& parent = {});
  void remove_if_there(const Digest& id);

  /// The container `name` on top of child(), not mounted, with changes of every kind in its upper directory.
  Container make_container(const std::string& name);
  void remove_container(const std::string& name);

  /// What is wrong with the layers that are there, or that base() and child() are not; empty: nothing.
  std::string damages() const;
  /// All names in the store's directories but those inside of layers, trees and containers, and what is mounted of it.
  std::string names() const;
  /// Takes away what an interruption may leave: as the next import, and Mounter::clean(), do.
  void sweep();

 private:
  boost::filesystem::path place_;
  std::unique_ptr<LayerStore<>> store_;
  Digest base_, child_;
};

/// The names beneath a directory, `depth` levels of them, sorted, a line each.
std::string names_beneath(const boost::filesystem::path& directory, int depth);
/// How many descriptors this process has.
std::size_t open_descriptors();

}  // namespace strata::test
