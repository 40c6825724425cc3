#include "diff/plain_trees.hpp"

#include <strata/error.hpp>

#include "diff/compare.hpp"
#include "tree/raw_names.hpp"

#include <algorithm>
#include <cstring>
#include <span>

namespace strata::detail {
namespace {

using Entry = MergedView::Entry;

/// A directory of one of the two trees.
class Side {
 public:
  using Name = RawNames::Name;

  Side(const MergedView& view, const Entry& directory, RawNames& names)
      : view_(view), directory_(directory.top().path), shown_(view.shown(directory)), names_(names) {
    dir_ = try_open_beneath(view.root_descriptor(0), directory_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, shown_);
    if (dir_) names_.read(dir_.get(), shown_);  // else it has gone meanwhile
  }
  ~Side() { names_.clear(); }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  std::span<const Name> names() const { return names_.all(); }
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
  RawNames& names_;
  FileDescriptor dir_;
};

class PlainComparison {
 public:
  using Name = RawNames::Name;

  PlainComparison(const Side& before, const Side& after, bool trust_times, const std::stop_token& stop)
      : before_(before), after_(after), trust_times_(trust_times), stop_(stop) {}

  std::vector<Pair> run() {
    align(before_.names(), after_.names());
    sort(only_before_);
    sort(only_after_);
    for (auto b = only_before_.begin(), a = only_after_.begin(); b != only_before_.end() || a != only_after_.end();) {
      const int order = b == only_before_.end()  ? 1
                        : a == only_after_.end() ? -1
                                                 : std::strcmp((*b)->d_name, (*a)->d_name);
      if (order == 0)
        compare(*b, *a);
      else
        look_at(order < 0 ? *b : nullptr, order < 0 ? nullptr : *a);
      if (order <= 0) ++b;
      if (order >= 0) ++a;
    }
    std::sort(pairs_.begin(), pairs_.end(), [](const Pair& x, const Pair& y) { return x.name < y.name; });
    return std::move(pairs_);
  }

 private:
  /// Compares what is found at the same place of both lists, or near it: most filesystems list the names of a copy in
  /// the same order, so that no more has to be sorted than what is left.
  void align(std::span<const Name> before, std::span<const Name> after) {
    static constexpr std::size_t near = 4;
    const auto distance = [](std::span<const Name> names, Name wanted) {
      std::size_t at = 0;
      while (at < std::min(near, names.size()) && std::strcmp(names[at]->d_name, wanted->d_name) != 0) ++at;
      return at < names.size() ? at : near;
    };
    while (!before.empty() && !after.empty()) {
      const std::size_t a = distance(after, before.front()), b = a == 0 ? 0 : distance(before, after.front());
      if (a == near && b == near) {
        pass_over(before, 1, only_before_);
        pass_over(after, 1, only_after_);
        continue;
      }
      if (a <= b)
        pass_over(after, a, only_after_);
      else
        pass_over(before, b, only_before_);
      compare(before.front(), after.front());
      before = before.subspan(1);
      after = after.subspan(1);
    }
    pass_over(before, before.size(), only_before_);
    pass_over(after, after.size(), only_after_);
  }

  static void pass_over(std::span<const Name>& names, std::size_t count, std::vector<Name>& left) {
    left.insert(left.end(), names.begin(), names.begin() + static_cast<std::ptrdiff_t>(count));
    names = names.subspan(count);
  }

  static void sort(std::vector<Name>& names) {
    std::sort(names.begin(), names.end(), [](Name a, Name b) { return std::strcmp(a->d_name, b->d_name) < 0; });
  }

  void compare(Name before, Name after) {
    if (!are_same_files(before, after)) look_at(before, after);
  }

  /// Compares two files by what is open, which takes the fewest calls. False: they differ, or are no files, or have to
  /// be looked at by name.
  bool are_same_files(Name before, Name after) const {
    if (stop_.stop_requested()) throw_error(errc::cancelled, "compare", quoted(before->d_name));
    if (trust_times_ || before->d_type != DT_REG || after->d_type != DT_REG || before->d_ino == after->d_ino)
      return false;
    const FileDescriptor b = before_.open(before), a = after_.open(after);
    struct stat x {
    }, y{};
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
  std::vector<Name> only_before_, only_after_;  // or in another order
  std::vector<Pair> pairs_;
};

}  // namespace

Candidates compare_plain(const Views& views, const Entry& before, const Entry& after, bool trust_times,
                         const std::stop_token& stop) {
  thread_local RawNames older, newer;
  const Side b(views.before, before, older), a(views.after, after, newer);
  return {.pairs = PlainComparison(b, a, trust_times, stop).run(), .compared = true};
}

}  // namespace strata::detail
