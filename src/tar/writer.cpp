#include "tar/acl.hpp"
#include "tar/header.hpp"
#include "tar/pax.hpp"
#include "tar/sparse.hpp"

#include <strata/error.hpp>
#include <strata/tar.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace strata {
namespace {

namespace field = detail::field;

using Block = std::array<char, tar_block>;
/// Sorted by keyword: the same records give the same bytes.
using PaxRecords = std::map<std::string, std::string, std::less<>>;

constexpr std::uint64_t max_octal_7 = 07777777;
constexpr std::uint64_t max_octal_11 = 077777777777;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

[[noreturn]] void refuse(const TarEntry& entry, std::string why) {
  throw_error(errc::bad_argument, "write the tar entry", quoted(entry.path), std::move(why));
}

/// The last component, without a directory's '/'.
std::string_view base_name(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.substr(path.rfind('/') + 1);
}

/// Puts `path` into name, or prefix and name; false where it fits neither way.
bool put_path(Block& block, std::string_view path) {
  if (path.size() <= field::name.size) {
    detail::put_text(block, field::name, path);
    return true;
  }
  // Split at the first '/' that leaves a name that fits, which keeps the prefix short; the name may not be empty, and a
  // reader joins them by a '/' only where there is a prefix.
  const std::size_t from = path.size() - field::name.size - 1;
  const auto slash = path.find('/', std::max<std::size_t>(from, 1));
  if (slash == path.npos || slash > field::prefix.size || slash + 1 == path.size()) return false;
  detail::put_text(block, field::prefix, path.substr(0, slash));
  detail::put_text(block, field::name, path.substr(slash + 1));
  return true;
}

Block blank_header(char type) {
  Block block{};
  detail::put_text(block, field::magic, {"ustar\00000", 8});
  block[field::type.offset] = type;
  for (const auto where : {field::mode, field::uid, field::gid, field::size, field::mtime}) {
    detail::put_octal(block, where, 0);
  }
  return block;
}

}  // namespace

struct TarWriter::Impl {
  explicit Impl(ByteSink& the_sink) : sink(the_sink) {}

  void write(std::string_view bytes) {
    sink.write(bytes_of(bytes));
    offset += bytes.size();
  }
  void pad() { write(std::string_view(zeros.data(), detail::padding(offset))); }
  void check_complete(const char* what) const;
  void write_pax(std::string_view path, const PaxRecords& records);

  ByteSink& sink;
  std::uint64_t offset = 0;
  std::uint64_t content_left = 0;
  std::string path;  ///< of the entry whose content is being written
  bool finished = false;
  static constexpr Block zeros{};
};

namespace {

void check(const TarEntry& entry) {
  const auto has_nul = [](const std::string& text) { return text.find('\0') != text.npos; };
  const bool link = entry.type == TarType::hardlink || entry.type == TarType::symlink;
  const bool directory = entry.type == TarType::directory;
  if (entry.path.empty()) refuse(entry, "its path is empty");
  if (has_nul(entry.path) || has_nul(entry.link)) refuse(entry, "a name has a NUL in it");
  if (!directory && entry.path.ends_with('/')) refuse(entry, "its path ends in '/', but it is no directory");
  if (link == entry.link.empty())
    refuse(entry, link ? "it is a link without target" : "it has a target, but is no link");
  if (entry.mode > 07777) refuse(entry, "its mode has more than permission bits");
  if (entry.size > static_cast<std::uint64_t>(INT64_MAX) - tar_block) refuse(entry, "its size is beyond 63 bits");
  if (entry.type != TarType::file && entry.size != 0) refuse(entry, "it has a size, but its type has no content");
  if (entry.sparse && entry.type != TarType::file) refuse(entry, "it is sparse, but no file");
  if (entry.uid > INT64_MAX || entry.gid > INT64_MAX) refuse(entry, "its owner is beyond 63 bits");
  for (const auto& [name, value] : entry.xattrs) {
    if (name.empty() || has_nul(name)) refuse(entry, "it has an xattr whose name is empty or has a NUL in it");
  }
}

void add_xattrs(const TarEntry& entry, PaxRecords& records) {
  for (const auto& [name, value] : entry.xattrs) {
    if (name.find('=') == name.npos) {
      records[std::string(detail::schily_xattr) + name] = value;
    } else {
      // A keyword ends at the first '=', so such a name needs the encoded form of libarchive.
      records[std::string(detail::libarchive_xattr) + detail::encode_percent(name)] = detail::encode_base64(value);
    }
  }
  // Go's readers (containerd, Docker, umoci) set the binary xattr; GNU tar and libarchive take ACLs from text alone.
  const auto add_acl = [&](std::string_view xattr, std::string_view key) {
    const auto found = entry.xattrs.find(xattr);
    if (found == entry.xattrs.end()) return;
    auto text = detail::acl_to_text(found->second);
    if (!text) refuse(entry, "its " + std::string(xattr) + " is no ACL");
    if (!text->empty()) records[std::string(key)] = std::move(*text);
  };
  add_acl(detail::acl_access_xattr, detail::schily_acl_access);
  add_acl(detail::acl_default_xattr, detail::schily_acl_default);
}

void add_times(const TarEntry& entry, Block& block, PaxRecords& records) {
  const bool plain = entry.mtime.nanoseconds == 0 && entry.mtime.seconds >= 0 &&
                     detail::put_octal(block, field::mtime, static_cast<std::uint64_t>(entry.mtime.seconds));
  if (!plain) {
    // For readers that know no PAX: the whole seconds, as near as the field can come.
    const auto seconds = std::clamp<std::int64_t>(entry.mtime.seconds, 0, max_octal_11);
    detail::put_octal(block, field::mtime, static_cast<std::uint64_t>(seconds));
    records["mtime"] = detail::format_pax_time(entry.mtime);
  }
  if (entry.atime) records["atime"] = detail::format_pax_time(*entry.atime);
  if (entry.ctime) records["ctime"] = detail::format_pax_time(*entry.ctime);
}

void add_number(Block& block, detail::Field where, std::uint64_t value, std::uint64_t max, const char* key,
                PaxRecords& records) {
  detail::put_octal(block, where, value <= max ? value : 0);
  if (value > max) records[key] = std::to_string(value);
}

void add_text(Block& block, detail::Field where, const std::string& text, const char* key, PaxRecords& records) {
  detail::put_text(block, where, text);
  if (text.size() > where.size) records[key] = text;
}

void add_other_records(const TarEntry& entry, PaxRecords& records) {
  for (const auto& [key, value] : entry.other_records) {
    if (key.empty() || key.find('=') != key.npos || key.find('\0') != key.npos) {
      refuse(entry, "a PAX record can't have the keyword " + quoted(key));
    }
    records.try_emplace(key, value);
  }
}

/// The sparse map as text, or nothing; with the records that announce it.
std::string add_sparse(const TarEntry& entry, const std::string& path, Block& block, PaxRecords& records) {
  std::uint64_t end = 0;
  std::uint64_t data = 0;
  for (const SparseExtent& extent : entry.extents) {
    if (extent.offset < end || extent.size > entry.size || extent.offset > entry.size - extent.size) {
      refuse(entry, "its extents overlap, go backwards or go beyond its end");
    }
    end = extent.offset + extent.size;
    data += extent.size;
  }
  if (data != entry.stored_size) refuse(entry, "its extents are not as long as what is stored of it");
  records["GNU.sparse.major"] = std::to_string(1);
  records["GNU.sparse.minor"] = std::to_string(0);
  records["GNU.sparse.name"] = path;
  records["GNU.sparse.realsize"] = std::to_string(entry.size);
  // A reader that doesn't know sparse files makes a file of this name, not a wrong one of the right name.
  detail::put_text(block, field::name, "GNUSparseFile.0/" + std::string(base_name(path)));
  return detail::format_sparse_text(entry.extents, entry.size);
}

}  // namespace

void TarWriter::Impl::check_complete(const char* what) const {
  if (finished) throw_error(errc::bad_argument, what, "the archive", "it is finished");
  if (content_left != 0) {
    throw_error(errc::bad_argument, what, "the archive",
                quoted(path) + " still lacks " + std::to_string(content_left) + " bytes of content");
  }
}

void TarWriter::Impl::write_pax(std::string_view entry_path, const PaxRecords& records) {
  std::string payload;
  for (const auto& [key, value] : records) detail::append_pax(payload, key, value);
  Block block = blank_header('x');
  detail::put_text(block, field::name, "PaxHeaders/" + std::string(base_name(entry_path)));
  detail::put_octal(block, field::mode, 0644);
  if (!detail::put_octal(block, field::size, payload.size())) {
    throw_error(errc::limit_exceeded, "write the tar entry", quoted(entry_path), "its xattrs are over 8 GiB");
  }
  detail::put_checksum(block);
  write({block.data(), block.size()});
  write(payload);
  pad();
}

TarWriter::TarWriter(ByteSink& sink) : impl_(std::make_unique<Impl>(sink)) {}
TarWriter::~TarWriter() = default;
TarWriter::TarWriter(TarWriter&&) noexcept = default;
TarWriter& TarWriter::operator=(TarWriter&&) noexcept = default;

void TarWriter::add(const TarEntry& entry) {
  impl_->check_complete("add an entry to");
  check(entry);
  PaxRecords records;
  Block block = blank_header(static_cast<char>(entry.type));
  std::string path = entry.path;
  if (entry.type == TarType::directory && !path.ends_with('/')) path += '/';

  std::string map;
  std::uint64_t stored = entry.size;
  if (entry.sparse) {
    map = add_sparse(entry, path, block, records);
    stored = map.size() + entry.stored_size;
  } else if (!put_path(block, path)) {
    detail::put_text(block, field::name, path);
    records["path"] = path;
  }
  add_text(block, field::link, entry.link, "linkpath", records);
  add_text(block, field::user_name, entry.user_name, "uname", records);
  add_text(block, field::group_name, entry.group_name, "gname", records);
  detail::put_octal(block, field::mode, entry.mode);
  add_number(block, field::uid, entry.uid, max_octal_7, "uid", records);
  add_number(block, field::gid, entry.gid, max_octal_7, "gid", records);
  add_number(block, field::size, stored, max_octal_11, "size", records);
  add_number(block, field::device_major, entry.device_major, max_octal_7, "SCHILY.devmajor", records);
  add_number(block, field::device_minor, entry.device_minor, max_octal_7, "SCHILY.devminor", records);
  add_times(entry, block, records);
  add_xattrs(entry, records);
  add_other_records(entry, records);

  if (!records.empty()) impl_->write_pax(path, records);
  detail::put_checksum(block);
  impl_->write({block.data(), block.size()});
  impl_->write(map);
  impl_->content_left = stored - map.size();
  impl_->path = std::move(path);
}

void TarWriter::content(std::span<const std::byte> bytes) {
  if (bytes.size() > impl_->content_left) {
    throw_error(errc::bad_argument, "write the content of", quoted(impl_->path),
                "it is " + std::to_string(bytes.size() - impl_->content_left) + " bytes longer than its entry says");
  }
  if (bytes.empty()) return;
  impl_->sink.write(bytes);
  impl_->offset += bytes.size();
  impl_->content_left -= bytes.size();
  if (impl_->content_left == 0) impl_->pad();
}

void TarWriter::finish() {
  impl_->check_complete("finish");
  for (int i = 0; i < 2; ++i) impl_->write({Impl::zeros.data(), Impl::zeros.size()});
  impl_->finished = true;
}

std::uint64_t TarWriter::offset() const { return impl_->offset; }

}  // namespace strata
