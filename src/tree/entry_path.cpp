#include "tree/entry_path.hpp"

#include <strata/error.hpp>
#include <strata/whiteout.hpp>

namespace strata::detail {

EntryPath split_entry_path(std::string_view path, std::string_view what) {
  EntryPath out;
  split_entry_path(path, what, out);
  return out;
}

void split_entry_path(std::string_view path, std::string_view what, EntryPath& out) {
  out.names.clear();
  out.absolute = path.starts_with('/');
  out.climbs = false;
  std::size_t total = 0;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view name = path.substr(at, end - at);
    at = end + 1;
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      out.climbs = true;
      if (out.names.empty())
        throw_error(errc::bad_archive, "use the " + std::string(what), quoted(path), "it leads out of the root");
      total -= out.names.back().size() + 1;
      out.names.pop_back();
      continue;
    }
    if (name.size() > 255)
      throw_error(errc::limit_exceeded, "use the " + std::string(what), quoted(path),
                  "a name in it is longer than 255 bytes");
    out.names.push_back(name);
    total += name.size() + 1;
    if (total > 4096)
      throw_error(errc::limit_exceeded, "use the " + std::string(what), quoted(path), "it is longer than 4,095 bytes");
  }
}

NameKind classify_name(std::string_view name, std::string_view& hidden, std::string_view path) {
  if (!name.starts_with(whiteout_prefix)) return NameKind::ordinary;
  if (name == opaque_name) return NameKind::opaque;
  hidden = name.substr(whiteout_prefix.size());
  if (hidden.starts_with(whiteout_prefix)) return NameKind::aufs;
  if (hidden.empty() || hidden == "." || hidden == "..")
    throw_error(errc::bad_archive, "use the entry", quoted(path), "it is a whiteout of no name");
  return NameKind::whiteout;
}

}  // namespace strata::detail
