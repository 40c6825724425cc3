#include "mount/container_mounts.hpp"

#include "mount/holders.hpp"
#include "mount/mount_table.hpp"
#include "mount/sys_mount.hpp"
#include "tree/directory.hpp"

#include <boost/filesystem/operations.hpp>

#include <array>
#include <cstdio>

namespace strata::detail {
namespace {

constexpr std::string_view source_prefix = "strata:";

/// Of a filesystem on a device the name is that of a node.
std::string_view without_folder(std::string_view source) {
  constexpr std::string_view folder = "/dev/mapper/";
  if (source.starts_with(folder)) source.remove_prefix(folder.size());
  return source;
}

}  // namespace

std::string mount_source(const StoreCore& core, std::string_view name) {
  const Metadata store = stat_of(core.root_descriptor());
  std::array<char, 64> id;
  std::snprintf(id.data(), id.size(), "@%jx-%jx", static_cast<std::uintmax_t>(store.device),
                static_cast<std::uintmax_t>(store.inode));
  return std::string(source_prefix).append(name).append(id.data());
}

std::optional<std::string> container_of_source(const StoreCore& core, std::string_view source) {
  source = without_folder(source);
  const auto at = source.rfind('@');
  if (!source.starts_with(source_prefix) || at == std::string_view::npos) return std::nullopt;
  const std::string_view name = source.substr(source_prefix.size(), at - source_prefix.size());
  if (source != mount_source(core, name)) return std::nullopt;
  return std::string(name);
}

ContainerMounts::ContainerMounts(const StoreCore& core, const std::string& name, bool whole)
    : source_(mount_source(core, name)) {
  if (!whole) return;
  boost::system::error_code failed;
  const auto upper = boost::filesystem::canonical(core.containers_directory() / name / "upper", failed);
  struct statx st {};
  if (failed || sys::statx(AT_FDCWD, upper.c_str(), AT_NO_AUTOMOUNT, STATX_MNT_ID, st) != 0) return;
  for (const MountedEntry& entry : mount_table()) {
    if (entry.id != st.stx_mnt_id) continue;
    device_ = entry.device;
    const std::string below = entry.target == "/" ? upper.native() : upper.native().substr(entry.target.size());
    root_ = (entry.root == "/" ? "" : entry.root) + below;
  }
}

bool ContainerMounts::has(const MountedEntry& entry) const {
  if (without_folder(entry.source) == source_) return true;
  return !root_.empty() && entry.device == device_ && entry.root == root_;
}

std::vector<MountedEntry> ContainerMounts::of(const std::vector<MountedEntry>& table) const {
  std::vector<MountedEntry> found;
  for (const MountedEntry& entry : table)
    if (has(entry)) found.push_back(entry);
  return found;
}

bool ContainerMounts::is_at(const boost::filesystem::path& target) const {
  const auto source = source_at(target);
  return source && without_folder(*source) == source_;
}

std::string ContainerMounts::elsewhere() const {
  std::string process =
      detail::elsewhere(source_, [&](const MountedEntry& entry) { return without_folder(entry.source) == source_; });
  if (process.empty() && !root_.empty())
    process = detail::elsewhere(device_, [&](const MountedEntry& entry) { return has(entry); });
  return process;
}

std::string ContainerMounts::place() const {
  if (const auto mounts = of(mount_table()); !mounts.empty()) return "at " + quoted(mounts.back().target.native());
  const std::string process = elsewhere();
  return process.empty() ? "" : "in another mount namespace, that of " + process;
}

}  // namespace strata::detail
