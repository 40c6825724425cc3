// Whether two views show the same files, in everything that a layer can carry.
#pragma once

#include "diff/linked_names.hpp"
#include "tree/merged_view.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

namespace strata::detail {

struct SameViews {
  /// Names of the expected view that show another file than it says (outside_names()).
  std::map<std::string, OutsideName> instead;
  /// Names that the other view may lack.
  std::set<std::string> missing;
  /// Expected times after this (seconds since 1970) may have become this.
  std::optional<std::int64_t> latest_time;
  std::stop_token stop;

  /// Compares all but the root: names, types, modes, owners, times, sizes, devices, targets, xattrs, bytes, and which
  /// names are one file. Sockets and devices 0:0 are passed over (D11). Throws errc::damaged with the first name that
  /// differs, and in what.
  void check(const MergedView& expected, const MergedView& other) const;
  /// How the attributes of two files differ; empty: not at all.
  std::string difference(const Metadata& expected, const Xattrs& expected_xattrs, const Metadata& other,
                         const Xattrs& other_xattrs) const;
};

/// Throws the errc::damaged that check() throws.
[[noreturn]] void throw_unproved(const std::string& path, const std::string& difference);

}  // namespace strata::detail
