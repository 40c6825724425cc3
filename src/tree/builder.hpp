// Building the tree of one layer, entry by entry, in a directory of its own. Nothing but this layer's entries is looked
// at while they come; what depends on what is below (implied directories, hardlinks to lower files, whiteouts) waits
// for resolve(), so layers of one image can be extracted in parallel. The same steps serve a store's tree, an overlay's
// upper directory and a plain root filesystem:
//
//   TreeBuilder builder(directory, kept, options, report);
//   builder.add(entry); builder.write(bytes); …   each entry, as it comes
//   builder.finish();                              no more entries
//   builder.resolve(lower);                        against what is below
//   builder.seal(Marks::written);                  whiteouts and directory attributes: the tree is complete
//
// Every access is one name relative to a directory descriptor, and never follows a symlink.
#pragma once

#include <strata/budget.hpp>
#include <strata/file_descriptor.hpp>
#include <strata/id_map.hpp>
#include <strata/report.hpp>
#include <strata/tar.hpp>
#include <strata/whiteout.hpp>

#include "tree/attributes.hpp"
#include "tree/budget_meter.hpp"
#include "tree/entry_path.hpp"
#include "tree/file_writers.hpp"
#include "tree/layer_index.hpp"
#include "tree/merged_view.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace strata::detail {

struct BuilderOptions {
  UnionForm form = UnionForm::overlay_trusted;
  Conformance conformance = Conformance::compat;
  Owners owners = Owners::keep;
  /// Ids of the layer to those on the disk. What comes from lower layers has the latter.
  IdMap ids;
  /// What the layer may use; none where the layer is this process's own.
  Budget budget = Budget::none();
  /// A lower file is brought into the tree by a hardlink to it instead of a copy: for plain directories, where both
  /// become one.
  bool link_lower = false;
  /// New files get exactly the mode that is asked for: the calling thread has an umask of its own, of zero.
  bool umask_is_zero = false;
  /// How many threads make files beside the calling one; they have its umask.
  unsigned writers = 0;
  /// A name in the lower root that is no part of it: where the layer is staged inside a plain directory.
  std::string staging_name;
};

/// Not thread safe. Throws Error; after one, the directory is to be thrown away.
class TreeBuilder {
 public:
  using Id = LayerIndex::Id;
  using Node = LayerIndex::Node;
  using Kind = LayerIndex::Kind;

  /// `directory`: empty; or -1: nothing is written, the entries are only judged. Such a builder goes as far as finish()
  /// and needs(), and finds what is wrong with a layer, not what this user or a filesystem couldn't do. `kept`:
  /// where to make a directory kept/ for content that later entries replace (the recipe needs it), or -1.
  TreeBuilder(int directory, int kept, const BuilderOptions& options, Report& report);
  TreeBuilder(const TreeBuilder&) = delete;
  TreeBuilder& operator=(const TreeBuilder&) = delete;

  /// Takes the next entry. Whether its content is wanted: then write() and hole() calls for entry.size bytes follow,
  /// then close(). The content of any other entry isn't kept in the tree.
  bool add(const TarEntry& entry);
  /// `owner`: who keeps the bytes as they are for as long as it is held; none: they are copied where another thread
  /// writes them.
  void write(std::span<const std::byte> bytes, std::shared_ptr<const void> owner = {});
  /// The next `size` bytes are zeros that need no place.
  void hole(std::uint64_t size);
  void close();
  /// Ordinal of the content of the file that add() opened last. Names it in the recipe and in `kept`.
  std::uint32_t content_ordinal() const { return contents_ - 1; }
  /// Path of that file in the tree.
  std::string content_path() const { return index_.path(open_node_); }

  void finish();
  /// What the layer, as it is after finish(), must find below it: added to `found`.
  void needs(Report& found) const;
  /// Settles what depends on lower layers. `lower` is what the layer is put upon.
  void resolve(const MergedView& lower);
  /// Whether the tree would be the same on any lower layers; to be asked before resolve().
  bool self_contained();
  /// Whether resolve() made the tree another than it would be elsewhere.
  bool depends_on_lower() const { return depends_; }

  enum class Marks { written, none };
  void seal(Marks marks);

  const LayerIndex& index() const { return index_; }
  const Attributes* attributes(Id directory) const {
    return index_[directory].extra == LayerIndex::none ? nullptr : &attributes_[index_[directory].extra];
  }
  /// Of a directory that neither this layer nor one below describes (A11), with the host's ids; `path` is for messages.
  Attributes undescribed(const std::string& path) const;
  bool root_listed() const { return index_[LayerIndex::root].kind == Kind::directory; }
  /// Bytes of regular files in the tree, each inode once.
  std::uint64_t content_bytes() const { return bytes_; }
  std::uint64_t entries() const { return order_; }
  /// Contents that moved after they were written: ordinal, path in the tree.
  const std::vector<std::pair<std::uint32_t, std::string>>& moved() const { return moved_; }
  /// Entries that this process could not make (devices): paths.
  const std::vector<std::string>& missing() const { return missing_; }
  /// Whether the tree is what the entries say, one by one, and nothing else: none comes twice, is moved, altered or
  /// only implied. To be asked at the end.
  bool as_listed() const { return plain_ && !depends_ && !altered_; }
  /// Files whose content came from a lower layer: paths.
  const std::vector<std::string>& copied() const { return copied_; }
  /// A descriptor (O_PATH) of a directory of the tree; valid until 63 others were asked for.
  int descriptor(Id directory) {
    return directory == LayerIndex::root ? directory_ : shared_descriptor(directory)->get();
  }

 private:
  struct PendingLink {
    Id node;
    std::string target;
    Attributes attributes;
  };

  // builder.cpp: entries as they come
  bool place(const TarEntry& entry);
  void add_directory(const TarEntry& entry, Id parent, std::string_view name);
  bool add_other(const TarEntry& entry, Id parent, std::string_view name);
  bool add_file(const TarEntry& entry, Id node, Attributes attributes);
  void add_special(const TarEntry& entry, Id node, const Attributes& attributes);
  bool keeps_itself(const TarEntry& entry, Id node);
  void add_hardlink(const TarEntry& entry, Id node);
  void make_implied(Id node);
  void wish_for_parents(const std::string& path);
  void make_link(Id node, Id target);
  void clear(Id node);
  Attributes filtered(const TarEntry& entry);
  void set_attributes(Id directory, Attributes attributes);
  void check_depth(const std::string& directory, bool holds) const;
  void odd(const char* rule, std::string_view path, const std::string& action);
  void push_target(std::vector<std::string>& names, Id symlink, int& links);
  Id directory_for(std::span<const std::string_view> names, bool create);
  std::optional<Id> lookup(const std::string& path);

  // on_disk.cpp: what is done to the directory
  bool judges() const { return directory_ < 0; }
  const ObjectSetter& setter() const { return setter_; }
  std::uint32_t created(std::uint32_t mode) const { return options_.umask_is_zero ? mode : ~std::uint32_t{0}; }
  void prepare();
  const std::shared_ptr<const FileDescriptor>& shared_descriptor(Id directory);
  void create_directory(Id parent, const std::string& name, std::uint32_t mode, const std::string& shown);
  void create_file(Id node, Attributes attributes, const std::string& shown);
  void settle_files();
  void create_symlink(Id node, const TarEntry& entry);
  bool create_device(Id node, mode_t mode, const TarEntry& entry);
  void create_link(Id node, Id target);
  void set_attributes_of(Id node, mode_t type, const Attributes& attributes, const std::string& shown);
  void describe_link(Id node, const Attributes& attributes);
  void remove_from_disk(Id node);
  void seal_directory(Id node, Marks marks);

  // resolve.cpp: against what is below
  void drop_wishes(const MergedView& lower);
  using Low = std::optional<MergedView::Entry>;
  void directory_needs(Id node, bool hidden, Report& found) const;
  bool find_needs(Id node);
  bool may_be_below(Id node) const;
  Low lower_child(Id child, const Low& low, const MergedView& lower) const;
  Low lower_of(Id node, const MergedView& lower) const;
  void open_root(const MergedView& lower);
  class LowerDirectory;
  void find_lower_symlinks(Id node, LowerDirectory& low, std::vector<Id>& found) const;
  void relocate(Id node, const MergedView& lower);
  bool drop_before(Id node, std::uint32_t order);
  void merge_into(Id from, Id to);
  void record_moves(Id node);
  Id follow(Id start, std::vector<std::string> names, const MergedView& lower, const std::string& path);
  void link_all_lower(const MergedView& lower);
  [[noreturn]] void throw_missing(const PendingLink& link) const;
  void link_lower(const PendingLink& link, Id parent, const MergedView& lower);
  void bring_up(Id node, const MergedView::Entry& entry, const MergedView& lower);
  void bring_group(const MergedView::Entry& entry, Id first, const MergedView& lower);
  void settle(Id node, LowerDirectory& low);
  void settle_marks(Id node, bool parent_opaque, LowerDirectory& low);

  BuilderOptions options_;
  Report& report_;
  BudgetMeter meter_{options_.budget};
  int directory_;
  int kept_;
  LayerIndex index_;
  std::vector<Attributes> attributes_;
  std::vector<std::string> targets_;
  std::vector<PendingLink> pending_;
  std::vector<std::pair<std::uint32_t, std::string>> moved_;
  std::vector<std::string> missing_;
  std::vector<Id> wished_;  // parents first
  std::vector<bool> needs_;
  std::map<std::pair<dev_t, ino_t>, Id> brought_;  // lower files that were brought up
  /// Names of the lower files that have several, by file; unset until one is needed.
  std::optional<std::map<std::pair<dev_t, ino_t>, std::vector<std::string>>> lower_groups_;
  std::vector<std::string> copied_;
  std::uint32_t order_ = 0;
  std::uint32_t contents_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t kept_bytes_ = 0;  // what is remembered besides the index, about
  Timestamp earliest_{INT64_MAX, 0};
  bool depends_ = false;
  bool root_hides_all_ = false;  // an opaque root, once it is told name by name
  bool plain_ = true;
  bool altered_ = false;
  ObjectSetter setter_{options_.owners, report_, options_.conformance, &altered_};

  // The file that is being written, by this thread or another.
  Id open_node_ = LayerIndex::none;
  FileWriter writer_{setter_};
  std::optional<FileWriters> writers_;
  bool beside_ = false;

  EntryPath path_;
  // The last entry's parent, since entries of one directory come together. Forgotten when anything is cleared.
  std::vector<std::string> last_parents_;
  Id last_directory_ = LayerIndex::none;

  struct CachedDescriptor {
    Id node = LayerIndex::none;
    std::shared_ptr<const FileDescriptor> fd = {};
  };
  std::array<CachedDescriptor, 64> descriptors_;  // first in, first out
  std::size_t next_descriptor_ = 0;
};

}  // namespace strata::detail
