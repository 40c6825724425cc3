// AUFS, branches with `+wh`: ".wh.NAME" hides NAME, ".wh..wh..opq" all that is below its directory. Other names that
// begin with ".wh..wh." are its own: hardlinks in ".wh..wh.plnk", orphans, the file that whiteouts are links to. A
// device 0:0 is a device, and no attribute is a mark.
#include "tree/forms/families.hpp"

namespace strata::detail {
namespace {

class AufsForm final : public LayerForm {
 public:
  std::vector<DirectoryEntry> list(int dir, const std::string&, std::string_view shown) const override {
    return with_hidden_names(list_directory(dir, shown));
  }

  Found look(int dir, const std::string&, const std::string& name, std::string_view shown) const override {
    if (name.starts_with(whiteout_prefix)) return {};
    if (exists_beneath(dir, whiteout_name(name), shown)) return {.entry = std::nullopt, .hides = true};
    Found found{try_stat(dir, name, shown)};
    found.hides =
        found.entry && found.entry->is_directory() && exists_beneath(dir, name + "/" + std::string(opaque_name), shown);
    return found;
  }

  std::string objection(const std::string&, const std::string& name, const Metadata&) const override {
    return objection_to_whiteout_name(name);
  }
  int write_whiteout(int dir, const std::string&, const std::string& name) override {
    return write_empty_file(dir, whiteout_name(name), 0444);
  }
  int write_opaque(int dir, const std::string&) override {
    return write_empty_file(dir, std::string(opaque_name), 0444);
  }
};

}  // namespace

std::shared_ptr<LayerForm> aufs_form() { return std::make_shared<AufsForm>(); }

}  // namespace strata::detail
