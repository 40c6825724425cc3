#include "diff/teller.hpp"

#include <strata/error.hpp>
#include <strata/whiteout.hpp>

#include "tree/file_type.hpp"
#include "tree/mapped_ids.hpp"

#include <algorithm>

namespace strata::detail {
namespace {

constexpr std::uint64_t progress_step = 1 << 18;
constexpr std::size_t piece_size = 1 << 17;

}  // namespace

Teller::Teller(ChangeSink& sink, const ChangeOptions& options, Report& report)
    : sink_(sink), options_(options), report_(report) {
  progress_.phase = Progress::Phase::writing;
}

void Teller::check_stop() const {
  if (options_.control.stop.stop_requested())
    throw_error(errc::cancelled, "write", "the changes", "the caller stopped it");
}

void Teller::add(const TarEntry& entry) {
  check_stop();
  sink_.add(entry);
  ++progress_.entries;
  advance(0);
}

void Teller::advance(std::uint64_t bytes) {
  progress_.tar_bytes += bytes;
  if (!options_.control.observer || progress_.tar_bytes < next_progress_) return;
  next_progress_ = progress_.tar_bytes + progress_step;
  options_.control.observer(progress_);
}

TarEntry Teller::entry_of(const std::string& path, const Seen& file, const Metadata& metadata) {
  TarEntry entry;
  entry.path = path;
  entry.type = type_of(metadata.mode);
  entry.mode = metadata.mode & 07777;
  entry.uid = metadata.uid;
  entry.gid = metadata.gid;
  entry.mtime = metadata.mtime;
  if (options_.latest_time) entry.mtime = std::min(entry.mtime, Timestamp{*options_.latest_time, 0});
  if (metadata.is_file()) entry.size = entry.stored_size = metadata.size;
  if (metadata.is_symlink()) entry.link = file.view.link_target(file.entry);
  if (entry.type == TarType::character || entry.type == TarType::block) {
    entry.device_major = major(metadata.rdev);
    entry.device_minor = minor(metadata.rdev);
  }
  for (auto& [name, value] : file.view.xattrs(file.entry)) {
    if (is_layer_xattr(name))
      entry.xattrs.emplace(name, std::move(value));
    else if (is_overlay_xattr(name))
      report_.add("D5", path, "attribute " + quoted(name) + " left out: in a layer it would be overlay's own");
  }
  map_to_layer(entry, options_.ids);
  return entry;
}

void Teller::tell(const std::string& path, const Seen& file, const SmallFile* content) {
  const Metadata& metadata = file.entry.metadata;
  if (!metadata.is_directory() && metadata.links > 1) {
    const auto [first, is_first] = linked_.try_emplace({metadata.device, metadata.inode}, path);
    if (!is_first) {
      TarEntry entry = entry_of(path, file, metadata);
      entry.type = TarType::hardlink;
      entry.link = first->second;
      entry.size = entry.stored_size = 0;
      // They belong to the file, which told them; readers ignore them here.
      entry.xattrs.clear();
      return add(entry);
    }
  }
  if (!metadata.is_file()) return add(entry_of(path, file, metadata));
  if (content) return tell_small(path, file, *content);

  const OpenFile open = open_file(file);
  if (is_small(open.now)) return tell_small(path, file, read_small(open, file.view.shown(file.entry)));
  const TarEntry entry = entry_of(path, file, open.now);
  add(entry);
  tell_content(entry, open.fd.get(), file.view.shown(file.entry));
}

void Teller::tell_small(const std::string& path, const Seen& file, const SmallFile& content) {
  add(entry_of(path, file, content.now));
  if (content.content.empty()) return;
  sink_.content(content.content);
  advance(content.content.size());
}

void Teller::tell_content(const TarEntry& entry, int fd, const std::string& shown) {
  buffer_.resize(piece_size);
  std::uint64_t offset = 0;
  while (offset < entry.size) {
    // Where the filesystem can't tell holes, all of a file is data (lseek(2)).
    off_t data = sys::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0 && errno == ENXIO) data = static_cast<off_t>(entry.size);
    if (data < 0) throw_errno(errno, "read", quoted(shown));
    const std::uint64_t begin = std::min(static_cast<std::uint64_t>(data), entry.size);
    if (begin > offset) {
      sink_.zeros(begin - offset);
      advance(begin - offset);
      offset = begin;
      continue;
    }
    const off_t hole = sys::lseek(fd, data, SEEK_HOLE);
    if (hole < 0 && errno != ENXIO) throw_errno(errno, "read", quoted(shown));
    const std::uint64_t end = hole <= data ? entry.size : std::min(static_cast<std::uint64_t>(hole), entry.size);
    while (offset < end) {
      check_stop();
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(piece_size, end - offset));
      const ssize_t n = sys::pread(fd, buffer_.data(), size, static_cast<off_t>(offset));
      if (n < 0) throw_errno(errno, "read", quoted(shown));
      if (n == 0) throw_changed(shown, "shrank");
      sink_.content(std::span(buffer_.data(), static_cast<std::size_t>(n)));
      offset += static_cast<std::uint64_t>(n);
      advance(static_cast<std::uint64_t>(n));
    }
  }
  const std::uint64_t size = stat_of(fd, shown).size;
  if (size != entry.size) throw_changed(shown, size < entry.size ? "shrank" : "grew");
}

void Teller::tell_marker(std::string path) {
  TarEntry entry;
  entry.path = std::move(path);
  add(entry);
}

void Teller::tell_whiteout(const std::string& directory, std::string_view name) {
  tell_marker(std::string(directory).append(whiteout_prefix).append(name));
}

void Teller::tell_opaque(const std::string& directory) { tell_marker(std::string(directory).append(opaque_name)); }

}  // namespace strata::detail
