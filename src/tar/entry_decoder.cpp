#include "tar/entry_decoder.hpp"

#include "tar/acl.hpp"
#include "tar/malformed.hpp"

#include <strata/report.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace strata::detail {
namespace {

// Global records are gone through for each entry: without a bound, a small archive could make that costly. Archivers
// write a comment, if anything.
constexpr std::size_t max_global_records = 256;
constexpr std::size_t max_global_bytes = 64 * 1024;

constexpr auto max_size = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) + 1 - tar_block;

bool is_link(TarType type) noexcept { return type == TarType::hardlink || type == TarType::symlink; }

bool is_known(char flag) noexcept { return (flag >= '0' && flag <= '7') || flag == '\0' || flag == 'S' || flag == 'D'; }

TarType type_of(char flag) noexcept {
  if (flag >= '1' && flag <= '6') return static_cast<TarType>(flag);
  return flag == 'D' ? TarType::directory : TarType::file;
}

void cut_at_nul(std::string& text) {
  const auto nul = text.find('\0');
  if (nul != text.npos) text.resize(nul);
}

}  // namespace

std::uint64_t content_size(std::optional<std::int64_t> number) {
  if (!number) throw Malformed{"its size is not a number that tar can hold"};
  if (*number < 0) throw Malformed{"its size is negative"};
  const auto size = static_cast<std::uint64_t>(*number);
  if (size > max_size) throw Malformed{"its size is beyond what can be padded to whole blocks"};
  return size;
}

void EntryDecoder::note(std::string action) const {
  if (report_ != nullptr) report_->add("tar", entry_.path, std::move(action));
}

void EntryDecoder::clear() noexcept {
  has_pax_ = false;
  pax_.clear();
  long_name_.reset();
  long_link_.reset();
}

void EntryDecoder::extension(char type, std::string& payload) {
  if (type == 'L' || type == 'K') {
    auto& name = type == 'L' ? long_name_ : long_link_;
    name = payload;
    cut_at_nul(*name);
    return;
  }
  if (type == 'g') {
    std::vector<PaxRecord> records;
    parse_pax(payload, records);
    for (const PaxRecord& record : records) add_global(record);
    return;
  }
  if (has_pax_) note("a second PAX header replaces the one before it");
  has_pax_ = true;
  pax_payload_.swap(payload);
  pax_.clear();
  parse_pax(pax_payload_, pax_);
}

void EntryDecoder::add_global(const PaxRecord& record) {
  if (record.value.empty()) {
    if (const auto found = globals_.find(record.key); found != globals_.end()) globals_.erase(found);
    return;
  }
  if (PaxFields::is_of_one_file(record.key)) {
    note("a global PAX record " + quoted(record.key) + " is left out: it can be meant for one file only");
    return;
  }
  globals_.insert_or_assign(std::string(record.key), std::string(record.value));
  std::size_t bytes = 0;
  for (const auto& [key, value] : globals_) bytes += key.size() + value.size();
  if (globals_.size() > max_global_records || bytes > max_global_bytes) {
    throw Malformed{"the global PAX records are more than " + std::to_string(max_global_records) + " or " +
                        std::to_string(max_global_bytes) + " bytes",
                    errc::limit_exceeded};
  }
}

void EntryDecoder::collect_fields() {
  fields_.clear();
  for (const auto& [key, value] : globals_) fields_.add({key, value});
  for (const PaxRecord& record : pax_) fields_.add(record);
}

std::int64_t EntryDecoder::number(const HeaderBlock& header, Field where, const char* name) const {
  const auto value = header.number(where);
  if (!value) throw Malformed{"its " + std::string(name) + " is not a number that tar can hold"};
  return *value;
}

std::optional<std::int64_t> EntryDecoder::pax_number(PaxKey key, const char* name) const {
  const std::string_view text = fields_[key];
  if (text.empty()) return std::nullopt;
  const auto value = parse_decimal(text);
  if (!value) throw Malformed{"its PAX record " + std::string(name) + " is not a number: " + quoted(text)};
  return value;
}

std::optional<Timestamp> EntryDecoder::pax_time(PaxKey key, const char* name) const {
  const std::string_view text = fields_[key];
  if (text.empty()) return std::nullopt;
  const auto value = parse_pax_time(text);
  if (!value) throw Malformed{"its PAX record " + std::string(name) + " is not a time: " + quoted(text)};
  return value;
}

Layout EntryDecoder::decode(const HeaderBlock& header) {
  collect_fields();
  const Dialect dialect = header.dialect();
  const char flag = header.type();
  entry_.type = type_of(flag);
  set_names(header);
  check_type(flag);
  // v7 had no type for directories; 7th Edition's successors and bsdtar mark them by the slash alone.
  if (entry_.type == TarType::file && entry_.path.ends_with('/') && (flag == '\0' || dialect == Dialect::v7)) {
    entry_.type = TarType::directory;
  }
  entry_.mode = static_cast<std::uint32_t>(number(header, field::mode, "mode")) & 07777U;
  set_owner(header, dialect);
  set_times(header, dialect);
  set_device(header, dialect);
  set_xattrs();
  set_other_records();

  Layout layout{content_size(header.number(field::size))};
  if (const auto size = pax_number(PaxKey::size, "size")) layout.size = content_size(size);
  entry_.size = layout.size;
  layout.before_content = set_sparse(header, dialect);
  if (flag == 'D') {
    layout.before_content = Layout::listing;
    entry_.size = 0;
  } else if (entry_.type != TarType::file) {
    // Some archivers put the size of what a link leads to here, but never bytes after it.
    if (layout.size != 0) note("its size of " + std::to_string(layout.size) + " is left out: its type has no content");
    layout.size = entry_.size = 0;
  }
  return layout;
}

void EntryDecoder::finish() const {
  if (map_) map_->check(entry_.size, entry_.stored_size);
}

void EntryDecoder::check_type(char flag) const {
  switch (flag) {
    case 'D':
      note("the listing of an incremental GNU backup is left out");
      break;
    case 'M':
      throw Malformed{"it is the rest of a file that begins in another volume"};
    case 'N':
      throw Malformed{"it is a list of renamed files, as GNU tar wrote before 1990"};
    default:
      if (!is_known(flag)) {
        note("its type " + quoted(std::string_view(&flag, 1)) + " is unknown: read as a file, as POSIX asks");
      }
  }
}

void EntryDecoder::set_names(const HeaderBlock& header) {
  std::string& path = entry_.path;
  path = header.path();
  if (!fields_[PaxKey::path].empty()) path = fields_[PaxKey::path];
  if (long_name_) {
    if (!fields_[PaxKey::path].empty()) note("it has a GNU long name and a PAX path: the first is taken");
    path = *long_name_;
  }
  entry_.link.clear();
  if (is_link(entry_.type)) {
    entry_.link = header.text(field::link);
    if (!fields_[PaxKey::link_path].empty()) entry_.link = fields_[PaxKey::link_path];
    if (long_link_) entry_.link = *long_link_;
  }
  for (const std::string& name : {std::cref(path), std::cref(entry_.link)}) {
    if (name.size() > limits_.path_bytes) {
      const std::string length = std::to_string(name.size());
      throw Malformed{"a name of " + length + " bytes is over the limit of " + std::to_string(limits_.path_bytes),
                      errc::limit_exceeded};
    }
  }
}

void EntryDecoder::set_owner(const HeaderBlock& header, Dialect dialect) {
  const auto id = [&](Field where, PaxKey key, const char* name) {
    const std::int64_t value = number(header, where, name);
    const auto pax = pax_number(key, name);
    if (!pax && value < 0) throw Malformed{"its " + std::string(name) + " is negative"};
    return static_cast<std::uint64_t>(pax.value_or(value));
  };
  const auto name = [&](std::string& into, Field where, PaxKey key) {
    into.clear();
    if (dialect != Dialect::v7) into = header.text(where);
    if (!fields_[key].empty()) into = fields_[key];
  };
  entry_.uid = id(field::uid, PaxKey::uid, "uid");
  entry_.gid = id(field::gid, PaxKey::gid, "gid");
  name(entry_.user_name, field::user_name, PaxKey::user_name);
  name(entry_.group_name, field::group_name, PaxKey::group_name);
}

void EntryDecoder::set_times(const HeaderBlock& header, Dialect dialect) {
  entry_.mtime = {number(header, field::mtime, "mtime"), 0};
  entry_.atime.reset();
  entry_.ctime.reset();
  if (dialect == Dialect::gnu) {
    set_header_times(header, field::gnu_atime, field::gnu_ctime);
  } else if (dialect == Dialect::star) {
    set_header_times(header, field::star_atime, field::star_ctime);
  }
  if (const auto time = pax_time(PaxKey::mtime, "mtime")) entry_.mtime = *time;
  if (const auto time = pax_time(PaxKey::atime, "atime")) entry_.atime = time;
  if (const auto time = pax_time(PaxKey::ctime, "ctime")) entry_.ctime = time;
}

void EntryDecoder::set_header_times(const HeaderBlock& header, Field atime, Field ctime) {
  const auto set = [&](std::optional<Timestamp>& into, Field where) {
    if (header.raw(where).front() == '\0') return true;
    const auto seconds = header.number(where);
    if (seconds) into = Timestamp{*seconds, 0};
    return seconds.has_value();
  };
  if (set(entry_.atime, atime) && set(entry_.ctime, ctime)) return;
  entry_.atime.reset();
  entry_.ctime.reset();
  // Go before 1.8 wrote ustar's prefix under GNU's magic (golang/go issue 12594): what is no time but text is a prefix.
  const std::string_view prefix = header.text(field::prefix);
  const bool ascii = std::all_of(prefix.begin(), prefix.end(), [](char c) { return c > 0; });
  if (atime.offset != field::prefix.offset || !ascii || prefix.empty()) return;
  if (fields_[PaxKey::path].empty() && !long_name_) {
    entry_.path.insert(0, std::string(prefix) + '/');
    note("its header is GNU's, but with a ustar prefix, as old Go programs wrote it");
  }
}

void EntryDecoder::set_device(const HeaderBlock& header, Dialect dialect) {
  entry_.device_major = entry_.device_minor = 0;
  if (entry_.type != TarType::character && entry_.type != TarType::block) return;
  const auto part = [&](Field where, PaxKey key, const char* name) {
    auto value = pax_number(key, name);
    if (!value) value = dialect == Dialect::v7 ? 0 : number(header, where, name);
    if (*value < 0 || *value > std::numeric_limits<std::uint32_t>::max()) {
      throw Malformed{"its " + std::string(name) + " is not a device number"};
    }
    return static_cast<std::uint32_t>(*value);
  };
  entry_.device_major = part(field::device_major, PaxKey::device_major, "devmajor");
  entry_.device_minor = part(field::device_minor, PaxKey::device_minor, "devminor");
}

void EntryDecoder::set_xattrs() {
  entry_.xattrs.clear();
  const auto set = [&](std::string name, std::string value) {
    if (name.empty() || name.find('\0') != name.npos) {
      note("an xattr " + quoted(name) + " is left out: no such name can be");
    } else {
      entry_.xattrs.insert_or_assign(std::move(name), std::move(value));
    }
  };
  for (const auto& [name, value] : fields_.encoded_xattrs()) {
    if (auto decoded = decode_base64(value)) {
      set(decode_percent(name), std::move(*decoded));
    } else {
      note("an xattr " + quoted(name) + " is left out: its value is not base64");
    }
  }
  for (const auto& [name, value] : fields_.xattrs()) set(std::string(name), std::string(value));
  const std::string_view label = fields_[PaxKey::selinux];
  if (!label.empty()) entry_.xattrs.try_emplace("security.selinux", label);
  set_acl(PaxKey::acl_access, acl_access_xattr);
  set_acl(PaxKey::acl_default, acl_default_xattr);
}

void EntryDecoder::set_acl(PaxKey key, std::string_view xattr) {
  const std::string_view text = fields_[key];
  if (text.empty() || entry_.xattrs.contains(xattr)) return;
  std::string why;
  auto value = acl_from_text(text, {entry_.user_name, entry_.uid, entry_.group_name, entry_.gid}, why);
  if (!value) {
    note(why + ": the ACL is left out");
    return;
  }
  // libarchive writes the owning group's own bits into the header, where stat shows the mask. Setting such a mode after
  // the ACL would change its mask.
  if (key == PaxKey::acl_access) entry_.mode = (entry_.mode & 07000U) | acl_mode(*value);
  entry_.xattrs.emplace(xattr, std::move(*value));
}

void EntryDecoder::set_other_records() {
  entry_.other_records.clear();
  for (const auto& [key, value] : fields_.others()) {
    if (value.empty()) {
      if (const auto found = entry_.other_records.find(key); found != entry_.other_records.end()) {
        entry_.other_records.erase(found);
      }
    } else {
      entry_.other_records.insert_or_assign(std::string(key), std::string(value));
    }
  }
}

Layout::Before EntryDecoder::set_sparse(const HeaderBlock& header, Dialect dialect) {
  entry_.sparse = false;
  entry_.extents.clear();
  map_.reset();
  const bool by_header = header.type() == 'S';
  const auto before = by_header ? set_header_sparse(header, dialect) : set_pax_sparse();
  if (!map_) return before;
  if (entry_.type != TarType::file) throw Malformed{"it is sparse, but no file"};
  entry_.sparse = true;
  return before;
}

Layout::Before EntryDecoder::set_header_sparse(const HeaderBlock& header, Dialect dialect) {
  const bool gnu = dialect == Dialect::gnu;
  if (!gnu && dialect != Dialect::star) throw Malformed{"it is sparse, but its header is neither GNU's nor star's"};
  map_.emplace(entry_.extents, limits_.extents);
  map_->add_table(header.raw(gnu ? field::gnu_sparse : field::star_sparse));
  entry_.size = content_size(header.number(gnu ? field::gnu_real_size : field::star_real_size));
  if (const auto size = pax_number(PaxKey::real_size, "SCHILY.realsize")) entry_.size = content_size(size);
  const bool more = header.raw(gnu ? field::gnu_extended : field::star_extended).front() != '\0';
  return more ? Layout::sparse_blocks : Layout::nothing;
}

Layout::Before EntryDecoder::set_pax_sparse() {
  const std::string_view major = fields_[PaxKey::sparse_major];
  const std::string_view minor = fields_[PaxKey::sparse_minor];
  const std::string_view text = fields_[PaxKey::sparse_map];
  const auto& pairs = fields_.sparse_pairs();
  const bool unversioned = major.empty() && minor.empty();
  const bool mapped = !text.empty() || !pairs.empty() || !fields_[PaxKey::sparse_blocks].empty();
  if (unversioned && !mapped) return Layout::nothing;
  const bool version_0 = unversioned || (major == "0" && (minor == "0" || minor == "1"));
  if (!version_0 && !(major == "1" && minor == "0")) {
    throw Malformed{"it is sparse in the unknown version " + quoted(std::string(major) + "." + std::string(minor))};
  }
  map_.emplace(entry_.extents, limits_.extents);
  if (!fields_[PaxKey::sparse_name].empty()) entry_.path = fields_[PaxKey::sparse_name];
  auto size = pax_number(PaxKey::sparse_size, "GNU.sparse.size");
  if (!size) size = pax_number(PaxKey::sparse_real_size, "GNU.sparse.realsize");
  if (size) entry_.size = content_size(size);
  if (!version_0) return Layout::sparse_text;
  const auto blocks = pax_number(PaxKey::sparse_blocks, "GNU.sparse.numblocks");
  if (!pairs.empty()) {
    std::string joined;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      if (pairs[i].key.ends_with("numbytes") != (i % 2 == 1)) throw Malformed{"its sparse map is out of order"};
      if (!parse_decimal(pairs[i].value)) throw Malformed{"its sparse map has a number that is none"};
      joined.append(i == 0 ? "" : ",").append(pairs[i].value);
    }
    map_->add_text(joined, blocks);
  } else {
    map_->add_text(text, blocks);
  }
  return Layout::nothing;
}

}  // namespace strata::detail
