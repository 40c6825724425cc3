#include <strata/error.hpp>

#include "base/files.hpp"
#include "base/resources.hpp"
#include "store/operations.hpp"
#include "store/tree_entries.hpp"
#include "store/tree_record.hpp"
#include "stream/read_ahead.hpp"
#include "tree/directory.hpp"
#include "tree/entry_path.hpp"
#include "tree/file_type.hpp"
#include "tree/recipe.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

namespace strata::detail {

namespace {

/// A recipe is believed no more bytes than the layer tar has: where a file is missing, there are as many zeros as it
/// says.
class Bounded final : public ByteSource {
 public:
  Bounded(ByteSource& inner, std::uint64_t size) : from_(inner), left_(size) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t n = from_.read(into);
    if (n > left_)
      throw_error(errc::damaged, "read", "the recipe of a tree", "it gives more bytes than the layer tar had");
    left_ -= n;
    return n;
  }

 private:
  ByteSource& from_;
  std::uint64_t left_;
};

/// Compares a tree with the tar that its recipe gives: the tar by its digest, the tree with what the tar's entries say,
/// or, where they don't say it all, with the tree's own list of entries.
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
    try {
      const auto record = find_tree_record(tree_.get());
      if (!record) {
        damaged("", "the tree has no record");
        return std::move(result_);
      }
      read_tar(record->as_listed);
      if (!record->as_listed) read_list();
      if (const auto root = expected_.find(""); root != expected_.end()) {
        root->second.seen = true;
        compare(fs_.get(), "", "", stat_of(fs_.get(), "/"), root->second);
      }
      look_through(fs_.get(), "");
      for (auto& [path, want] : expected_) {
        if (!want.seen)
          damaged(path, "it is missing");
        else if (want.type == TarType::hardlink)
          compare_link(path, want);
      }
    } catch (const Error& error) {
      if (error.code() == errc::cancelled || is_shortage(error.code())) throw;
      damaged("", error.what());
    }
    return std::move(result_);
  }

 private:
  /// What an entry says of a path.
  struct Expected {
    TarType type = TarType::file;
    bool whiteout = false;
    bool opaque = false;
    bool described = false;  ///< by an entry, and not only by marks
    std::uint32_t mode = 0;
    std::uint64_t uid = 0, gid = 0, size = 0;
    Timestamp mtime;
    dev_t device = 0;
    std::string link;
    std::string checksum;  ///< of content that no recipe has
    Xattrs xattrs;
    bool seen = false;
    ino_t inode = 0;  ///< that was found
  };

  void damaged(std::string path, std::string what) { result_.damages.push_back({std::move(path), std::move(what)}); }

  void check_stop() const {
    if (control_.stop.stop_requested()) throw_error(errc::cancelled, "verify", layer_.id.to_string());
  }

  /// Reads the tar that the tree and its recipe make. Content that has changed is noticed on the way, its digest at the
  /// end.
  void read_tar(bool says_all) {
    std::vector<Damage> found;
    RecipeSource source(tree_.get(), [&found](const std::string& path, const std::string& what) {
      found.push_back({path, what});
    });
    Bounded bounded(source, layer_.tar_size);
    AnyHash hash = core_.hash().start();
    const auto digest = [&hash](std::span<const std::byte> bytes) { hash.update(bytes); };
    // What was found is there to be told also where the reading ends early; its thread has ended by then.
    const auto tell = [&] { std::ranges::move(found, std::back_inserter(result_.damages)); };
    try {
      ReadAhead ahead(bounded, digest);
      read_entries(ahead, says_all);
    } catch (...) {
      tell();
      throw;
    }
    tell();
    if (const Digest diff_id = hash.finish(); diff_id != layer_.diff_id())
      damaged("", "the layer tar that the tree gives has the digest " + diff_id.to_string() + " instead of " +
                      layer_.diff_id().to_string());
  }

  void read_entries(ByteSource& tar, bool says_all) {
    TarReader reader(tar);
    Progress progress{.phase = Progress::Phase::verifying, .total_bytes = layer_.tar_size};
    while (const TarEntry* entry = reader.next()) {
      check_stop();
      if (says_all) note(*entry);
      progress.bytes = progress.tar_bytes = reader.offset();
      if (++progress.entries % 256 == 0 && control_.observer) control_.observer(progress);
    }
  }

  /// An entry of the layer tar, of one that says all.
  void note(const TarEntry& entry) {
    const EntryPath path = split_entry_path(entry.path, "entry");
    std::string name;
    std::string_view hidden;
    for (const std::string_view part : path.names) {
      switch (classify_name(part, hidden, entry.path)) {
        case NameKind::ordinary:
          name.append(name.empty() ? "" : "/").append(part);
          continue;
        case NameKind::whiteout: {
          Expected& mark = expected_[std::string(name).append(name.empty() ? "" : "/").append(hidden)];
          mark.type = TarType::character;
          mark.whiteout = true;
          return;
        }
        case NameKind::opaque:
          expected_[name].opaque = true;
          return;
        case NameKind::aufs:
          return;
      }
    }
    if (name.empty() && entry.type != TarType::directory) return;
    if (entry.type == TarType::character && entry.device_major == 0 && entry.device_minor == 0) return;
    Expected& want = describe(name, entry);
    want.size = entry.size;
    if (entry.type == TarType::hardlink) want.link = joined(split_entry_path(entry.link, "hardlink target").names);
    std::erase_if(want.xattrs, [](const auto& attribute) { return is_overlay_xattr(attribute.first); });
  }

  /// The tree's own list.
  void read_list() {
    FileDescriptor fd(sys::openat(tree_.get(), "entries", O_RDONLY | O_NOFOLLOW));
    if (!fd) throw_errno(errno, "open", "the list of the tree's entries");
    FileSource file(std::move(fd), "the list of the tree's entries");
    const auto decoded = CompressionPolicy::of<Zstd>().decode(file);
    TarReader reader(*decoded);
    while (const TarEntry* entry = reader.next()) {
      check_stop();
      const EntryPath path = split_entry_path(entry->path, "entry");
      Expected& want = describe(joined(path.names), *entry);
      want.whiteout = entry->type == TarType::character && want.device == 0;
      want.opaque = want.xattrs.erase(opaque_mark_) != 0;
      if (const auto size = entry->other_records.find(entry_size); size != entry->other_records.end())
        want.size = std::strtoull(size->second.c_str(), nullptr, 10);
      if (const auto sum = entry->other_records.find(entry_checksum); sum != entry->other_records.end())
        want.checksum = sum->second;
    }
  }

  Expected& describe(const std::string& name, const TarEntry& entry) {
    Expected& want = expected_[name];
    want.type = entry.type;
    want.described = true;
    want.mode = entry.mode & 07777;
    want.uid = entry.uid;
    want.gid = entry.gid;
    want.mtime = entry.mtime;
    want.device = makedev(entry.device_major, entry.device_minor);
    want.link = entry.link;
    want.xattrs = entry.xattrs;
    return want;
  }

  static std::string joined(const std::vector<std::string_view>& names) {
    std::string path;
    for (const std::string_view name : names) path.append(path.empty() ? "" : "/").append(name);
    return path;
  }

  /// All that is there: each must be expected, and as expected.
  void look_through(int dir, const std::string& prefix) {
    check_stop();
    for (const DirectoryEntry& listed : list_directory(dir, prefix)) {
      const std::string path = prefix + listed.name;
      const auto metadata = try_stat(dir, listed.name, path);
      if (!metadata) continue;  // then it is missing
      const auto want = expected_.find(path);
      if (want == expected_.end()) {
        damaged(path, "no entry of the layer has put it there");
        continue;
      }
      want->second.seen = true;
      want->second.inode = metadata->inode;
      compare(dir, listed.name, path, *metadata, want->second);
      if (!metadata->is_directory()) continue;
      const FileDescriptor inside(sys::openat(dir, listed.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      if (!inside) throw_errno(errno, "look through", quoted(path));
      look_through(inside.get(), path + "/");
    }
  }

  void compare(int dir, const std::string& name, const std::string& path, const Metadata& found, const Expected& want) {
    if (want.whiteout) {
      if (!found.is_whiteout()) damaged(path, "it is no longer a whiteout");
      return;
    }
    if (want.type == TarType::hardlink) return;  // the file that it links to says what it is
    if (type_bits(want.type) != (found.mode & S_IFMT)) return damaged(path, "it has become something else");
    if (want.described) compare_attributes(path, found, want);
    if (want.type == TarType::symlink && read_link(dir, name, path) != want.link)
      damaged(path, "its target has changed");
    if ((want.type == TarType::character || want.type == TarType::block) && found.rdev != want.device)
      damaged(path, "its device numbers have changed");
    if (want.type == TarType::file) {
      // What is wrong with content that the recipe has was noticed already.
      if (found.size != want.size && (want.size == 0 || !want.checksum.empty()))
        damaged(path, want.size == 0 ? "it is no longer empty" : "its size has changed");
      else if (!want.checksum.empty() &&
               content_checksum(open_beneath(dir, name, O_RDONLY, path).get(), path) != want.checksum)
        damaged(path, "its content has changed");
    }
    compare_xattrs(path, read_xattrs(dir, name, path), want);
  }

  void compare_attributes(const std::string& path, const Metadata& found, const Expected& want) {
    if (want.type != TarType::symlink && (found.mode & 07777) != want.mode)
      damaged(path, "its mode is " + octal(found.mode & 07777) + " instead of " + octal(want.mode));
    if (found.uid != want.uid || found.gid != want.gid)
      damaged(path, "its owner is " + std::to_string(found.uid) + ":" + std::to_string(found.gid) + " instead of " +
                        std::to_string(want.uid) + ":" + std::to_string(want.gid));
    if (found.mtime != want.mtime) damaged(path, "its time has changed");
  }

  void compare_xattrs(const std::string& path, const Xattrs& found, const Expected& want) {
    const auto is_told = [&](const std::string& name) { return name != "security.selinux" && name != opaque_mark_; };
    for (const auto& [name, value] : found)
      if (is_told(name) && want.described && !want.xattrs.contains(name))
        damaged(path, "it has a new attribute " + quoted(name));
    for (const auto& [name, value] : want.xattrs) {
      if (!is_told(name)) continue;
      const auto now = found.find(name);
      if (now == found.end() || now->second != value)
        damaged(path, "its attribute " + quoted(name) + (now == found.end() ? " is gone" : " has changed"));
    }
    const auto mark = found.find(opaque_mark_);
    if ((mark != found.end() && mark->second == "y") != want.opaque)
      damaged(path, want.opaque ? "it is no longer opaque" : "it has become opaque");
  }

  void compare_link(const std::string& path, const Expected& want) {
    const auto target = expected_.find(want.link);
    if (target != expected_.end() && target->second.seen && target->second.inode != want.inode)
      damaged(path, "it is no longer one file with " + quoted(want.link));
  }

  static std::string octal(std::uint32_t mode) {
    char text[16];
    std::snprintf(text, sizeof text, "%04o", mode);
    return text;
  }

  const StoreCore& core_;
  const Layer& layer_;
  const Control& control_;
  const std::string opaque_mark_ = std::string(overlay_prefix(core_.form())) + "opaque";
  FileDescriptor tree_, fs_;
  VerifyResult result_;
  std::map<std::string, Expected> expected_;
};

}  // namespace

VerifyResult verify_layer(const StoreCore& core, const Digest& id, const Control& control) {
  const Layer layer = core.get(id);
  return Verification(core, layer, control).run();
}

}  // namespace strata::detail
