#include "manager/copied_files.hpp"

#include <strata/error.hpp>
#include <strata/hash.hpp>

#include "manager/root_directory.hpp"
#include "sys.hpp"
#include "tree/attributes.hpp"
#include "tree/copy.hpp"
#include "tree/directory.hpp"

#include <vector>

namespace strata::detail {

namespace {

void check(const std::stop_token& stop, const std::string& path) {
  if (stop.stop_requested()) throw_error(errc::cancelled, "copy", quoted(path));
}

[[noreturn]] void refuse_type(const std::string& path) {
  throw_error(errc::unsupported, "copy", quoted(path), "it is neither file, directory nor link");
}

/// An entry to copy: `name` in `dir`, or what is open itself.
struct Source {
  int dir;
  std::string name;
  std::string path;  ///< for messages, and within what is copied
  Metadata metadata;
};

/// What a directory has, in a fixed order.
template <class Visit>
void for_each(int directory, const std::string& path, Visit visit) {
  for (const DirectoryEntry& entry : list_directory(directory, path)) {
    const std::string child = path.empty() ? entry.name : path + '/' + entry.name;
    // One that goes meanwhile is as one that was never there.
    if (const auto metadata = try_stat(directory, entry.name, path))
      visit(Source{directory, entry.name, child, *metadata});
  }
}

FileDescriptor open_source_file(const Source& source) {
  FileDescriptor file = try_open_file(source.dir, source.name.c_str());
  if (!file) throw_errno(errno, "open", quoted(source.path));
  return file;
}

// --- the key ---------------------------------------------------------------------------------------------------------

/// Texts with their lengths before them, so that no two lists of texts give the same bytes.
class KeyHash {
 public:
  void add(std::string_view text) {
    add(text.size());
    bytes(text);
  }
  void add(std::uint64_t number) { bytes({reinterpret_cast<const char*>(&number), sizeof number}); }
  void bytes(std::string_view bytes) { hash_.update(std::as_bytes(std::span(bytes))); }
  Digest finish() { return hash_.finish(); }

 private:
  AnyHash hash_{HashPolicy::of<Sha256>().start()};
};

void hash_content(KeyHash& hash, int file, std::uint64_t size, const std::string& path, const std::stop_token& stop) {
  std::vector<char> buffer(256U << 10);
  hash.add(size);
  for (std::uint64_t left = size; left != 0;) {
    check(stop, path);
    const ssize_t n = sys::read(file, buffer.data(), std::min<std::uint64_t>(buffer.size(), left));
    if (n < 0) throw_errno(errno, "read", quoted(path));
    if (n == 0) throw_error(errc::damaged, "read", quoted(path), "it became shorter while it was read");
    hash.bytes({buffer.data(), static_cast<std::size_t>(n)});
    left -= static_cast<std::uint64_t>(n);
  }
}

void hash_metadata(KeyHash& hash, const Metadata& metadata, bool times) {
  hash.add(metadata.mode);
  if (!times) return;
  hash.add(static_cast<std::uint64_t>(metadata.mtime.seconds));
  hash.add(metadata.mtime.nanoseconds);
}

void hash_directory(KeyHash& hash, int directory, const std::string& path, bool times, const std::stop_token& stop) {
  for_each(directory, path, [&](const Source& source) {
    check(stop, source.path);
    hash.add(source.path);
    hash_metadata(hash, source.metadata, times);
    if (source.metadata.is_symlink()) {
      hash.add(read_link(source.dir, source.name, source.path));
    } else if (source.metadata.is_directory()) {
      const FileDescriptor child = open_beneath(directory, source.name, O_RDONLY | O_DIRECTORY, path);
      hash_directory(hash, child.get(), source.path, times, stop);
    } else if (source.metadata.is_file()) {
      const FileDescriptor file = open_source_file(source);
      hash_content(hash, file.get(), stat_of(file.get(), source.path).size, source.path, stop);
    } else {
      refuse_type(source.path);
    }
  });
}

// --- the copying -----------------------------------------------------------------------------------------------------

class Copier {
 public:
  Copier(const CopyTarget& target, const std::stop_token& stop) : target_(target), stop_(stop) {}

  void directory(int from, const std::string& path, RootDirectory& to) {
    for_each(from, path, [&](const Source& source) {
      check(stop_, source.path);
      if (source.metadata.is_directory())
        child_directory(source, to);
      else if (source.metadata.is_symlink())
        link(source, to);
      else if (source.metadata.is_file())
        file(open_source_file(source).get(), source.name, source.path, to);
      else
        refuse_type(source.path);
    });
  }

  void file(int from, const std::string& name, const std::string& path, RootDirectory& to) {
    const Metadata metadata = stat_of(from, path);
    to.make_room(name);
    const FileDescriptor file(sys::openat(to.fd(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    if (!file) throw_errno(errno, "create", quoted(to.path(name)));
    copy_content(from, file.get(), metadata.size, path);
    setter_.set_file(file.get(), attributes(metadata), 0600, to.path(name));
  }

 private:
  void child_directory(const Source& source, RootDirectory& to) {
    const FileDescriptor from = open_beneath(source.dir, source.name, O_RDONLY | O_DIRECTORY, source.path);
    const bool made = to.enter(source.name, 0700);
    directory(from.get(), source.path, to);
    if (made) {
      const FileDescriptor itself = to.reopen();
      const Attributes wanted = attributes(source.metadata);
      setter_.replace_directory(itself.get(), wanted, to.path());
      ObjectSetter::set_times(itself.get(), wanted.mtime, to.path());
    }
    to.leave();
  }

  void link(const Source& source, RootDirectory& to) {
    const std::string target = read_link(source.dir, source.name, source.path);
    to.make_room(source.name);
    if (sys::symlinkat(target.c_str(), to.fd(), source.name.c_str()) != 0)
      throw_errno(errno, "create", quoted(to.path(source.name)));
    setter_.set_node(to.fd(), source.name, S_IFLNK, attributes(source.metadata), to.path(source.name));
  }

  Attributes attributes(const Metadata& metadata) const {
    return {.mode = metadata.mode & 07777U,
            .uid = target_.user,
            .gid = target_.group,
            .mtime = target_.time.value_or(metadata.mtime),
            .xattrs = {}};
  }

  const CopyTarget& target_;
  const std::stop_token& stop_;
  Report report_;
  bool altered_ = false;
  ObjectSetter setter_{Owners::keep, report_, Conformance::compat, &altered_};
};

}  // namespace

CopiedFiles::CopiedFiles(const boost::filesystem::path& from)
    : from_(from), opened_(sys::openat(AT_FDCWD, from.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY)) {
  if (!opened_) throw_errno(errno, "copy", quoted(from.native()));
}

Digest CopiedFiles::key(const CopyTarget& target, const std::stop_token& stop) const {
  KeyHash hash;
  hash.add(target.to);
  hash.add(target.user);
  hash.add(target.group);
  const Metadata metadata = stat_of(opened_.get(), from_.native());
  const bool times = !target.time;
  if (metadata.is_directory()) {
    const FileDescriptor directory = open_directory(from_);
    hash_directory(hash, directory.get(), {}, times, stop);
  } else if (metadata.is_file()) {
    hash.add(from_.filename().native());
    hash_metadata(hash, metadata, times);
    const FileDescriptor file(sys::openat(AT_FDCWD, from_.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY));
    if (!file) throw_errno(errno, "copy", quoted(from_.native()));
    hash_content(hash, file.get(), stat_of(file.get(), from_.native()).size, from_.native(), stop);
  } else {
    refuse_type(from_.native());
  }
  return hash.finish();
}

void CopiedFiles::copy(const boost::filesystem::path& root, const CopyTarget& target,
                       const std::stop_token& stop) const {
  RootDirectory place(root, target.user, target.group);
  Copier copier(target, stop);
  if (stat_of(opened_.get(), from_.native()).is_directory()) {
    place.walk(target.to);
    const FileDescriptor directory = open_directory(from_);
    copier.directory(directory.get(), {}, place);
    return;
  }
  const std::size_t slash = target.to.rfind('/');
  std::string name = target.to.substr(slash == std::string::npos ? 0 : slash + 1);
  place.walk(slash == std::string::npos ? "" : target.to.substr(0, slash));
  if (name.empty() || name == "." || name == ".." || place.is_directory(name)) {
    place.walk(name);
    name = from_.filename().native();
  }
  copier.file(opened_.get(), name, from_.native(), place);
}

}  // namespace strata::detail
