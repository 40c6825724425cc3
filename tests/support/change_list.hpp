// Changes as text, for tests of what is told in which order.
#pragma once

#include "diff/changes.hpp"

#include <string>

namespace strata::test {

/// One line for each entry: its path, and for anything but files and directories what it is.
class ChangeList final : public detail::ChangeSink {
 public:
  void add(const TarEntry& entry) override {
    text += entry.path;
    if (entry.type == TarType::hardlink) text += " = " + entry.link;
    if (entry.type == TarType::symlink) text += " -> " + entry.link;
    text += "\n";
    entries.push_back(entry);
  }
  void content(std::span<const std::byte> bytes) override { read += bytes.size(); }
  void zeros(std::uint64_t size) override { holes += size; }

  std::string text;
  std::vector<TarEntry> entries;
  std::uint64_t read = 0;
  std::uint64_t holes = 0;
};

}  // namespace strata::test
