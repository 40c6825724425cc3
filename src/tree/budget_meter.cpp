#include "tree/budget_meter.hpp"

#include <strata/error.hpp>

#include "base/budget.hpp"

#include <algorithm>

namespace strata::detail {

namespace {

std::string bytes(std::uint64_t number) { return std::to_string(number) + " bytes"; }

}  // namespace

void BudgetMeter::entry(const TarEntry& entry, const EntryPath& path) {
  if (++entries_ > budget_.entries)
    throw_over_budget(budget_, &Budget::entries, quoted(entry.path), "it is entry " + std::to_string(entries_));
  names(entry, path);
  if (!entry.xattrs.empty()) xattrs(entry);
  if (entry.type == TarType::file) content(entry.path, entry.stored_size, entry.size);
}

void BudgetMeter::names(const TarEntry& entry, const EntryPath& path) const {
  if (path.names.size() > budget_.depth)
    throw_over_budget(budget_, &Budget::depth, quoted(entry.path),
                      "its path has " + std::to_string(path.names.size()) + " names");
  std::size_t total = path.names.empty() ? 0 : path.names.size() - 1;
  for (const std::string_view name : path.names) {
    total += name.size();
    if (name.size() > budget_.name_bytes)
      throw_over_budget(budget_, &Budget::name_bytes, quoted(entry.path), "a name in it has " + bytes(name.size()));
  }
  if (total > budget_.path_bytes)
    throw_over_budget(budget_, &Budget::path_bytes, quoted(entry.path), "its path has " + bytes(total));
  if (entry.link.size() > budget_.path_bytes)
    throw_over_budget(budget_, &Budget::path_bytes, quoted(entry.path), "its target has " + bytes(entry.link.size()));
}

void BudgetMeter::xattrs(const TarEntry& entry) {
  std::uint64_t own = 0;
  for (const auto& [name, value] : entry.xattrs) own += name.size() + value.size();
  if (own > budget_.entry_xattr_bytes)
    throw_over_budget(budget_, &Budget::entry_xattr_bytes, quoted(entry.path), "its attributes have " + bytes(own));
  xattr_bytes_ += own;
  if (xattr_bytes_ > budget_.xattr_bytes)
    throw_over_budget(budget_, &Budget::xattr_bytes, quoted(entry.path),
                      "with it the layer has attributes of " + bytes(xattr_bytes_));
}

void BudgetMeter::content(const std::string& path, std::uint64_t stored, std::uint64_t apparent) {
  stored_ = add_capped(stored_, stored);
  apparent_ = add_capped(apparent_, apparent);
  if (stored_ > budget_.file_bytes)
    throw_over_budget(budget_, &Budget::file_bytes, quoted(path), "with it the layer's files have " + bytes(stored_));
  if (apparent_ > budget_.apparent_bytes)
    throw_over_budget(budget_, &Budget::apparent_bytes, quoted(path),
                      "with it the layer's files have " + bytes(apparent_) + " with their holes");
}

void BudgetMeter::depth(std::string_view directory, bool holds) const {
  const std::uint64_t names = static_cast<std::uint64_t>(std::ranges::count(directory, '/')) +
                              (directory.empty() ? 0U : 1U) + (holds ? 1U : 0U);
  if (names > budget_.depth)
    throw_over_budget(budget_, &Budget::depth, quoted(directory),
                      "symlinks lead to where paths have " + std::to_string(names) + " names");
}

void BudgetMeter::memory(std::uint64_t used, const std::string& path) const {
  if (used > budget_.memory)
    throw_over_budget(budget_, &Budget::memory, quoted(path), "with it the layer's names take " + bytes(used));
}

}  // namespace strata::detail
