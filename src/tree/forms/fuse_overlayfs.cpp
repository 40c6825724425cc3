// fuse-overlayfs (1.10). It reads devices 0:0 and ".wh.NAME"; a directory is opaque by ".wh..wh..opq" or by an
// attribute "opaque" in any of three namespaces, and so is a root. Beside ".wh..wh..opq" it writes a device ".wh..opq",
// which by its name hides ".opq". Whiteouts as attributes, redirects and metacopy it doesn't know.
#include "tree/forms/families.hpp"

#include <strata/error.hpp>

#include <array>

namespace strata::detail {
namespace {

constexpr std::array<std::string_view, 3> prefixes = {"trusted.overlay.", "user.overlay.", "user.fuseoverlayfs."};

class FuseOverlayfsForm final : public LayerForm {
 public:
  explicit FuseOverlayfsForm(int root) : root_(root) {}

  std::vector<DirectoryEntry> list(int dir, const std::string&, std::string_view shown) const override {
    return with_hidden_names(list_directory(dir, shown));
  }

  Found look(int dir, const std::string&, const std::string& name, std::string_view shown) const override {
    if (name.starts_with(whiteout_prefix)) return {};
    constexpr auto whiteout = [] { return Found{.entry = std::nullopt, .hides = true}; };
    if (exists_beneath(dir, whiteout_name(name), shown)) return whiteout();
    Found found{try_stat(dir, name, shown)};
    if (!found.entry) return found;
    if (found.entry->is_whiteout()) return whiteout();
    found.hides = found.entry->is_directory() &&
                  (exists_beneath(dir, name + "/" + std::string(opaque_name), shown) || is_marked(dir, name, shown));
    return found;
  }

  bool root_hides() const override {
    return exists_beneath(root_, std::string(opaque_name), {}) || is_marked(root_, {}, {});
  }

  Owner owner(std::string_view attribute) const override {
    for (const std::string_view prefix : prefixes) {
      if (!attribute.starts_with(prefix)) continue;
      const std::string_view mark = attribute.substr(prefix.size());
      // The last of them has a file's owner and mode, where a mount without privileges keeps them.
      return mark == "redirect" || mark == "metacopy" || mark == "override_stat" ? Owner::binding : Owner::form;
    }
    return Owner::file;
  }

  std::string objection(const std::string&, const std::string& name, const Metadata& metadata) const override {
    const std::string by_name = objection_to_whiteout_name(name);
    return by_name.empty() ? objection_to_whiteout_device(metadata) : by_name;
  }

  int write_whiteout(int dir, const std::string&, const std::string& name) override {
    if (sys::mknodat(dir, name.c_str(), S_IFCHR, 0) == 0) return 0;
    // Inside an overlay there is no such device.
    return errno == EPERM ? write_empty_file(dir, whiteout_name(name), 0444) : -1;
  }
  /// By a name, which needs no attribute that a user or a filesystem may refuse.
  int write_opaque(int dir, const std::string&) override {
    return write_empty_file(dir, std::string(opaque_name), 0444);
  }

 private:
  static bool is_marked(int dir, const std::string& name, std::string_view shown) {
    for (const std::string_view prefix : prefixes)
      if (const auto value = read_xattr(dir, name, std::string(prefix) + "opaque", shown);
          value && value->starts_with('y'))
        return true;
    return false;
  }

  const int root_;
};

}  // namespace

std::shared_ptr<LayerForm> fuse_overlayfs_form(int root) { return std::make_shared<FuseOverlayfsForm>(root); }

}  // namespace strata::detail
