#include "store/mend.hpp"

#include <strata/error.hpp>

#include "store/content_check.hpp"
#include "tree/attributes.hpp"
#include "tree/directory.hpp"
#include "tree/file_type.hpp"

#include <linux/fs.h>

#include <algorithm>
#include <optional>
#include <set>

namespace strata::detail {

namespace {

using Kind = Damage::Kind;
using Id = ExpectedTree::Id;
constexpr Id none = ExpectedTree::none;

/// A path as the directory that it is in and a name there.
struct Place {
  FileDescriptor parent;
  std::string name;
};

class Mender {
 public:
  Mender(const StoreCore& core, int tree, const ExpectedTree& expected, const Replacements& replacements,
         const Draft& draft)
      : tree_(tree),
        fs_(open_beneath(tree, "fs", O_RDONLY | O_DIRECTORY)),
        expected_(expected),
        opaque_mark_(std::string(overlay_prefix(core.form())) + "opaque"),
        replacements_(replacements),
        draft_(draft),
        new_(open_beneath(draft.descriptor(), "new", O_RDONLY | O_DIRECTORY)),
        root_(attributes_of(stat_of(fs_.get()), read_xattrs(fs_.get(), ""))) {}

  Unmended run(const std::vector<Finding>& findings) {
    sort_out(findings);
    // All that is new is on the disk before any of it takes its place.
    for (Group& group : groups_) attempt(group.first, [&] { prepare(group); });
    draft_.sync();
    for (const std::string& path : added_) attempt(path, [&] { take_away(path); });
    for (const auto& [path, id] : missing_directories_) attempt(id, [&, id = id] { make_directory(id); });
    for (const Group& group : groups_) attempt(group.first, [&] { place(group); });
    for (const std::uint32_t content : kept_)
      attempt(expected_.path(expected_.contents()[content]), [&] { place_kept(content); });
    // The innermost first: the mode of an outer one may shut out whoever isn't root.
    std::vector<std::pair<std::string, Id>> directories;
    for (const Id id : directories_) directories.emplace_back(expected_.path(id), id);
    std::ranges::sort(directories, std::greater());
    for (const auto& [path, id] : directories) attempt(id, [&, id = id] { mend_directory(id); });
    draft_.sync();
    return std::move(unmended_);
  }

 private:
  /// The names of one file (or symlink, device, whiteout), and the name or draft that has it as it should be.
  struct Group {
    Id first = none;
    std::vector<Id> names = {};
    bool is_apart = false;  ///< it must become another file than what it is now
    std::optional<Id> good = {};
    std::string made = {};  ///< in the draft's `new`
  };

  template <class Work>
  void attempt(const std::string& path, Work work) {
    try {
      work();
    } catch (const Error& error) {
      unmended_.emplace(path, error.what());
    }
  }
  template <class Work>
  void attempt(Id id, Work work) {
    attempt(expected_.path(id), work);
  }

  void sort_out(const std::vector<Finding>& findings) {
    std::map<Id, Group> groups;
    for (const Finding& finding : findings) {
      const Kind kind = finding.damage.kind;
      if (kind == Kind::added) added_.push_back(finding.damage.path);
      if (finding.content != none && replacements_.has(finding.content)) kept_.push_back(finding.content);
      if (finding.node == none) continue;
      if (kind == Kind::content) bad_contents_.insert(finding.node);
      if (expected_[finding.node].type == TarType::directory) {
        if (kind == Kind::missing || kind == Kind::type)
          missing_directories_.emplace(finding.damage.path, finding.node);
        directories_.insert(finding.node);
        continue;
      }
      const Id first = expected_.first_name(finding.node);
      Group& group = groups[first];
      group.first = first;
      group.is_apart = group.is_apart || (kind == Kind::link && finding.node == first);
    }
    for (Id id = 0; id < expected_.size(); ++id)
      if (expected_[id].there)
        if (const auto group = groups.find(expected_.first_name(id)); group != groups.end())
          group->second.names.push_back(id);
    for (auto& [first, group] : groups) groups_.push_back(std::move(group));
  }

  // Preparing

  void prepare(Group& group) {
    for (const Id name : group.names)
      if (!group.is_apart && is_good(group.first, name)) {
        group.good = name;
        return;
      }
    group.made = std::to_string(group.first);
    try {
      make(group);
    } catch (...) {
      group.made.clear();
      throw;
    }
  }

  /// Whether a name has what its file should be, its attributes aside.
  bool is_good(Id first, Id name) {
    const ExpectedTree::Node& want = expected_[first];
    const auto place = try_place(expected_.path(name));
    const auto now = place ? try_stat(place->parent.get(), place->name) : std::nullopt;
    if (!now) return false;
    if (want.whiteout) return now->is_whiteout();
    if ((now->mode & S_IFMT) != type_bits(want.type)) return false;
    const std::string path = expected_.path(name);
    switch (want.type) {
      case TarType::symlink:
        return read_link(place->parent.get(), place->name, path) == expected_.link_target(first);
      case TarType::character:
      case TarType::block:
        return now->rdev == want.device;
      case TarType::file: {
        if (now->size != want.size) return false;
        if (want.size == 0) return true;
        const FileDescriptor file = try_open_file(place->parent.get(), place->name.c_str());
        if (!file) return false;
        try {
          const ExpectedTree::Content* const content = expected_.content(first);
          if (content == nullptr && expected_.is_unrecorded(first)) return !bad_contents_.contains(first);
          return content == nullptr
                     ? check_.is_blank(file.get(), 0, want.size, path)
                     : check_.matches(file.get(), want.size, expected_.extents(*content), content->checksum, path);
        } catch (const Error&) {
          return false;
        }
      }
      default:
        return true;
    }
  }

  void make(const Group& group) {
    const ExpectedTree::Node& want = expected_[group.first];
    const std::string path = expected_.path(group.first);
    const int dir = new_.get();
    const char* const name = group.made.c_str();
    const auto check = [&](int result) {
      if (result != 0) throw_errno(errno, "make again", quoted(path));
    };
    if (want.whiteout) return check(sys::mknodat(dir, name, S_IFCHR, 0));
    const Attributes attributes = expected_.attributes(group.first);
    if (want.type == TarType::file) {
      if (expected_.is_unrecorded(group.first))
        throw_error(errc::not_found, "make again", quoted(path), "the tree doesn't say what was in it");
      if (const ExpectedTree::Content* const content = expected_.content(group.first)) {
        const auto id = static_cast<std::uint32_t>(content - expected_.contents().data());
        if (!replacements_.has(id) && content->ordinal == none)
          throw_error(errc::not_found, "make again", quoted(path), "no layer below has its content any more",
                      "repair those first");
        if (!replacements_.has(id))
          throw_error(errc::not_found, "make again", quoted(path), "its content is to be had nowhere");
        // A file of its own, though others may be given the same.
        check(sys::renameat2(replacements_.directory(), replacements_.name(id).c_str(), dir, name, 0));
      }
      const FileDescriptor file(sys::openat(dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
      if (!file) throw_errno(errno, "make again", quoted(path));
      if (expected_.content(group.first) == nullptr) check(sys::ftruncate(file.get(), static_cast<off_t>(want.size)));
      return setter_.set_file(file.get(), attributes, ~std::uint32_t{0}, path);
    }
    const mode_t type = type_bits(want.type);
    check(type == S_IFLNK ? sys::symlinkat(expected_.link_target(group.first).c_str(), dir, name)
                          : sys::mknodat(dir, name, type | 0600, type == S_IFIFO ? 0 : want.device));
    setter_.set_node(dir, name, type, attributes, path);
  }

  // Placing

  std::optional<Place> try_place(const std::string& path) const {
    if (path.empty()) return Place{open_beneath(tree_, ".", O_RDONLY | O_DIRECTORY), "fs"};
    const std::size_t slash = path.rfind('/');
    const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash);
    FileDescriptor dir = try_open_beneath(fs_.get(), parent, O_PATH | O_DIRECTORY, parent);
    if (!dir) return std::nullopt;
    return Place{std::move(dir), slash == std::string::npos ? path : path.substr(slash + 1)};
  }

  Place place_of(const std::string& path) const {
    if (auto place = try_place(path)) return std::move(*place);
    throw_error(errc::not_found, "mend", quoted(path), "the directory that it was in is missing");
  }

  /// A place whose directory is about to change: it gets its time back at the end, and lets its owner in until then.
  Place place_to_change(const std::string& path) {
    Place place = place_of(path);
    const std::size_t slash = path.rfind('/');
    const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
    directories_.insert(expected_.find(parent));
    if (::geteuid() != 0 && (stat_of(place.parent.get()).mode & 0300) != 0300) {
      const Place above = place_of(parent);
      if (change_mode(above.parent.get(), above.name, 0700) != 0) throw_errno(errno, "open up", quoted(parent));
    }
    return place;
  }

  std::string fresh_name() { return "put-" + std::to_string(++puts_); }

  /// Moves what is in the draft to a path, and what was there, if anything, into the draft.
  void put(const std::string& name, const std::string& path) {
    const Place to = place_to_change(path);
    const unsigned how = try_stat(to.parent.get(), to.name) ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    if (sys::renameat2(new_.get(), name.c_str(), to.parent.get(), to.name.c_str(), how) != 0)
      throw_errno(errno, "put in place", quoted(path));
  }

  void take_away(const std::string& path) {
    const Place from = place_to_change(path);
    if (sys::renameat2(from.parent.get(), from.name.c_str(), new_.get(), fresh_name().c_str(), RENAME_NOREPLACE) != 0)
      throw_errno(errno, "take away", quoted(path));
  }

  /// Its attributes come last, with what is to be in it there.
  void make_directory(Id id) {
    const std::string name = fresh_name();
    const std::string path = expected_.path(id);
    if (sys::mkdirat(new_.get(), name.c_str(), 0700) != 0) throw_errno(errno, "make again", quoted(path));
    put(name, path);
  }

  void place(const Group& group) {
    if (!group.good && group.made.empty()) return;  // what could not be made has been told
    const Place good = group.good ? place_of(expected_.path(*group.good)) : Place{FileDescriptor(), group.made};
    const int from = group.good ? good.parent.get() : new_.get();
    const Metadata file = *try_stat(from, good.name);
    for (const Id name : group.names) {
      const std::string path = expected_.path(name);
      const auto place = try_place(path);
      const auto now = place ? try_stat(place->parent.get(), place->name) : std::nullopt;
      if (now && now->inode == file.inode && now->device == file.device) continue;
      const std::string link = fresh_name();
      if (sys::linkat(from, good.name.c_str(), new_.get(), link.c_str(), 0) != 0)
        throw_errno(errno, "link", quoted(path));
      put(link, path);
    }
    if (!group.good) {
      (void)sys::unlinkat(new_.get(), group.made.c_str(), 0);
    } else if (!expected_[group.first].whiteout) {
      mend_attributes(good, type_bits(expected_[group.first].type), group.first);
    }
  }

  void place_kept(std::uint32_t content) {
    const std::string ordinal = replacements_.name(content);
    const FileDescriptor kept = open_beneath(tree_, "kept", O_RDONLY | O_DIRECTORY);
    if (sys::renameat2(replacements_.directory(), ordinal.c_str(), kept.get(), ordinal.c_str(), 0) != 0)
      throw_errno(errno, "put in place", "a kept content");
  }

  // Attributes

  void mend_attributes(const Place& place, mode_t type, Id id) {
    give(place, type, expected_.attributes(id), expected_.path(id));
  }

  void give(const Place& place, mode_t type, const Attributes& attributes, const std::string& path) {
    const int dir = place.parent.get();
    const auto now = try_stat(dir, place.name, path);
    if (!now || (now->mode & S_IFMT) != type) return;
    // The setter takes what shall be this process's own for just created, and so for its own already.
    if ((now->uid != attributes.uid || now->gid != attributes.gid) && attributes.uid == setter_.own_uid &&
        attributes.gid == setter_.own_gid)
      if (sys::fchownat(dir, place.name.c_str(), setter_.own_uid, setter_.own_gid, AT_SYMLINK_NOFOLLOW) != 0)
        throw_errno(errno, "give back the owner of", quoted(path));
    for (const std::string& name : list_xattrs(dir, place.name, path))
      if (!attributes.xattrs.contains(name) && name != "security.selinux" && name != opaque_mark_)
        if (sys::lremovexattr(proc_path(place.parent.get(), place.name).c_str(), name.c_str()) != 0 && errno != ENODATA)
          throw_errno(errno, "remove the attribute " + quoted(name) + " of", quoted(path));
    setter_.set_node(dir, place.name, type, attributes, path);
  }

  void mend_directory(Id id) {
    const std::string path = expected_.path(id);
    const Place place = place_of(path);
    const bool marked = read_xattr(place.parent.get(), place.name, opaque_mark_, path) == "y";
    if (marked != expected_[id].opaque) {
      const std::string proc = proc_path(place.parent.get(), place.name);
      if ((marked ? sys::lremovexattr(proc.c_str(), opaque_mark_.c_str())
                  : sys::lsetxattr(proc.c_str(), opaque_mark_.c_str(), "y", 1, 0)) != 0)
        throw_errno(errno, marked ? "take the opaque mark from" : "mark as opaque", quoted(path));
    }
    // A root that no entry describes keeps what it had.
    Attributes attributes = expected_[id].there ? expected_.attributes(id) : root_;
    if (!expected_[id].there)
      std::erase_if(attributes.xattrs, [](const auto& one) { return is_overlay_xattr(one.first); });
    if (expected_[id].there || id == ExpectedTree::root) give(place, S_IFDIR, attributes, path);
  }

  const int tree_;
  const FileDescriptor fs_;
  const ExpectedTree& expected_;
  const std::string opaque_mark_;
  const Replacements& replacements_;
  const Draft& draft_;
  const FileDescriptor new_;
  const Attributes root_;
  ContentCheck check_{{}};
  Report ignored_;
  bool altered_ = false;
  ObjectSetter setter_{Owners::keep, ignored_, Conformance::strict, &altered_};

  std::vector<std::string> added_;
  std::map<std::string, Id> missing_directories_;  // by path: an outer one before what is in it
  std::vector<Group> groups_;
  std::vector<std::uint32_t> kept_;
  std::set<Id> bad_contents_;
  std::set<Id> directories_;  // whose attributes are to be given again
  unsigned puts_ = 0;
  Unmended unmended_;
};

}  // namespace

Unmended mend_tree(const StoreCore& core, int tree, const ExpectedTree& expected, const std::vector<Finding>& findings,
                   const Replacements& replacements, const Draft& draft) {
  return Mender(core, tree, expected, replacements, draft).run(findings);
}

}  // namespace strata::detail
