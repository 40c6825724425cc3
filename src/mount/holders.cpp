#include "mount/holders.hpp"

#include <strata/error.hpp>
#include <strata/mount_plan.hpp>

#include "mount/host.hpp"
#include "mount/mount_table.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace strata::detail {
namespace {

constexpr std::size_t enough = 5;

bool is_beneath(std::string_view name, std::string_view directory) {
  return name.starts_with(directory) && (name.size() == directory.size() || name[directory.size()] == '/');
}

std::string link_of(int dir, const std::string& name) {
  std::array<char, 4096> text;
  const ssize_t size = sys::readlinkat(dir, name.c_str(), text.data(), text.size());
  return size < 0 ? std::string() : std::string(text.data(), static_cast<std::size_t>(size));
}

/// Whether /proc/PID/maps has a file beneath `directory`.
bool maps_beneath(const std::string& process, std::string_view directory) {
  const std::string text = read_text(("/proc/" + process + "/maps").c_str()).value_or("");
  for (std::size_t at = text.find('/'); at != std::string::npos; at = text.find('/', text.find('\n', at))) {
    const auto end = std::min(text.find('\n', at), text.size());
    if (is_beneath(unescape_octal(std::string_view(text).substr(at, end - at)), directory)) return true;
    if (end == text.size()) break;
  }
  return false;
}

/// How a process uses what is beneath `directory`; empty: it doesn't, or may not be looked at.
std::string use_by(int proc, const std::string& process, std::string_view directory) {
  const FileDescriptor dir(sys::openat(proc, process.c_str(), O_RDONLY | O_DIRECTORY));
  if (!dir) return {};
  if (is_beneath(link_of(dir.get(), "cwd"), directory)) return "working directory";
  if (is_beneath(link_of(dir.get(), "root"), directory)) return "root directory";
  if (is_beneath(link_of(dir.get(), "exe"), directory)) return "its program";
  if (const FileDescriptor fds(sys::openat(dir.get(), "fd", O_RDONLY | O_DIRECTORY)); fds) {
    for (const DirectoryEntry& entry : list_directory(fds.get()))
      if (const std::string file = link_of(fds.get(), entry.name); is_beneath(file, directory))
        return "has " + quoted(file) + " open";
  }
  return maps_beneath(process, directory) ? "a file mapped into memory" : "";
}

/// Calls visit(name) for each process until it returns false.
template <class Visit>
void each_process(int proc, Visit visit) {
  for (const DirectoryEntry& entry : list_directory(proc))
    if (entry.name.find_first_not_of("0123456789") == std::string::npos && !visit(entry.name)) return;
}

}  // namespace

std::string holders_of(const boost::filesystem::path& target) {
  std::string list;
  std::size_t count = 0;
  const auto add = [&](const std::string& holder) {
    if (count < enough) list += (count ? ", " : "") + holder;
    if (++count == enough + 1) list += ", …";
  };
  try {
    for (const MountedEntry& entry : mount_table())
      if (entry.target != target && is_beneath(entry.target.native(), target.native()))
        add("what is mounted on " + quoted(entry.target.native()));
    const FileDescriptor proc = open_directory("/proc");
    each_process(proc.get(), [&](const std::string& process) {
      const std::string use = use_by(proc.get(), process, target.native());
      if (use.empty()) return true;
      std::string command = read_text(("/proc/" + process + "/comm").c_str()).value_or("");
      while (command.ends_with('\n')) command.pop_back();
      add("process " + process + " (" + (command.empty() ? "" : quoted(command) + ", ") + use + ")");
      return count <= enough;
    });
  } catch (const Error&) {
    // A process that ends meanwhile, a /proc that hides others: what was found by then is told.
  }
  return list;
}

std::string elsewhere(std::string_view text, const std::function<bool(const MountedEntry&)>& is_wanted) {
  std::string found;
  const FileDescriptor proc = open_directory("/proc");
  struct stat own {};
  if (sys::fstatat(proc.get(), "thread-self/ns/mnt", own, 0) != 0) return found;
  std::set<ino_t> seen{own.st_ino};
  each_process(proc.get(), [&](const std::string& process) {
    struct stat space {};
    if (sys::fstatat(proc.get(), (process + "/ns/mnt").c_str(), space, 0) != 0) return true;
    if (!seen.insert(space.st_ino).second) return true;
    const auto table = read_text(("/proc/" + process + "/mountinfo").c_str());
    // Cheap first: what is plain ASCII the table has as it is.
    if (!table || table->find(text) == std::string::npos) return true;
    for (const MountedEntry& entry : parse_mount_table(*table))
      if (is_wanted(entry)) found = "process " + process;
    return found.empty();
  });
  return found;
}

}  // namespace strata::detail
