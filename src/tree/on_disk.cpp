// What TreeBuilder does to its directory, an operation each. A builder without one (of a lint) judges the entries, and
// all of this does nothing.
#include <strata/error.hpp>

#include "tree/builder.hpp"

#include <algorithm>

namespace strata::detail {

namespace {

constexpr std::size_t write_piece = 128U << 10;  // larger writes were several times slower on ext4

}  // namespace

void TreeBuilder::prepare() {
  if (judges()) return;
  // What new files would inherit from where the directory stands: a group by its set-group-id bit, an ACL.
  if (sys::fchmod(directory_, 0700) != 0) throw_errno(errno, "prepare", "the tree's directory");
  (void)sys::fremovexattr(directory_, "system.posix_acl_default");
}

int TreeBuilder::descriptor(Id directory) {
  if (directory == LayerIndex::root) return directory_;
  for (const CachedDescriptor& cached : descriptors_)
    if (cached.node == directory && cached.fd) return cached.fd.get();
  const std::string path = index_.path(directory);
  CachedDescriptor& slot = descriptors_[next_descriptor_++ % descriptors_.size()];
  slot.fd = open_beneath(directory_, path, O_PATH | O_DIRECTORY, path);
  slot.node = directory;
  return slot.fd.get();
}

void TreeBuilder::create_directory(Id parent, const std::string& name, std::uint32_t mode, const std::string& shown) {
  if (judges()) return;
  if (sys::mkdirat(descriptor(parent), name.c_str(), mode) != 0)
    throw_errno(errno, "create the directory", quoted(shown));
}

void TreeBuilder::create_file(Id node, std::uint32_t mode, const std::string& shown) {
  if (judges()) return;
  open_file_.reset(sys::openat(descriptor(index_[node].parent), index_.name(node).c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  if (!open_file_) throw_errno(errno, "create the file", quoted(shown));
}

void TreeBuilder::write(std::span<const std::byte> bytes) {
  if (judges()) return;
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), write_piece);
    const ssize_t n = open_holes_ ? sys::pwrite(open_file_.get(), bytes.data(), piece, static_cast<off_t>(open_offset_))
                                  : sys::write(open_file_.get(), bytes.data(), piece);
    if (n < 0) throw_errno(errno, "write the file", quoted(open_path_));
    open_offset_ += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void TreeBuilder::hole(std::uint64_t size) {
  open_offset_ += size;
  open_holes_ = true;
}

void TreeBuilder::close() {
  if (judges()) return;
  if (open_holes_ && sys::ftruncate(open_file_.get(), static_cast<off_t>(open_offset_)) != 0)
    throw_errno(errno, "set the size of", quoted(open_path_));
  setter().set_file(open_file_.get(), open_attributes_, created(open_attributes_.mode & 0777), open_path_);
  open_file_.reset();
}

void TreeBuilder::create_symlink(Id node, const TarEntry& entry) {
  if (judges()) return;
  if (sys::symlinkat(entry.link.c_str(), descriptor(index_[node].parent), index_.name(node).c_str()) != 0)
    throw_errno(errno, "create the symlink", quoted(entry.path));
}

/// False: this user may not.
bool TreeBuilder::create_device(Id node, mode_t mode, const TarEntry& entry) {
  if (judges()) return true;
  const dev_t device = S_ISFIFO(mode) ? 0 : makedev(entry.device_major, entry.device_minor);
  if (sys::mknodat(descriptor(index_[node].parent), index_.name(node).c_str(), mode, device) == 0) return true;
  // Devices but 0:0 need CAP_MKNOD in the first user namespace.
  if (errno != EPERM || S_ISFIFO(mode)) throw_errno(errno, "create the device", quoted(entry.path));
  return false;
}

void TreeBuilder::set_attributes_of(Id node, mode_t type, const Attributes& attributes, const std::string& shown) {
  if (judges()) return;
  setter().set_node(descriptor(index_[node].parent), index_.name(node), type, attributes, shown);
}

void TreeBuilder::create_link(Id node, Id target) {
  if (judges()) return;
  const int to = descriptor(index_[node].parent);
  const int from = descriptor(index_[target].parent);
  if (sys::linkat(from, index_.name(target).c_str(), to, index_.name(node).c_str(), 0) != 0)
    throw_errno(errno, "link " + quoted(index_.path(node)) + " to", quoted(index_.path(target)));
}

/// A hardlink's header describes the file that it links to. Writers say there what they said before; where they don't,
/// the later entry counts (A14).
void TreeBuilder::describe_link(Id node, const Attributes& attributes) {
  if (judges()) return;
  const int dir = descriptor(index_[node].parent);
  const std::string name = index_.name(node);
  const std::optional<Metadata> now = try_stat(dir, name);
  if (!now || now->is_symlink()) return;
  Attributes changed = attributes;
  if (now->uid == changed.uid && now->gid == changed.gid && (now->mode & 07777) == changed.mode &&
      now->mtime == changed.mtime)
    return;
  plain_ = false;
  // Attributes that it doesn't mention stay; a change of owner would take capabilities away.
  for (auto& [attribute, value] : read_xattrs(dir, name)) changed.xattrs.emplace(attribute, std::move(value));
  // What shall be this process's own, set_node takes for just created, and so for its own already.
  const bool mine = changed.uid == ::geteuid() && changed.gid == ::getegid();
  if (mine && (now->uid != changed.uid || now->gid != changed.gid))
    if (sys::fchownat(dir, name.c_str(), ::geteuid(), ::getegid(), AT_SYMLINK_NOFOLLOW) != 0)
      throw_errno(errno, "set the owner of", quoted(index_.path(node)));
  setter().set_node(dir, name, now->mode & S_IFMT, changed, index_.path(node));
}

void TreeBuilder::remove_from_disk(Id node) {
  if (judges()) return;
  const std::string name = index_.name(node);
  const int dir = descriptor(index_[node].parent);
  const std::uint32_t content = index_[node].content;
  if (index_[node].kind == Kind::file)
    if (const auto metadata = try_stat(dir, name); metadata && metadata->is_file() && metadata->links == 1)
      bytes_ -= metadata->size;
  if (content != LayerIndex::none && kept_ >= 0) {
    // The tar still has this content, and export must give it back.
    if (sys::renameat2(dir, name.c_str(), kept_, std::to_string(content).c_str(), 0) != 0)
      throw_errno(errno, "set aside", quoted(index_.path(node)));
    return;
  }
  if (sys::unlinkat(dir, name.c_str(), index_[node].is_directory() ? AT_REMOVEDIR : 0) != 0)
    throw_errno(errno, "replace", quoted(index_.path(node)));
  for (CachedDescriptor& cached : descriptors_)
    if (cached.node == node) cached = {};
}

void TreeBuilder::seal_directory(Id node, Marks marks) {
  const std::string path = index_.path(node);
  check_depth(path, index_[node].first_child != LayerIndex::none);
  index_.for_each_child(node, [&](Id child) {
    const Node& c = index_[child];
    if (c.is_directory()) {
      seal_directory(child, marks);
    } else if (c.kind == Kind::nothing && c.whiteout && marks == Marks::written) {
      // Any user may create 0:0 (Linux 5.8).
      if (sys::mknodat(descriptor(node), index_.name(child).c_str(), S_IFCHR, 0) != 0)
        throw_errno(errno, "create the whiteout", quoted(index_.path(child)));
    }
  });
  if (index_[node].opaque && marks == Marks::written) {
    const FileDescriptor directory(sys::openat(descriptor(node), ".", O_RDONLY | O_DIRECTORY));
    const std::string name = std::string(overlay_prefix(options_.form)) + "opaque";
    if (!directory || sys::fsetxattr(directory.get(), name.c_str(), "y", 1, 0) != 0)
      throw_errno(errno, "mark as opaque", quoted(path), "",
                  "a store of this union form needs a filesystem and a user that can set " + name);
  }
  Attributes fallback;  // of a directory that nobody describes (A11)
  if (::geteuid() != 0) fallback.uid = ::geteuid(), fallback.gid = ::getegid();
  fallback.mtime = earliest_;
  const Attributes* attributes = this->attributes(node);
  if (attributes == nullptr) attributes = &fallback;
  if (node == LayerIndex::root) {
    setter().replace_directory(directory_, *attributes, "/");
    ObjectSetter::set_times(directory_, attributes->mtime, "/");
  } else {
    setter().set_node(descriptor(index_[node].parent), index_.name(node), S_IFDIR, *attributes, path);
  }
}

}  // namespace strata::detail
