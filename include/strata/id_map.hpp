// Which ids of the host stand for those in a layer, as in /proc/PID/uid_map: for whoever unpacks for a user namespace
// without being in one.
//
//   strata::apply_flat(source, root, {.ids = {.uids = strata::IdRanges::parse("0:100000:65536"),
//                                             .gids = strata::IdRanges::parse("0:100000:65536")}});
#pragma once

#include <strata/export.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace strata {

/// A line of a uid_map or gid_map: `count` ids from `container` on, as a layer has them, are those from `host` on.
struct IdRange {
  std::uint32_t container = 0;
  std::uint32_t host = 0;
  std::uint32_t count = 0;
  friend bool operator==(const IdRange&, const IdRange&) = default;
};

/// Ranges for ids of one kind, users or groups. Without any, each id is itself. A value; what doesn't change it may be
/// called by several threads.
class STRATA_API IdRanges {
 public:
  IdRanges() = default;
  /// Throws errc::bad_argument, naming the range: where one is empty, reaches beyond 4294967294 (the highest id there
  /// is) or has an id that another has, in the container or on the host.
  explicit IdRanges(std::vector<IdRange> ranges);
  /// Reads "CONTAINER:HOST:SIZE", and several of them with ',' between. Throws errc::bad_argument as above, and where
  /// it is anything else.
  static IdRanges parse(std::string_view text);

  bool empty() const noexcept { return ranges_.empty(); }
  const std::vector<IdRange>& ranges() const noexcept { return ranges_; }

  /// nullopt: no range has it; without ranges, it is no id (a tar may hold larger numbers).
  std::optional<std::uint32_t> to_host(std::uint64_t container) const noexcept;
  std::optional<std::uint32_t> to_container(std::uint64_t host) const noexcept;

  friend bool operator==(const IdRanges&, const IdRanges&) = default;

 private:
  std::vector<IdRange> ranges_;
};

/// Both kinds.
struct IdMap {
  IdRanges uids = {};
  IdRanges gids = {};
  bool empty() const noexcept { return uids.empty() && gids.empty(); }
  friend bool operator==(const IdMap&, const IdMap&) = default;
};

}  // namespace strata
