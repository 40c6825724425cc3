// The kernel's mount table, and what stands in it: any text is read, and what was read is read again from its own line.
#include "mount/mount_table.hpp"
#include "fuzz/fuzz.hpp"

#include <algorithm>

using namespace strata;
using namespace strata::detail;
using namespace strata::test;

namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    char octal[8];
    std::snprintf(octal, sizeof octal, "\\%03o", static_cast<unsigned>(byte));
    out += (byte >= 'a' && byte <= 'z') || byte >= 0x80 ? std::string(1, c) : octal;
  }
  return out;
}

std::string line_of(const MountedEntry& entry) {
  return std::to_string(entry.id) + " 1 0:1 / " + escaped(entry.target.native()) + (entry.read_only ? " ro" : " rw") +
         " shared:1 - " + escaped(entry.type) + " " + escaped(entry.source) + " " + entry.options + "\n";
}

void check_options(const std::string& options) {
  for (const std::string_view name : {"ro", "lowerdir", "upperdir", ""}) {
    const auto value = mount_option(options, name);
    if (!value || (name.empty() && value->empty())) continue;
    const std::string spelled = std::string(name) + (value->empty() ? "" : "=" + std::string(*value));
    require(("," + options).find("," + spelled) != std::string::npos, options);
    require(value->find(',') == value->npos, options);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string plain = unescape_octal(text);
  require(plain.size() <= text.size());
  require(text.find('\\') != text.npos || plain == text);
  require(unescape_octal(escaped(text)) == text);

  const auto entries = parse_mount_table(text);
  require(entries.size() <= static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1);
  for (const MountedEntry& entry : entries) {
    check_options(entry.options);
    const auto again = parse_mount_table(line_of(entry));
    require(again.size() == 1, line_of(entry));
    require(again[0].id == entry.id && again[0].target == entry.target && again[0].type == entry.type &&
                again[0].source == entry.source && again[0].options == entry.options &&
                again[0].read_only == entry.read_only,
            line_of(entry));
  }
  return 0;
}
