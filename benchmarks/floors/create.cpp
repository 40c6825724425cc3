// How fast the filesystem takes a tree: the floor under writing a layer.
//
//   create DIRECTORY THREADS [--sync] TAR...     makes each TAR's tree in DIRECTORY/0, DIRECTORY/1, ...
//
// A tar is read into memory before the clock starts. Then each file is openat, write, futimens and close, names
// relative to an open directory, with fchown and xattrs only where the entry has them; directories come first, their
// times last; a directory is the unit of a thread's work. Writes are of 128 KiB: larger ones make ext4 take larger
// pieces of memory, which is many times slower on machines that give free memory back. Nothing is synced, but with
// --sync there is a last line, of one syncfs. Prints a line a tar (floor.hpp): its entries.
#include "floor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <strata/byte_stream.hpp>
#include <strata/tar.hpp>

#include <algorithm>
#include <atomic>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

using strata::TarType;

constexpr std::size_t write_size = 128 << 10;

struct Entry {
  strata::TarEntry tar;
  std::string content = {};
  std::size_t slash = 0;  // where the last name begins

  const char* name() const { return tar.path.c_str() + slash; }
  std::string parent() const { return slash == 0 ? "." : tar.path.substr(0, slash - 1); }
};

std::string relative(std::string path) {
  while (path.starts_with("./") || path.starts_with("/")) path.erase(0, path.find('/') + 1);
  while (!path.empty() && path.back() == '/') path.pop_back();
  return path == "." ? "" : path;
}

std::vector<Entry> load(const char* path) {
  auto source = strata::open_file(path);
  strata::TarReader reader(source);
  std::vector<Entry> entries;
  while (const strata::TarEntry* tar = reader.next()) {
    Entry entry{.tar = *tar};
    entry.tar.path = relative(tar->path);
    if (tar->type == TarType::hardlink) entry.tar.link = relative(tar->link);
    entry.content.reserve(tar->stored_size);
    for (auto bytes = reader.content(); !bytes.empty(); bytes = reader.content())
      entry.content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (entry.tar.path.empty()) continue;
    entry.slash = entry.tar.path.rfind('/') + 1;  // npos + 1 is 0
    entries.push_back(std::move(entry));
  }
  return entries;
}

/// What the threads share of one tar.
struct Plan {
  std::vector<const Entry*> directories, hardlinks;
  std::vector<std::pair<std::string, std::vector<const Entry*>>> groups;  // by directory

  explicit Plan(const std::vector<Entry>& entries) {
    std::unordered_map<std::string, std::size_t> known;
    for (const Entry& entry : entries) {
      if (entry.tar.type == TarType::directory) {
        directories.push_back(&entry);
      } else if (entry.tar.type == TarType::hardlink) {
        hardlinks.push_back(&entry);
      } else {
        const auto [at, is_new] = known.try_emplace(entry.parent(), groups.size());
        if (is_new) groups.emplace_back(entry.parent(), std::vector<const Entry*>{});
        groups[at->second].second.push_back(&entry);
      }
    }
  }
};

struct Times {
  timespec both[2];
  explicit Times(const strata::TarEntry& entry)
      : both{{0, UTIME_OMIT}, {entry.mtime.seconds, static_cast<long>(entry.mtime.nanoseconds)}} {}
};

bool has_owner(const strata::TarEntry& entry) { return entry.uid != 0 || entry.gid != 0; }
uid_t uid(const strata::TarEntry& entry) { return static_cast<uid_t>(entry.uid); }
gid_t gid(const strata::TarEntry& entry) { return static_cast<gid_t>(entry.gid); }

void write_at(int fd, const char* bytes, std::size_t size, std::uint64_t offset) {
  while (size > 0) {
    const ssize_t written = pwrite(fd, bytes, std::min(size, write_size), static_cast<off_t>(offset));
    if (written < 0) floors::fail("write");
    bytes += written;
    size -= static_cast<std::size_t>(written);
    offset += static_cast<std::uint64_t>(written);
  }
}

void make_file(int directory, const Entry& entry) {
  const auto& tar = entry.tar;
  const int fd = openat(directory, entry.name(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, tar.mode);
  if (fd < 0) floors::fail("create " + tar.path);
  if (tar.sparse) {
    if (ftruncate(fd, static_cast<off_t>(tar.size)) != 0) floors::fail("truncate " + tar.path);
    const char* from = entry.content.data();
    for (const auto& extent : tar.extents) {
      write_at(fd, from, extent.size, extent.offset);
      from += extent.size;
    }
  } else {
    write_at(fd, entry.content.data(), entry.content.size(), 0);
  }
  if (has_owner(tar) && fchown(fd, uid(tar), gid(tar)) != 0) floors::fail("fchown " + tar.path);
  if (has_owner(tar) && (tar.mode & 06000) != 0 && fchmod(fd, tar.mode) != 0) floors::fail("fchmod " + tar.path);
  for (const auto& [key, value] : tar.xattrs) fsetxattr(fd, key.c_str(), value.data(), value.size(), 0);
  futimens(fd, Times(tar).both);
  close(fd);
}

void make_other(int directory, const Entry& entry) {
  const auto& tar = entry.tar;
  const std::string_view name = entry.name();
  if (name == ".wh..wh..opq") {
    fsetxattr(directory, "trusted.overlay.opaque", "y", 1, 0);
    return;
  }
  if (name.starts_with(".wh.")) {
    mknodat(directory, entry.name() + 4, S_IFCHR, 0);
    return;
  }
  if (tar.type == TarType::symlink) {
    if (symlinkat(tar.link.c_str(), directory, entry.name()) != 0) floors::fail("symlink " + tar.path);
  } else {
    const mode_t type = tar.type == TarType::character ? S_IFCHR : tar.type == TarType::block ? S_IFBLK : S_IFIFO;
    if (mknodat(directory, entry.name(), type | tar.mode, makedev(tar.device_major, tar.device_minor)) != 0)
      floors::fail("mknod " + tar.path);
  }
  if (has_owner(tar)) fchownat(directory, entry.name(), uid(tar), gid(tar), AT_SYMLINK_NOFOLLOW);
  utimensat(directory, entry.name(), Times(tar).both, AT_SYMLINK_NOFOLLOW);
}

/// Directories that the tar doesn't list.
void make_parents(int root, const std::string& path) {
  for (std::size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1))
    mkdirat(root, path.substr(0, at).c_str(), 0755);
}

void make_group(int root, const std::string& path, const std::vector<const Entry*>& entries) {
  int directory = openat(root, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) {
    make_parents(root, path + "/");
    directory = openat(root, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  if (directory < 0) floors::fail("open " + path);
  for (const Entry* entry : entries) {
    const bool plain = entry->tar.type == TarType::file && !std::string_view(entry->name()).starts_with(".wh.");
    plain ? make_file(directory, *entry) : make_other(directory, *entry);
  }
  close(directory);
}

void make_tree(const Plan& plan, const std::string& at, unsigned threads) {
  if (mkdir(at.c_str(), 0755) != 0) floors::fail("mkdir " + at);
  const int root = open(at.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (const Entry* entry : plan.directories) {
    if (mkdirat(root, entry->tar.path.c_str(), entry->tar.mode) == 0 || errno != ENOENT) continue;
    make_parents(root, entry->tar.path);
    mkdirat(root, entry->tar.path.c_str(), entry->tar.mode);
  }
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < plan.groups.size(); i = next++)
      make_group(root, plan.groups[i].first, plan.groups[i].second);
  };
  {
    std::vector<std::jthread> others;
    for (unsigned i = 1; i < threads; ++i) others.emplace_back(work);
    work();
  }
  for (const Entry* entry : plan.hardlinks)  // one to a file of a lower layer stays out
    if (linkat(root, entry->tar.link.c_str(), root, entry->tar.path.c_str(), 0) != 0 && errno != ENOENT)
      floors::fail("link " + entry->tar.path);
  for (auto it = plan.directories.rbegin(); it != plan.directories.rend(); ++it) {
    const auto& tar = (*it)->tar;
    if (has_owner(tar)) fchownat(root, tar.path.c_str(), uid(tar), gid(tar), 0);
    if (has_owner(tar) && (tar.mode & 06000) != 0) fchmodat(root, tar.path.c_str(), tar.mode, 0);
    utimensat(root, tar.path.c_str(), Times(tar).both, AT_SYMLINK_NOFOLLOW);
  }
  close(root);
}

}  // namespace

int main(int argc, char** argv) {
  const bool sync = argc > 3 && std::string_view(argv[3]) == "--sync";
  const int first = sync ? 4 : 3;
  if (argc <= first) floors::usage("create DIRECTORY THREADS [--sync] TAR...");
  umask(0);
  const std::string directory = argv[1];
  if (mkdir(directory.c_str(), 0755) != 0) floors::fail("mkdir " + directory);
  try {
    for (int i = first; i < argc; ++i) {
      const auto entries = load(argv[i]);
      floors::measure("create", [&] {
        make_tree(Plan(entries), directory + "/" + std::to_string(i - first),
                  static_cast<unsigned>(std::atoi(argv[2])));
        return std::uint64_t{entries.size()};
      });
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "create: %s\n", error.what());
    return 1;
  }
  if (!sync) return 0;
  const int root = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  floors::measure("syncfs", [&] {
    if (syncfs(root) != 0) floors::fail("syncfs");
    return std::uint64_t{1};
  });
  close(root);
}
