// From a header block, and the extension headers before it, to a TarEntry. Where several say the same thing: the PAX
// header of the entry wins over global records, those over the header block; of several PAX headers the last
// one counts alone; GNU long names win over PAX paths; the name in a sparse record wins over all. That is how Go's
// reader decides, and with it the tools that made and read most layers.
#pragma once

#include "tar/header.hpp"
#include "tar/pax_fields.hpp"
#include "tar/sparse.hpp"

#include <strata/tar.hpp>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace strata::detail {

/// What follows a header block.
struct Layout {
  enum Before { nothing, sparse_blocks, sparse_text, listing };
  std::uint64_t size = 0;  ///< bytes after the header (and its sparse blocks), padding not counted
  Before before_content = nothing;
};

/// A size that can be padded to whole blocks within 63 bits. Throws Malformed.
std::uint64_t content_size(std::optional<std::int64_t> number);

/// Throws Malformed. Fills one TarEntry again and again, so that its strings keep their memory.
class EntryDecoder {
 public:
  EntryDecoder(TarEntry& entry, const TarLimits& limits) : entry_(entry), limits_(limits) {}

  void report_to(Report* report) noexcept { report_ = report; }
  /// Forgets what came before an entry, but for global records.
  void clear() noexcept;
  /// The payload of an extension header ('x', 'X', 'g', 'L', 'K'), whose memory may be swapped away.
  void extension(char type, std::string& payload);
  bool has_extensions() const noexcept { return has_pax_ || long_name_ || long_link_; }

  Layout decode(const HeaderBlock& header);
  /// Where the layout says that a map follows: to be filled.
  SparseMap& sparse_map() noexcept { return *map_; }
  /// Once the map is whole and stored_size is known.
  void finish() const;

 private:
  void add_global(const PaxRecord& record);
  void collect_fields();
  std::int64_t number(const HeaderBlock& header, Field where, const char* name) const;
  std::optional<std::int64_t> pax_number(PaxKey key, const char* name) const;
  std::optional<Timestamp> pax_time(PaxKey key, const char* name) const;
  void check_type(char flag) const;
  void set_names(const HeaderBlock& header);
  void set_owner(const HeaderBlock& header, Dialect dialect);
  void set_times(const HeaderBlock& header, Dialect dialect);
  void set_header_times(const HeaderBlock& header, Field atime, Field ctime);
  void set_device(const HeaderBlock& header, Dialect dialect);
  void set_xattrs();
  void set_acl(PaxKey key, std::string_view xattr);
  void set_other_records();
  Layout::Before set_sparse(const HeaderBlock& header, Dialect dialect);
  Layout::Before set_header_sparse(const HeaderBlock& header, Dialect dialect);
  Layout::Before set_pax_sparse();
  void note(std::string action) const;

  TarEntry& entry_;
  const TarLimits limits_;
  Report* report_ = nullptr;
  PaxFields fields_;
  std::string pax_payload_;
  std::vector<PaxRecord> pax_;
  bool has_pax_ = false;
  std::optional<std::string> long_name_;
  std::optional<std::string> long_link_;
  std::map<std::string, std::string, std::less<>> globals_;
  std::optional<SparseMap> map_;
};

}  // namespace strata::detail
