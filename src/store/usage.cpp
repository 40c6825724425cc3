#include "store/usage.hpp"

#include "tree/directory.hpp"

#include <vector>

namespace strata::detail {

void Usage::add(int dir, const std::string& name) {
  const auto count = [this](const Metadata& found) {
    const std::uint64_t bytes = found.blocks * 512;
    if (!found.is_directory() && found.links > 1) {
      Linked& one = linked_[{found.device, found.inode}];
      one.names = found.links;
      one.bytes = bytes;
      if (++one.seen != one.names) return;
    }
    exclusive_ += bytes;
    ++files_;
  };
  const auto found = try_stat(dir, name);
  if (!found) return;
  count(*found);
  const FileDescriptor top = try_open_beneath(dir, name, O_RDONLY | O_DIRECTORY);
  if (!top) return;
  // Opened by path from the top, however deep: a descriptor for each level could be too many.
  std::vector<std::string> pending{""};
  while (!pending.empty()) {
    const std::string path = std::move(pending.back());
    pending.pop_back();
    const FileDescriptor here = try_open_beneath(top.get(), path, O_RDONLY | O_DIRECTORY);
    if (!here) continue;
    for (const DirectoryEntry& entry : list_directory(here.get(), path)) {
      const auto below = try_stat(here.get(), entry.name, path);
      if (!below) continue;
      count(*below);
      if (below->is_directory()) pending.push_back(path.empty() ? entry.name : path + "/" + entry.name);
    }
  }
}

std::uint64_t Usage::shared_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [inode, one] : linked_)
    if (one.seen < one.names) sum += one.bytes;
  return sum;
}

}  // namespace strata::detail
