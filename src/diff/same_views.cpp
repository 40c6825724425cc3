#include "diff/same_views.hpp"

#include "diff/compare.hpp"

#include <strata/error.hpp>

#include <array>
#include <cstdio>
#include <vector>

namespace strata::detail {
namespace {

using Entry = MergedView::Entry;

std::string octal(mode_t mode) {
  std::array<char, 16> text;
  std::snprintf(text.data(), text.size(), "%07o", static_cast<unsigned>(mode));
  return text.data();
}

std::string text_of(const Timestamp& time) {
  std::array<char, 48> text;
  std::snprintf(text.data(), text.size(), "%lld.%09u", static_cast<long long>(time.seconds), time.nanoseconds);
  return text.data();
}

std::string instead_of(const char* what, const std::string& other, const std::string& expected) {
  return std::string("its ") + what + " is " + other + " instead of " + expected;
}

/// Says for each name of a file with several which was the first.
class FirstNames {
 public:
  const std::string& of(const std::string& path, const Metadata& metadata) {
    if (metadata.links == 1) return path;
    return first_.try_emplace({metadata.device, metadata.inode}, path).first->second;
  }

 private:
  std::map<std::pair<dev_t, ino_t>, std::string> first_;
};

}  // namespace

void throw_unproved(const std::string& path, const std::string& difference) {
  throw_error(errc::damaged, "prove the layer at", quoted(path), difference,
              "see that nothing changes meanwhile, and write it again");
}

std::string SameViews::difference(const Metadata& expected, const Xattrs& expected_xattrs, const Metadata& other,
                                  const Xattrs& other_xattrs) const {
  if (expected.mode != other.mode) return instead_of("mode", octal(other.mode), octal(expected.mode));
  if (expected.uid != other.uid || expected.gid != other.gid)
    return instead_of("owner", std::to_string(other.uid) + ":" + std::to_string(other.gid),
                      std::to_string(expected.uid) + ":" + std::to_string(expected.gid));
  const bool clamped = latest_time && Timestamp{*latest_time, 0} < expected.mtime;
  if (expected.mtime != other.mtime && !(clamped && other.mtime == Timestamp{*latest_time, 0}))
    return instead_of("time", text_of(other.mtime), text_of(expected.mtime));
  if (expected.is_file() && expected.size != other.size)
    return instead_of("size", std::to_string(other.size), std::to_string(expected.size));
  if ((S_ISCHR(expected.mode) || S_ISBLK(expected.mode)) && expected.rdev != other.rdev) return "it is another device";
  for (const auto& [name, value] : expected_xattrs) {
    const auto found = other_xattrs.find(name);
    if (found == other_xattrs.end()) return "it lacks the attribute " + quoted(name);
    if (found->second != value) return "its attribute " + quoted(name) + " has another value";
  }
  for (const auto& [name, value] : other_xattrs)
    if (!expected_xattrs.contains(name)) return "it has an attribute " + quoted(name);
  return {};
}

void SameViews::check(const MergedView& expected, const MergedView& other) const {
  struct Level {
    std::string path;  ///< "" or ending in '/'
    Entry expected, other;
  };
  FirstNames first, other_first;
  const auto carried = [](const Entry& entry) {
    return !S_ISSOCK(entry.metadata.mode) && !entry.metadata.is_whiteout();
  };
  const auto compare = [&](const std::string& path, const Seen& is, const Seen& was) {
    if (std::string differs = difference(was.entry.metadata, layer_xattrs(was), is.entry.metadata, layer_xattrs(is));
        !differs.empty())
      throw_unproved(path, differs);
    const Metadata& metadata = was.entry.metadata;
    if (metadata.is_directory()) return;
    if (metadata.is_symlink() && was.view.link_target(was.entry) != is.view.link_target(is.entry))
      throw_unproved(path, "it leads elsewhere");
    const std::string& one = first.of(path, metadata);
    if (const std::string& two = other_first.of(path, is.entry.metadata); one != two)
      throw_unproved(path, "it is one file with " + quoted(two) + " instead of " + quoted(one));
    if (metadata.is_file() && !same_content(was, is, stop)) throw_unproved(path, "it has other bytes");
  };
  std::vector<Level> levels;
  levels.push_back({"", expected.root().value(), other.root().value()});
  while (!levels.empty()) {
    const Level level = std::move(levels.back());
    levels.pop_back();
    if (stop.stop_requested()) throw_error(errc::cancelled, "prove", "the layer");
    auto others = other.list(level.other);
    auto at = others.begin();
    const auto pass_until = [&](const std::string* name) {
      for (; at != others.end() && (name == nullptr || at->first < *name); ++at)
        if (carried(at->second)) throw_unproved(level.path + at->first, "it should not be there");
    };
    for (const auto& [name, entry] : expected.list(level.expected)) {
      const std::string path = level.path + name;
      const auto found = instead.find(path);
      const Seen was = found == instead.end() ? Seen{expected, entry} : Seen{*found->second.view, found->second.entry};
      pass_until(&name);
      const bool there = at != others.end() && at->first == name;
      if (!carried(was.entry)) {
        if (there && carried(at->second)) throw_unproved(path, "it should not be there");
        if (there) ++at;
        continue;
      }
      if (missing.contains(path) && !there) continue;
      if (!there || !carried(at->second)) throw_unproved(path, "it isn't there");
      compare(path, {other, at->second}, was);
      if (was.entry.metadata.is_directory()) levels.push_back({path + '/', was.entry, std::move(at->second)});
      ++at;
    }
    pass_until(nullptr);
  }
}

}  // namespace strata::detail
