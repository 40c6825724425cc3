// What TreeBuilder does to its directory, an operation each. A builder without one (of a lint) judges the entries, and
// all of this does nothing.
#include <strata/error.hpp>

#include "base/files.hpp"
#include "tree/builder.hpp"

#include <algorithm>

namespace strata::detail {

void TreeBuilder::prepare() {
  if (judges()) return;
  // What new files would inherit from where the directory stands: a group by its set-group-id bit, an ACL.
  if (sys::fchmod(directory_, 0700) != 0) throw_errno(errno, "prepare", "the tree's directory");
  (void)sys::fremovexattr(directory_, "system.posix_acl_default");
  if (options_.writers != 0) writers_.emplace(options_.writers, setter_);
}

const std::shared_ptr<const FileDescriptor>& TreeBuilder::shared_descriptor(Id directory) {
  for (const CachedDescriptor& cached : descriptors_)
    if (cached.node == directory && cached.fd) return cached.fd;
  const std::string path = index_.path(directory);
  CachedDescriptor& slot = descriptors_[next_descriptor_++ % descriptors_.size()];
  slot.fd =
      std::make_shared<const FileDescriptor>(open_beneath(directory_, path.empty() ? "." : path, O_PATH | O_DIRECTORY));
  slot.node = directory;
  return slot.fd;
}

void TreeBuilder::create_directory(Id parent, const std::string& name, std::uint32_t mode, const std::string& shown) {
  if (judges()) return;
  if (sys::mkdirat(descriptor(parent), name.c_str(), mode) != 0)
    throw_errno(errno, "create the directory", quoted(shown));
}

void TreeBuilder::create_file(Id node, Attributes attributes, const std::string& shown) {
  if (judges()) return;
  const std::uint32_t mode = attributes.mode & 0777;
  const Id parent = index_[node].parent;
  beside_ = writers_ && setter().gives_silently(attributes);
  NewFile file{shared_descriptor(parent), index_.name(node), mode, created(mode), std::move(attributes), shown};
  if (beside_)
    writers_->begin(std::move(file), parent);
  else
    writer_.begin(std::move(file));
}

void TreeBuilder::write(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  if (judges()) return;
  if (!beside_) return writer_.write(bytes);
  if (owner == nullptr) {
    auto copy = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
    bytes = *copy;
    owner = std::move(copy);
  }
  writers_->write(bytes, std::move(owner));
}

void TreeBuilder::hole(std::uint64_t size) {
  if (judges()) return;
  if (beside_)
    writers_->hole(size);
  else
    writer_.hole(size);
}

void TreeBuilder::close() {
  if (judges()) return;
  if (beside_)
    writers_->end();
  else
    writer_.end();
}

/// Before anything is done to files that may not be there yet.
void TreeBuilder::settle_files() {
  if (writers_) writers_->drain();
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
  settle_files();
  const int to = descriptor(index_[node].parent);
  const int from = descriptor(index_[target].parent);
  if (sys::linkat(from, index_.name(target).c_str(), to, index_.name(node).c_str(), 0) != 0)
    throw_errno(errno, "link " + quoted(index_.path(node)) + " to", quoted(index_.path(target)));
}

/// A hardlink's header describes the file that it links to. Writers say there what they said before; where they don't,
/// the later entry counts (A14).
void TreeBuilder::describe_link(Id node, const Attributes& attributes) {
  if (judges()) return;
  settle_files();
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
  settle_files();
  const std::string name = index_.name(node);
  const int dir = descriptor(index_[node].parent);
  const std::uint32_t content = index_[node].content;
  if (index_[node].kind == Kind::file)
    if (const auto metadata = try_stat(dir, name); metadata && metadata->is_file() && metadata->links == 1)
      bytes_ -= metadata->size;
  if (content != LayerIndex::none && kept_ >= 0) {
    // The tar still has this content, and export must give it back.
    make_directory(kept_, "kept");
    if (sys::renameat2(dir, name.c_str(), kept_, ("kept/" + std::to_string(content)).c_str(), 0) != 0)
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
  const Attributes* described = this->attributes(node);
  // Of a root that isn't listed, only a store's tree shows this, and a store maps no ids.
  if (described == nullptr && node == LayerIndex::root && !options_.ids.empty()) return;
  const Attributes fallback = described == nullptr ? undescribed(path) : Attributes();
  const Attributes& attributes = described == nullptr ? fallback : *described;
  if (node == LayerIndex::root) {
    setter().replace_directory(directory_, attributes, "/");
    ObjectSetter::set_times(directory_, attributes.mtime, "/");
  } else {
    setter().set_node(descriptor(index_[node].parent), index_.name(node), S_IFDIR, attributes, path);
  }
}

}  // namespace strata::detail
