// The parts of reading the kernel's mount table.
#pragma once

#include <strata/mount_plan.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// The text of a mountinfo file. Lines that are none are passed over.
std::vector<MountedEntry> parse_mount_table(std::string_view text);
/// "a\040b" to "a b": how the kernel writes bytes that would end a field.
std::string unescape_octal(std::string_view text);
/// The value of an option in a list as the table shows it ("" for a flag).
std::optional<std::string_view> mount_option(std::string_view options, std::string_view name);

/// The directories of an overlay, from its options as the table shows them: layers one by one ("lowerdir+",
/// "datadir+"), or a list, in which ':' separates, and "::" comes before each that is data-only.
struct OverlayLayers {
  std::vector<boost::filesystem::path> lowers, data_only;
  boost::filesystem::path upper, work;
};
OverlayLayers overlay_layers(std::string_view options);

/// The source of the mount whose root is at `target`, topmost there, without a look at the whole table. nullopt: the
/// kernel can't say (before Linux 6.14), or none is.
std::optional<std::string> source_at(const boost::filesystem::path& target);

}  // namespace strata::detail
