#include "tar/pax_fields.hpp"

#include <algorithm>

namespace strata::detail {
namespace {

constexpr std::size_t key_count = static_cast<std::size_t>(PaxKey::count);

constexpr std::array<std::string_view, key_count> keywords{
    "path",
    "linkpath",
    "size",
    "uid",
    "gid",
    "uname",
    "gname",
    "mtime",
    "atime",
    "ctime",
    "SCHILY.devmajor",
    "SCHILY.devminor",
    "SCHILY.realsize",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.name",
    "GNU.sparse.size",
    "GNU.sparse.realsize",
    "GNU.sparse.numblocks",
    "GNU.sparse.map",
    schily_acl_access,
    schily_acl_default,
    "RHT.security.selinux",
};

constexpr std::string_view sparse_prefix = "GNU.sparse.";

}  // namespace

void PaxFields::clear() noexcept {
  known_.fill({});
  xattrs_.clear();
  encoded_xattrs_.clear();
  sparse_pairs_.clear();
  others_.clear();
}

void PaxFields::add(const PaxRecord& record) {
  const auto found = std::find(keywords.begin(), keywords.end(), record.key);
  if (found != keywords.end()) {
    known_[static_cast<std::size_t>(found - keywords.begin())] = record.value;
  } else if (record.key.starts_with(schily_xattr)) {
    xattrs_.push_back({record.key.substr(schily_xattr.size()), record.value});
  } else if (record.key.starts_with(libarchive_xattr)) {
    encoded_xattrs_.push_back({record.key.substr(libarchive_xattr.size()), record.value});
  } else if (record.key == "GNU.sparse.offset" || record.key == "GNU.sparse.numbytes") {
    sparse_pairs_.push_back(record);
  } else {
    others_.push_back(record);
  }
}

bool PaxFields::is_of_one_file(std::string_view key) noexcept {
  return key == "path" || key == "linkpath" || key == "size" || key == "SCHILY.realsize" ||
         key.starts_with(sparse_prefix);
}

}  // namespace strata::detail
