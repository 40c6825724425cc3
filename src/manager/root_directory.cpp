#include "manager/root_directory.hpp"

#include <strata/error.hpp>

#include "sys.hpp"
#include "tree/directory.hpp"

namespace strata::detail {

namespace {

constexpr int max_links = 40;  // as the kernel
constexpr unsigned default_mode = 0755;

/// Puts the names of a path behind `names`, which is read from its end.
void push_names(std::vector<std::string>& names, std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (const auto name = path.substr(at, end - at); !name.empty() && name != ".") parts.emplace_back(name);
    at = end + 1;
  }
  names.insert(names.end(), parts.rbegin(), parts.rend());
}

FileDescriptor again(int fd) {
  FileDescriptor other(sys::openat(fd, ".", O_PATH | O_DIRECTORY));
  if (!other) throw_errno(errno, "open", "a directory of the root");
  return other;
}

}  // namespace

RootDirectory::RootDirectory(const boost::filesystem::path& root, unsigned user, unsigned group)
    : user_(user), group_(group) {
  way_.push_back({open_directory(root), {}});
}

RootDirectory::RootDirectory(const RootDirectory& other) : user_(other.user_), group_(other.group_) {
  for (const Step& step : other.way_) way_.push_back({again(step.directory.get()), step.name});
}

std::string RootDirectory::path(const std::string& name) const {
  std::string path;
  for (std::size_t i = 1; i < way_.size(); ++i) path += '/' + way_[i].name;
  return name.empty() && !path.empty() ? path : path + '/' + name;
}

FileDescriptor RootDirectory::reopen() const { return open_beneath(fd(), "", O_RDONLY | O_DIRECTORY, path()); }

bool RootDirectory::go(std::string_view path, bool make) {
  std::vector<std::string> names;
  push_names(names, path);
  if (path.starts_with('/')) way_.resize(1);
  for (int links = 0; !names.empty();) {
    const std::string name = std::move(names.back());
    names.pop_back();
    if (name == "..") {
      if (way_.size() > 1) way_.pop_back();
      continue;
    }
    const auto metadata = try_stat(fd(), name, this->path());
    if (metadata && metadata->is_symlink()) {
      if (++links > max_links) throw_errno(ELOOP, "go to", quoted(this->path(name)));
      const std::string target = read_link(fd(), name, this->path());
      if (target.starts_with('/')) way_.resize(1);
      push_names(names, target);
    } else if (make || (metadata && metadata->is_directory())) {
      step(name, default_mode);
    } else {
      return false;
    }
  }
  return true;
}

/// Into a directory that is no link. Whether it was made.
bool RootDirectory::step(const std::string& name, unsigned mode) {
  const bool made = sys::mkdirat(fd(), name.c_str(), mode) == 0;
  if (!made && errno != EEXIST) throw_errno(errno, "make", quoted(path(name)));
  FileDescriptor next(sys::openat(fd(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW));
  if (!next) throw_errno(errno, "go to", quoted(path(name)));
  way_.push_back({std::move(next), name});
  if (made) {
    const FileDescriptor itself = reopen();
    if (sys::fchown(itself.get(), user_, group_) != 0 || sys::fchmod(itself.get(), mode) != 0)
      throw_errno(errno, "give away", quoted(path()));
  }
  return made;
}

bool RootDirectory::enter(const std::string& name, unsigned mode) {
  const auto metadata = try_stat(fd(), name, path());
  if (!metadata || !metadata->is_symlink()) {
    const bool made = step(name, mode);
    left_.emplace_back();
    return made;
  }
  RootDirectory here(*this);
  walk(name);
  left_.push_back(std::move(here.way_));
  return false;
}

void RootDirectory::leave() {
  if (left_.back().empty())
    way_.pop_back();
  else
    way_ = std::move(left_.back());
  left_.pop_back();
}

bool RootDirectory::is_directory(const std::string& name) const { return RootDirectory(*this).go(name, false); }

void RootDirectory::make_room(const std::string& name) {
  const auto metadata = try_stat(fd(), name, path());
  if (!metadata) return;
  if (metadata->is_directory())
    throw_error(errc::already_exists, "replace", quoted(path(name)), "a directory is there");
  if (sys::unlinkat(fd(), name.c_str(), 0) != 0) throw_errno(errno, "replace", quoted(path(name)));
}

}  // namespace strata::detail
