#include "diff/plain_trees.hpp"

#include <strata/error.hpp>

#include "diff/compare.hpp"
#include "tree/sys_directory.hpp"

#include <dirent.h>

#include <algorithm>
#include <cstring>

namespace strata::detail {
namespace {

using Entry = MergedView::Entry;

/// The names of a directory as the kernel gave them. Used again and again.
class Names {
 public:
  using Name = const dirent64*;

  void read(int dir, const std::string& shown) {
    std::size_t size = 0;
    for (;;) {
      if (bytes_.size() - size < step) bytes_.resize(bytes_.size() + std::max(step, bytes_.size() / 4));
      const ssize_t n = sys::getdents64(dir, bytes_.data() + size, bytes_.size() - size);
      if (n < 0) throw_errno(errno, "list", quoted(shown));
      if (n == 0) break;
      size += static_cast<std::size_t>(n);
    }
    names_.clear();
    for (const char* at = bytes_.data(); at < bytes_.data() + size;) {
      const auto* name = reinterpret_cast<Name>(at);
      at += name->d_reclen;
      if (std::strcmp(name->d_name, ".") != 0 && std::strcmp(name->d_name, "..") != 0) names_.push_back(name);
    }
  }
  void sort() {
    std::sort(names_.begin(), names_.end(), [](Name a, Name b) { return std::strcmp(a->d_name, b->d_name) < 0; });
  }
  bool has_same_order(const Names& other) const {
    return std::equal(names_.begin(), names_.end(), other.names_.begin(), other.names_.end(),
                      [](Name a, Name b) { return std::strcmp(a->d_name, b->d_name) == 0; });
  }
  /// In order, and after the last: nullptr.
  Name at(std::size_t index) const { return index < names_.size() ? names_[index] : nullptr; }
  /// What a large directory took isn't kept for the small ones after it.
  void forget() {
    if (bytes_.size() > most_kept) *this = {};
  }

 private:
  static constexpr std::size_t step = 1 << 15;
  static constexpr std::size_t most_kept = 1 << 18;
  std::vector<char> bytes_;
  std::vector<Name> names_;
};

/// A directory of one of the two trees.
class Side {
 public:
  using Name = Names::Name;

  Side(const MergedView& view, const Entry& directory, Names& names)
      : view_(view), directory_(directory.top().path), shown_(view.shown(directory)), names_(names) {
    dir_ = try_open_beneath(view.root_descriptor(0), directory_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, shown_);
    if (dir_)
      names_.read(dir_.get(), shown_);
    else
      names_ = {};  // it has gone meanwhile
  }
  ~Side() { names_.forget(); }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  Names& names() const { return names_; }
  FileDescriptor open(Name name) const { return try_open_file(dir_.get(), name->d_name); }
  std::optional<Metadata> look_at(Name name) const { return try_stat(dir_.get(), name->d_name, shown_); }
  std::vector<std::string> list_xattrs(Name name) const {
    return detail::list_xattrs(dir_.get(), name->d_name, shown_);
  }
  /// Of those names, those that a layer carries, with their values.
  Xattrs layer_xattrs(Name name, const std::vector<std::string>& attributes) const {
    Xattrs xattrs;
    for (const std::string& attribute : attributes)
      if (is_layer_xattr(attribute))
        if (auto value = read_xattr(dir_.get(), name->d_name, attribute, shown_))
          xattrs.emplace(attribute, std::move(*value));
    return xattrs;
  }
  NamedFile named(const FileDescriptor& file, Name name) const { return {file.get(), shown_, name->d_name}; }
  Entry entry(Name name, const Metadata& metadata) const {
    const MergedView::Place place{0, shown_path(directory_, name->d_name)};
    return {metadata, {place}, place, false};
  }
  Seen seen(const std::optional<Entry>& entry) const { return {view_, *entry}; }

 private:
  const MergedView& view_;
  const std::string& directory_;
  const std::string shown_;
  Names& names_;
  FileDescriptor dir_;
};

class PlainComparison {
 public:
  using Name = Names::Name;

  PlainComparison(const Side& before, const Side& after, bool trust_times, const std::stop_token& stop)
      : before_(before), after_(after), trust_times_(trust_times), stop_(stop) {}

  std::vector<Pair> run() {
    // Copies are listed in the same order by most filesystems: nothing has to be sorted then but what differs.
    const bool sorted = !before_.names().has_same_order(after_.names());
    if (sorted) {
      before_.names().sort();
      after_.names().sort();
    }
    for (std::size_t b = 0, a = 0;;) {
      const Name before = before_.names().at(b), after = after_.names().at(a);
      if (!before && !after) break;
      const int order = !before ? 1 : !after ? -1 : sorted ? std::strcmp(before->d_name, after->d_name) : 0;
      if (order <= 0) ++b;
      if (order >= 0) ++a;
      if (order != 0 || !are_same_files(before, after))
        look_at(order <= 0 ? before : nullptr, order >= 0 ? after : nullptr);
    }
    if (!sorted)
      std::sort(pairs_.begin(), pairs_.end(), [](const Pair& x, const Pair& y) { return x.name < y.name; });
    return std::move(pairs_);
  }

 private:
  /// Compares two files by what is open, which takes the fewest calls. False: they differ, or are no files, or have to
  /// be looked at by name.
  bool are_same_files(Name before, Name after) const {
    if (stop_.stop_requested()) throw_error(errc::cancelled, "compare", quoted(before->d_name));
    if (trust_times_ || before->d_type != DT_REG || after->d_type != DT_REG || before->d_ino == after->d_ino)
      return false;
    const FileDescriptor b = before_.open(before), a = after_.open(after);
    struct stat x {}, y {};
    if (!b || !a || sys::fstat(b.get(), x) != 0 || sys::fstat(a.get(), y) != 0) return false;
    const Metadata p = metadata_of(x), q = metadata_of(y);
    return p.is_file() && p.links == 1 && q.links == 1 && same_metadata(p, q) &&
           have_same_xattrs(b, before, a, after) &&
           same_bytes(before_.named(b, before), after_.named(a, after), p.size, stop_);
  }

  bool have_same_xattrs(const FileDescriptor& b, Name before, const FileDescriptor& a, Name after) const {
    // Without memory for their names, the kernel says how long these are.
    if (sys::flistxattr(b.get(), nullptr, 0) == 0 && sys::flistxattr(a.get(), nullptr, 0) == 0) return true;
    return before_.layer_xattrs(before, before_.list_xattrs(before)) ==
           after_.layer_xattrs(after, after_.list_xattrs(after));
  }

  /// Looks at what is there by a name, in one of the directories or in both.
  void look_at(Name before, Name after) {
    const auto b = before ? before_.look_at(before) : std::nullopt;
    const auto a = after ? after_.look_at(after) : std::nullopt;
    if (!b && !a) return;
    const bool have_one_name = b && a && b->links == 1 && a->links == 1;
    if (have_one_name && trust_times_ && a->is_file() && same_metadata(*b, *a)) return;
    Pair pair{before ? before->d_name : after->d_name};
    if (b) pair.before = before_.entry(before, *b);
    if (a) pair.after = after_.entry(after, *a);
    if (b && a && is_carried(pair.before) && is_carried(pair.after)) pair.same = are_same(before, after, pair);
    if (pair.same && have_one_name && !a->is_directory()) return;
    pairs_.push_back(std::move(pair));
  }

  bool are_same(Name before, Name after, Pair& pair) const {
    const Metadata& b = pair.before->metadata;
    const Metadata& a = pair.after->metadata;
    if (!same_metadata(b, a)) return false;
    if (trust_times_ && a.is_file()) return true;
    if (!untouched(b, a)) {
      pair.before->attributes = before_.list_xattrs(before);
      pair.after->attributes = after_.list_xattrs(after);
    }
    return same_file(before_.seen(pair.before), after_.seen(pair.after), stop_);
  }

  const Side& before_;
  const Side& after_;
  const bool trust_times_;
  const std::stop_token& stop_;
  std::vector<Pair> pairs_;
};

}  // namespace

Candidates compare_plain(const Views& views, const Entry& before, const Entry& after, bool trust_times,
                         const std::stop_token& stop) {
  thread_local Names older, newer;
  const Side b(views.before, before, older), a(views.after, after, newer);
  return {.pairs = PlainComparison(b, a, trust_times, stop).run(), .compared = true};
}

}  // namespace strata::detail
