// Text for people: tables, sizes, short ids, and names that are safe to show.
#pragma once

#include <strata/digest.hpp>

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace layerctl {

/// Text from outside, on one line and harmless to a terminal: as it is where that holds, else as strata::quoted().
std::string shown(std::string_view text);
/// "0 B", "17.3 MiB"
std::string human_size(std::uint64_t bytes);
/// "17", "17K", "2M", "1G", "3T", powers of 1,024; nullopt for anything else, and for more than 64 bits hold.
std::optional<std::uint64_t> parse_size(std::string_view text);
/// The first twelve hexadecimal digits.
std::string short_id(const strata::Digest& id);

/// Columns as wide as their widest cell, two spaces apart.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace layerctl
