#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/operations.hpp"
#include "store/tree_record.hpp"
#include "tree/directory.hpp"
#include "tree/entry_path.hpp"
#include "tree/recipe.hpp"

#include <dirent.h>

#include <map>
#include <set>

namespace strata::detail {

namespace {

/// Compares a tree with the tar that its recipe gives, entry by entry.
class Verification {
 public:
  Verification(const StoreCore& core, const Layer& layer, const Control& control)
      : core_(core),
        layer_(layer),
        control_(control),
        tree_(open_directory(core.tree_directory(layer.tree()))),
        fs_(open_beneath(tree_.get(), "fs", O_RDONLY | O_DIRECTORY)) {
    result_.id = layer.id;
  }

  VerifyResult run() {
    const auto record = find_tree_record(tree_.get());
    if (!record) {
      damaged("", "the tree has no record");
      return std::move(result_);
    }
    record_ = *record;
    if (const auto text = read_small_file(tree_.get(), "missing"))
      for (const auto& [ordinal, path] : decode_moved(*text)) missing_.insert(path);
    relocated_ = try_stat(tree_.get(), "moved").has_value();
    try {
      rebuild();
    } catch (const Error& error) {
      if (error.code() == errc::cancelled) throw;
      damaged("", error.what());
      return std::move(result_);
    }
    for (const auto& [path, expected] : expected_) compare(path, expected);
    if (!record_.resolved) look_for_strangers(fs_.get(), "");
    return std::move(result_);
  }

 private:
  /// What the last entry of a path said.
  struct Expected {
    TarType type;
    std::uint32_t mode;
    std::uint64_t uid, gid, size;
    Timestamp mtime;
    dev_t device;
    std::string link;
    Xattrs xattrs;
  };

  void damaged(std::string path, std::string what) { result_.damages.push_back({std::move(path), std::move(what)}); }

  /// Reads the tar that the tree and its recipe make. Content that has changed is noticed on the way, its digest at the
  /// end.
  void rebuild() {
    RecipeSource source(tree_.get(), [this](const std::string& path, const std::string& what) { damaged(path, what); });
    struct Digesting final : ByteSource {
      Digesting(ByteSource& inner, AnyHash running) : from(inner), hash(std::move(running)) {}
      std::size_t read(std::span<std::byte> into) override {
        const std::size_t n = from.read(into);
        hash.update(into.first(n));
        return n;
      }
      ByteSource& from;
      AnyHash hash;
    } digesting(source, core_.hash().start());
    TarReader reader(digesting);
    Progress progress{.phase = Progress::Phase::verifying, .total_bytes = layer_.tar_size};
    while (const TarEntry* entry = reader.next()) {
      if (control_.stop.stop_requested()) throw_error(errc::cancelled, "verify", layer_.id.to_string());
      note(*entry);
      progress.bytes = progress.tar_bytes = reader.offset();
      if (++progress.entries % 256 == 0 && control_.observer) control_.observer(progress);
    }
    for (const TarEntry& entry : early_links_)
      if (const auto at = expected_.find(place_of(split_entry_path(entry.path, "entry").names));
          at != expected_.end() && at->second.type == TarType::hardlink && at->second.link == entry.link)
        describe_target(entry);  // unless a later entry has replaced it
    const Digest diff_id = digesting.hash.finish();
    if (diff_id != layer_.diff_id())
      damaged("", "the layer tar that the tree gives has the digest " + diff_id.to_string() + " instead of " +
                      layer_.diff_id().to_string());
  }

  void note(const TarEntry& entry) {
    const EntryPath path = split_entry_path(entry.path, "entry");
    std::string name;
    std::string_view hidden;
    for (const std::string_view part : path.names) {
      const NameKind kind = classify_name(part, hidden, entry.path);
      if (kind == NameKind::whiteout)
        expected_names_.insert(name.empty() ? std::string(hidden) : name + "/" + std::string(hidden));
      if (kind != NameKind::ordinary) return;
      if (!name.empty()) name += '/';
      name += part;
      expected_names_.insert(name);
    }
    if (name.empty() && entry.type != TarType::directory) return;
    if (entry.type == TarType::character && entry.device_major == 0 && entry.device_minor == 0) return;
    name = place_of(path.names);
    expected_names_.insert(name);
    for (std::size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
      expected_names_.insert(name.substr(0, slash));
      if (const auto above = expected_.find(name.substr(0, slash));
          above != expected_.end() && above->second.type != TarType::directory)
        expected_.erase(above);  // A13
    }
    if (entry.type != TarType::directory)
      expected_.erase(expected_.lower_bound(name + "/"), expected_.lower_bound(name + "0"));  // '0' follows '/'
    if (entry.type == TarType::hardlink && !describe_target(entry)) early_links_.push_back(entry);
    expected_[name] = Expected{entry.type,
                               entry.mode & 07777,
                               entry.uid,
                               entry.gid,
                               entry.size,
                               entry.mtime,
                               makedev(entry.device_major, entry.device_minor),
                               entry.link,
                               entry.xattrs};
  }

  /// Where an entry of these names was put: symlinks of the layer that lead to it are followed.
  std::string place_of(const std::vector<std::string_view>& path) const {
    std::vector<std::string> names(path.rbegin(), path.rend());
    std::string at;
    for (int links = 0; !names.empty() && links <= 40;) {
      const std::string name = std::move(names.back());
      names.pop_back();
      if (name == "..") {
        at.resize(at.find('/') == std::string::npos ? 0 : at.rfind('/'));
        continue;
      }
      const std::string child = at.empty() ? name : at + "/" + name;
      const auto known = expected_.find(child);
      if (names.empty() || known == expected_.end() || known->second.type != TarType::symlink) {
        at = child;
        continue;
      }
      ++links;
      const std::string& target = known->second.link;
      if (target.starts_with('/')) at.clear();
      std::vector<std::string> more;
      for (std::size_t begin = 0; begin < target.size();) {
        const std::size_t end = std::min(target.find('/', begin), target.size());
        if (std::string part = target.substr(begin, end - begin); !part.empty() && part != ".")
          more.push_back(std::move(part));
        begin = end + 1;
      }
      names.insert(names.end(), more.rbegin(), more.rend());
    }
    return at;
  }

  /// A hardlink's header describes the file that it links to (A14). False where that hasn't come yet.
  bool describe_target(const TarEntry& entry) {
    std::string link = entry.link;
    for (int steps = 0; steps < 40; ++steps) {
      const auto target = expected_.find(place_of(split_entry_path(link, "hardlink target").names));
      if (target == expected_.end()) return false;
      if (target->second.type == TarType::symlink) return true;
      if (target->second.type == TarType::hardlink) {
        link = target->second.link;
        continue;
      }
      target->second.mode = entry.mode & 07777;
      target->second.uid = entry.uid;
      target->second.gid = entry.gid;
      target->second.mtime = entry.mtime;
      return true;
    }
    return true;
  }

  /// The directory of an entry; symlinks of the layer that lead to it are followed inside the tree.
  FileDescriptor parent_of(const std::string& path) const {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return open_beneath(fs_.get(), "", O_PATH | O_DIRECTORY);
    open_how how{};
    how.flags = O_PATH | O_DIRECTORY;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    FileDescriptor fd(sys::openat2(fs_.get(), path.substr(0, slash).c_str(), how));
    if (!fd && errno == ENOSYS) fd = try_open_beneath(fs_.get(), path.substr(0, slash), O_PATH | O_DIRECTORY);
    return fd;
  }

  void compare(const std::string& path, const Expected& want) {
    if (missing_.contains(path)) return;
    const FileDescriptor parent = parent_of(path);
    const std::string name = path.empty() ? "." : path.substr(path.rfind('/') + 1);
    const auto found = parent ? try_stat(parent.get(), name, path) : std::nullopt;
    if (!found) {
      // An entry that was moved to where a lower symlink leads is checked by its content alone.
      if (!(parent ? relocated_ : record_.resolved) && !replaced_above(path)) damaged(path, "it is missing");
      return;
    }
    if (want.type == TarType::hardlink) return;  // its target's entry says what it is
    if (found->is_directory() && want.type != TarType::directory && is_above(path))
      return;  // A13: its children's parent now
    if (type_of(want.type) != (found->mode & S_IFMT)) return damaged(path, "it has become something else");
    if (want.type != TarType::symlink && (found->mode & 07777) != want.mode)
      damaged(path, "its mode is " + octal(found->mode & 07777) + " instead of " + octal(want.mode));
    if (!record_.squashed && (found->uid != want.uid || found->gid != want.gid))
      damaged(path, "its owner is " + std::to_string(found->uid) + ":" + std::to_string(found->gid) + " instead of " +
                        std::to_string(want.uid) + ":" + std::to_string(want.gid));
    if (found->mtime != want.mtime && !clamped(found->mtime, want.mtime)) damaged(path, "its time has changed");
    if (want.type == TarType::symlink && read_link(parent.get(), name, path) != want.link)
      damaged(path, "its target has changed");
    if ((want.type == TarType::character || want.type == TarType::block) && found->rdev != want.device)
      damaged(path, "its device numbers have changed");
    // Content that nothing in the recipe stands for: an empty file.
    if (want.type == TarType::file && want.size == 0 && found->size != 0) damaged(path, "it is no longer empty");
    const Xattrs xattrs = read_xattrs(parent.get(), name == "." ? "" : name, path);
    for (const auto& [attribute, value] : xattrs)
      if (!want.xattrs.contains(attribute) && !is_overlay_xattr(attribute) && attribute != "security.selinux")
        damaged(path, "it has a new attribute " + quoted(attribute));
    for (const auto& [attribute, value] : want.xattrs)
      if (const auto now = xattrs.find(attribute); now != xattrs.end() && now->second != value &&
                                                   !is_overlay_xattr(attribute) && attribute != "security.selinux")
        damaged(path, "its attribute " + quoted(attribute) + " has changed");
  }

  /// Whether a filesystem made the one time of the other because it can't hold it (attributes.cpp).
  static bool clamped(const Timestamp& found, const Timestamp& want) {
    return (want < found && found.seconds <= INT32_MIN) || (found < want && found.seconds >= INT32_MAX);
  }

  bool is_above(const std::string& path) const {
    const auto next = expected_.lower_bound(path + "/");
    return next != expected_.end() && next->first.starts_with(path + "/");
  }

  /// Whether a later entry of the layer replaced a directory on the way to this path.
  bool replaced_above(const std::string& path) const {
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
      if (const auto at = expected_.find(path.substr(0, slash));
          at != expected_.end() && at->second.type != TarType::directory)
        return true;
    return false;
  }

  void look_for_strangers(int dir, const std::string& prefix) {
    for (const DirectoryEntry& entry : list_directory(dir)) {
      const std::string path = prefix + entry.name;
      if (!expected_names_.contains(path)) {
        // What a symlink of the layer led elsewhere stands under another name than its entry's.
        if (!reached_through_symlink(path)) damaged(path, "no entry of the layer has put it there");
        continue;
      }
      if (entry.type != DT_DIR && entry.type != DT_UNKNOWN) continue;
      const FileDescriptor child(sys::openat(dir, entry.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      if (child) look_for_strangers(child.get(), path + "/");
    }
  }

  bool reached_through_symlink(const std::string&) {
    if (!has_symlinked_parent_) {
      has_symlinked_parent_ = false;
      for (const auto& [path, expected] : expected_)
        for (std::size_t slash = path.find('/'); slash != std::string::npos && !*has_symlinked_parent_;
             slash = path.find('/', slash + 1))
          if (const auto at = expected_.find(path.substr(0, slash));
              at != expected_.end() && at->second.type == TarType::symlink)
            has_symlinked_parent_ = true;
    }
    return *has_symlinked_parent_;
  }

  static mode_t type_of(TarType type) {
    switch (type) {
      case TarType::directory:
        return S_IFDIR;
      case TarType::symlink:
        return S_IFLNK;
      case TarType::character:
        return S_IFCHR;
      case TarType::block:
        return S_IFBLK;
      case TarType::fifo:
        return S_IFIFO;
      default:
        return S_IFREG;
    }
  }
  static std::string octal(std::uint32_t mode) {
    char text[16];
    std::snprintf(text, sizeof text, "%04o", mode);
    return text;
  }

  const StoreCore& core_;
  const Layer& layer_;
  const Control& control_;
  FileDescriptor tree_, fs_;
  TreeRecord record_;
  VerifyResult result_;
  std::map<std::string, Expected> expected_;
  std::set<std::string> expected_names_;
  std::set<std::string> missing_;
  std::vector<TarEntry> early_links_;  // to files that come later in the tar, or are below
  bool relocated_ = false;
  std::optional<bool> has_symlinked_parent_;
};

}  // namespace

VerifyResult verify_layer(const StoreCore& core, const Digest& id, const Control& control) {
  const Layer layer = core.get(id);
  return Verification(core, layer, control).run();
}

}  // namespace strata::detail
