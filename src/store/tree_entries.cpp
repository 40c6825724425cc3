#include "store/tree_entries.hpp"

#include <strata/compression.hpp>
#include <strata/error.hpp>
#include <strata/hash.hpp>
#include <strata/tar.hpp>

#include "tree/directory.hpp"
#include "tree/file_type.hpp"

#include <map>
#include <set>

namespace strata::detail {

namespace {

constexpr std::size_t checksum_size = 8;

class Writer {
 public:
  Writer(TarWriter& tar, int fs, const std::vector<std::string>& copied) : tar_(tar) {
    for (const std::string& path : copied)
      if (const FileDescriptor fd = try_open_beneath(fs, path, O_PATH | O_NOFOLLOW))
        copied_.insert(stat_of(fd.get()).inode);
  }

  void directory(int dir, const std::string& path) {
    add(dir, path, stat_of(dir, path));
    for (const DirectoryEntry& listed : list_directory(dir, path)) {
      const std::string below = path.empty() ? listed.name : path + "/" + listed.name;
      const auto metadata = try_stat(dir, listed.name, below);
      if (!metadata) throw_error(errc::in_use, "list", quoted(below), "another process takes files away");
      if (!metadata->is_directory()) {
        other(dir, listed.name, below, *metadata);
        continue;
      }
      // Its mode may shut out an ordinary user, who owns it; then nobody but root will ever verify what is inside.
      const FileDescriptor inside(sys::openat(dir, listed.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      const bool is_shut = (metadata->mode & 0500) != 0500;
      if (!inside && !(is_shut && errno == EACCES)) throw_errno(errno, "list", quoted(below));
      if (inside && (metadata->mode & 0100 || ::geteuid() == 0))
        directory(inside.get(), below);
      else
        add(dir, below, *metadata, listed.name);
    }
  }

 private:
  void add(int dir, const std::string& path, const Metadata& metadata, const std::string& name = {}) {
    TarEntry entry = described(path.empty() ? "./" : path, metadata);
    entry.xattrs = read_xattrs(dir, name, path);
    tar_.add(entry);
  }

  static TarEntry described(const std::string& path, const Metadata& metadata) {
    TarEntry entry;
    entry.path = path;
    entry.type = type_of(metadata.mode);
    entry.mode = metadata.mode & 07777;
    entry.uid = metadata.uid;
    entry.gid = metadata.gid;
    entry.mtime = metadata.mtime;
    return entry;
  }

  void other(int dir, const std::string& name, const std::string& path, const Metadata& metadata) {
    TarEntry entry = described(path, metadata);
    if (metadata.links > 1) {
      const auto [first, is_first] = linked_.try_emplace(metadata.inode, path);
      if (!is_first) {
        entry.type = TarType::hardlink;
        entry.link = first->second;
        return tar_.add(entry);
      }
    }
    entry.xattrs = read_xattrs(dir, name, path);
    entry.device_major = major(metadata.rdev);
    entry.device_minor = minor(metadata.rdev);
    if (metadata.is_symlink()) entry.link = read_link(dir, name, path);
    if (metadata.is_file()) {
      entry.other_records[entry_size] = std::to_string(metadata.size);
      if (copied_.contains(metadata.inode))
        entry.other_records[entry_checksum] = content_checksum(open_beneath(dir, name, O_RDONLY, path).get(), path);
    }
    tar_.add(entry);
  }

  TarWriter& tar_;
  std::set<ino_t> copied_;
  std::map<ino_t, std::string> linked_;
};

}  // namespace

void write_tree_entries(int tree, const std::vector<std::string>& copied) {
  FileDescriptor fd(sys::openat(tree, "entries", O_WRONLY | O_CREAT | O_EXCL, 0600));
  if (!fd) throw_errno(errno, "create", "the list of a tree's entries");
  FileSink file(std::move(fd), "the list of a tree's entries");
  const auto compressed = CompressionPolicy::of<Zstd>(Zstd{.level = 1}).encode(file);
  TarWriter tar(*compressed);
  const FileDescriptor fs = open_beneath(tree, "fs", O_RDONLY | O_DIRECTORY);
  Writer(tar, fs.get(), copied).directory(fs.get(), "");
  tar.finish();
  compressed->finish();
}

std::string content_checksum(int fd, const std::string& path) {
  Xxh3 hash;
  std::vector<std::byte> buffer(128U << 10);
  for (off_t offset = 0;;) {
    const ssize_t n = sys::pread(fd, buffer.data(), buffer.size(), offset);
    if (n < 0) throw_errno(errno, "read", quoted(path));
    if (n == 0) break;
    hash.update(std::span(buffer).first(static_cast<std::size_t>(n)));
    offset += n;
  }
  std::byte digest[Xxh3::digest_size];
  hash.finish(digest);
  return Digest("xxh3", std::span(digest).first(checksum_size)).hex();
}

}  // namespace strata::detail
