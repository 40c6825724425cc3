#include "transport/archive_files.hpp"

#include <strata/compression.hpp>
#include <strata/error.hpp>

#include "sys.hpp"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

namespace strata::detail {

namespace {

constexpr int most_links = 8;
/// Contents from which on the next header is gone to at once, instead of read on to.
constexpr std::uint64_t worth_a_jump = 256U << 10;
/// What the headers of one member, or what follows the last, may take to read.
constexpr std::uint64_t most_between = 8U << 20;

/// A part of the archive, to its end, of which no more is given at a time than allowed: who reads on and on, through
/// what an archive claims to be headers, meets an end.
class Window final : public ByteSource {
 public:
  Window(FileRange range, std::string name) : source_(std::move(range), std::move(name), {}) {}
  void allow(std::uint64_t bytes) { left_ = bytes; }
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t n = left_ == 0 ? 0
                                     : source_.read(into.first(static_cast<std::size_t>(
                                           std::min<std::uint64_t>({into.size(), left_, worth_a_jump / 4}))));
    left_ -= n;
    return n;
  }
  std::string name() const override { return source_.name(); }

 private:
  RangeSource source_;
  std::uint64_t left_ = 0;
};

}  // namespace

std::optional<std::string> path_in_archive(const std::string& path) {
  std::string whole;
  for (std::string_view rest = path; !rest.empty();) {
    const std::string_view name = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (whole.empty()) return std::nullopt;
      whole.resize(whole.find('/') == std::string::npos ? 0 : whole.rfind('/'));
    } else {
      whole += (whole.empty() ? "" : "/") + std::string(name);
    }
  }
  if (whole.empty()) return std::nullopt;
  return whole;
}

ArchiveFiles::ArchiveFiles(const boost::filesystem::path& file) : shown_(quoted(file.native())) {
  auto fd = std::make_shared<FileDescriptor>(sys::openat(AT_FDCWD, file.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat st {};
  if (!*fd || sys::fstat(fd->get(), st) != 0) throw_errno(errno, "open", shown_);
  if (!S_ISREG(st.st_mode))
    throw_error(errc::bad_argument, "read the archive", shown_, "it is no regular file", "put it into one first");
  whole_ = {.file = std::move(fd), .size = static_cast<std::uint64_t>(st.st_size)};
  refuse_compressed();
  scan();
}

void ArchiveFiles::refuse_compressed() const {
  const std::string head = read_head(whole_, recognition_size, shown_);
  const auto bytes = std::as_bytes(std::span(head.data(), head.size()));
  const auto refuse = [&](const std::string& format, const std::string& program) {
    throw_error(errc::unsupported, "read the archive", shown_, "it is compressed by " + format,
                "decompress it first, by " + program + ", for it is read where it lies");
  };
  if (Gzip::recognises(bytes)) refuse("gzip", "gunzip");
  if (Zstd::recognises(bytes)) refuse("zstd", "unzstd");
  if (head.starts_with("\xfd"
                       "7zXZ"))
    refuse("xz", "unxz");
  if (head.starts_with("BZh")) refuse("bzip2", "bunzip2");
}

void ArchiveFiles::scan() {
  std::uint64_t begin = 0, names = 0, members = 0;
  while (begin < whole_.size) {
    Window window(whole_.from(begin), begin == 0 ? shown_ : shown_ + " behind byte " + std::to_string(begin));
    TarReader reader(window, {.header_bytes = 1U << 20, .extents = 1U << 16, .path_bytes = 4096});
    const std::uint64_t from = std::exchange(begin, whole_.size);
    while (true) {
      window.allow(most_between);
      const TarEntry* entry = reader.next();
      if (entry == nullptr) return;
      const std::uint64_t content = from + reader.offset();
      if (entry->stored_size > whole_.size - content)
        throw_error(errc::bad_archive, "read " + quoted(entry->path) + " of the archive", shown_,
                    "the archive ends in the middle of its content");
      names += entry->path.size() + entry->link.size();
      if (++members > most_members || names > most_name_bytes)
        throw_error(errc::limit_exceeded, "read the archive", shown_,
                    "it has more than " + std::to_string(most_members) + " members, or " +
                        std::to_string(most_name_bytes) + " bytes of their names");
      note(*entry, content);
      if (entry->stored_size >= worth_a_jump) {
        begin = content + (entry->stored_size + tar_block - 1) / tar_block * tar_block;
        break;
      }
    }
  }
}

void ArchiveFiles::note(const TarEntry& entry, std::uint64_t content) {
  const auto path = path_in_archive(entry.path);
  if (!path) return;
  Member member;
  switch (entry.type) {
    case TarType::file:
      member = {.offset = content, .size = entry.stored_size, .sparse = entry.sparse};
      break;
    case TarType::hardlink: {
      // What its target is now, whatever has that name later.
      const auto target = path_in_archive(entry.link);
      const auto found = target ? members_.find(*target) : members_.end();
      if (found == members_.end()) return;
      member = found->second;
      break;
    }
    case TarType::symlink: {
      if (entry.link.starts_with('/')) return;
      const std::size_t slash = path->rfind('/');
      const auto target = path_in_archive((slash == std::string::npos ? "" : path->substr(0, slash + 1)) + entry.link);
      if (!target) return;
      member.link = *target;
      break;
    }
    default:
      return;
  }
  members_[*path] = std::move(member);
}

std::optional<FileRange> ArchiveFiles::find(const std::string& path) const {
  std::optional<std::string> at = path_in_archive(path);
  for (int links = 0; at && links <= most_links; ++links) {
    const auto found = members_.find(*at);
    if (found == members_.end()) break;
    const Member& member = found->second;
    if (!member.link.empty()) {
      at = member.link;
      continue;
    }
    if (member.sparse)
      throw_error(errc::unsupported, "read " + quoted(path) + " of the archive", shown_,
                  "it is stored as a sparse file", "unpack the archive, and make it anew without --sparse");
    return FileRange{.file = whole_.file, .offset = member.offset, .size = member.size};
  }
  return std::nullopt;
}

}  // namespace strata::detail
