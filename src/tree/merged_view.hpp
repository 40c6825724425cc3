// The merged view of a stack of directories, as the kernel's overlay would show it, but without a mount: whiteouts,
// opaque directories, redirect_dir and metacopy are understood, in both of overlay's attribute namespaces. Directories
// of the stack may be in other union forms instead (forms/form.hpp), and are then read as their own programs do.
// Read-only. Used to resolve a layer against what is below it, to compare an upper with its lowers, and to flatten a
// chain.
//
// A mark that can't be followed (a redirect to "a/../b", a metacopy file without data below) is an error with
// errc::damaged when its entry is looked up: the kernel fails there too (EINVAL, EIO).
#pragma once

#include <strata/file_descriptor.hpp>
#include <strata/tar.hpp>
#include <strata/whiteout.hpp>

#include "tree/directory.hpp"
#include "tree/forms/form.hpp"

#include <boost/filesystem/path.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::detail {

/// Not thread safe. Holds one descriptor for each directory of the stack and one of the directory that was read last;
/// opens others only while a call lasts.
/// Lookups read all that is merged; MergedView::Lazy is for long stacks of which little is asked.
class MergedView {
 public:
  /// A real place: a path ("" the root) in one of the stacked directories.
  struct Place {
    std::size_t layer = 0;  ///< index in the stack, 0 topmost
    std::string path;
    bool marks_only = false;  ///< nothing is there: the layer only hides something beneath (unionfs-fuse)
    friend bool operator==(const Place&, const Place&) = default;
  };
  struct Entry {
    Metadata metadata;  ///< of `top()`; of a metacopy file with the size of its data
    /// Where it is: one place; of a directory all that are merged, topmost first.
    std::vector<Place> places;
    /// Where a regular file's content is (elsewhere than top() of a metacopy file).
    Place data;
    /// Of a directory: the mark that hides all that is below it.
    bool opaque = false;
    /// The names of all extended attributes at top(), where it was looked for marks.
    std::optional<std::vector<std::string>> attributes = {};
    /// The topmost place where it is itself.
    const Place& top() const {
      std::size_t at = 0;
      while (places[at].marks_only) ++at;
      return places[at];
    }
  };

  /// What marks in the stack count.
  enum class Marks {
    any,      ///< both namespaces
    trusted,  ///< trusted.overlay.*
    user,     ///< user.overlay.*; in a trusted stack, whoever owns a file could set them, and the kernel passes them by
    none,     ///< a plain directory: whiteouts are devices, and attributes attributes
  };
  /// Of one of the kernel's forms.
  static Marks marks_of(UnionForm form) {
    return overlay_prefix(form) == overlay_prefix(UnionForm::overlay_trusted) ? Marks::trusted : Marks::user;
  }
  /// A directory and its form; nullopt: one of the kernel's, with marks in either namespace.
  struct Layer {
    boost::filesystem::path path;
    std::optional<UnionForm> form;
  };

  enum class Opening {
    now,
    as_needed,  ///< each directory of the stack when it is read first, by its path: for trees of a store
  };
  class Lazy;

  /// `stack`: topmost first. Throws Error where one of them can't be opened.
  explicit MergedView(const std::vector<boost::filesystem::path>& stack, Marks marks = Marks::any,
                      Opening opening = Opening::now);
  /// The same of directories each in a form of its own.
  static MergedView of(const std::vector<Layer>& stack);
  /// An empty view: nothing is found in it but an empty root.
  MergedView() = default;
  MergedView(MergedView&&) noexcept;
  MergedView& operator=(MergedView&&) noexcept;
  ~MergedView();

  /// The same stack without its topmost directory, on the same descriptors.
  MergedView below() const;
  /// The same stack on the same descriptors, for another thread. (Not of one that is opened as needed.)
  MergedView again() const;

  bool empty() const { return roots_.empty(); }
  /// One directory as it is, in which nothing is a mark.
  bool is_plain() const { return layers() == 1 && marks_.front() == Marks::none && !forms_.front(); }
  std::size_t layers() const { return roots_.size(); }
  /// Descriptor of a stacked directory.
  int root_descriptor(std::size_t layer) const;

  /// The root directory. Its metadata is the topmost stacked directory's. nullopt: the view is empty.
  std::optional<Entry> root() const;
  /// A name in a merged directory; nullopt where it isn't there, or is hidden. Of an entry that is no directory:
  /// nullopt.
  std::optional<Entry> lookup(const Entry& directory, std::string_view name) const;
  /// A relative path with '/' between names, "" for the root. Symlinks are not followed: a path through one is not
  /// there.
  std::optional<Entry> find(std::string_view path) const;
  /// The names of a merged directory with what they are, sorted by bytes. (What overlay.whiteout hides is not listed,
  /// even where the directory lacks opaque="x", and the kernel lists a name that can't be looked up.)
  std::vector<std::pair<std::string, Entry>> list(const Entry& directory) const;
  /// Those of `names` (sorted, each once) that are there: lookup() for many at once.
  std::vector<std::pair<std::string, Entry>> pick(const Entry& directory, const std::vector<std::string>& names) const;

  /// A name as it is here, and as it is in below().
  struct Twin {
    std::string name;
    std::optional<Entry> here, below;
  };
  /// The names that the topmost stacked directory has in `directory`, and `others`, sorted; but those that are in
  /// neither view. `directory` merges, beside the topmost's own, just the places of `lower`, a directory of `below`.
  std::vector<Twin> twins(const Entry& directory, const MergedView& below, const Entry& lower,
                          std::vector<std::string> others) const;

  /// For reading a regular file's content; `now`: what it is, once open.
  FileDescriptor open_data(const Entry& file, Metadata& now) const;
  std::string link_target(const Entry& symlink) const;
  /// As the kernel shows them: marks that count are left out, and those that an inner overlay had to escape
  /// ("trusted.overlay.overlay.opaque") are unescaped, one level.
  Xattrs xattrs(const Entry& entry) const;
  /// One of overlay's own marks on the topmost place of an entry ("origin"); nullopt where it has none that counts.
  std::optional<std::string> mark(const Entry& entry, std::string_view name) const;
  /// The same of an open directory of the topmost one of this stack.
  std::optional<std::string> mark(int directory, std::string_view name) const;
  /// For messages: the path in the filesystem.
  std::string shown(const Entry& entry) const;

 private:
  struct Search;
  struct Slot;
  /// What follows the prefix of an attribute that counts as a mark; empty for any other.
  std::string_view mark_name(std::size_t layer, std::string_view attribute) const;
  std::map<std::string, std::string> read_marks(int dir, const std::string& name, const Place& place,
                                                std::vector<std::string>& attributes) const;
  std::optional<Metadata> probe(int dir, const Place& parent, const std::string& name, Search& search, bool last = true,
                                std::string_view before = {}, std::string_view after = {}) const;
  std::optional<Metadata> probe_form(const LayerForm& form, int dir, const Place& parent, const std::string& name,
                                     Search& search, bool last) const;
  std::vector<DirectoryEntry> listing(const Place& directory, int dir) const;
  class OpenPlace;
  static void take(std::optional<Entry>& entry, const Metadata& metadata, Place place, Search& search);
  std::optional<Entry> probe_from_root(std::size_t layer, Search& search) const;
  void search_below(const std::vector<Place>& parents, std::size_t from, Search& search,
                    std::optional<Entry>& found) const;
  void gather(const Entry& directory, std::size_t place, int dir, const std::string& name, Slot& slot) const;
  std::optional<std::string> mark_of(std::size_t layer, int dir, const std::string& leaf, std::string_view name,
                                     std::string_view shown) const;
  std::vector<std::pair<std::string, Entry>> list_one(const Entry& directory) const;
  int parent_descriptor(const Place& place) const;
  void remember(const Place& directory, FileDescriptor fd) const;

  std::vector<std::shared_ptr<FileDescriptor>> roots_;  // shared by below()
  std::vector<std::string> names_;
  std::vector<Marks> marks_;
  std::vector<std::shared_ptr<const LayerForm>> forms_;  ///< of each, but those that are the kernel's

  /// The directory that was read, or whose entry was asked for, last: most come one after the other from the same.
  struct Parent {
    std::size_t layer = 0;
    std::string path;
    FileDescriptor fd;
  };
  mutable Parent parent_;
};

/// An upper on top of its lowers.
MergedView stacked(const boost::filesystem::path& upper, std::optional<UnionForm> form,
                   const std::vector<boost::filesystem::path>& lowers, std::optional<UnionForm> lower_form);

/// A path in a view, one name after the other, of which no more of the stack is read than is asked for: what is there
/// needs the layers down to the topmost that has it, not all that are merged. The view and the directory outlive it.
class MergedView::Lazy {
 public:
  /// The root.
  explicit Lazy(const MergedView& view);
  Lazy(Lazy& directory, std::string_view name);
  ~Lazy();
  Lazy(const Lazy&) = delete;
  Lazy& operator=(const Lazy&) = delete;

  /// As lookup(), but not with all places of a directory. nullptr: nothing is there.
  const Entry* get();

 private:
  const Place* place(std::size_t index);
  bool advance();

  const MergedView& view_;
  Lazy* directory_ = nullptr;
  std::unique_ptr<Search> search_;
  std::size_t next_ = 0;  ///< place of the directory that is looked into next
  std::optional<Entry> entry_;
};

}  // namespace strata::detail
