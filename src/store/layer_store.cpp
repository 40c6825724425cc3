#include <strata/layer_store.hpp>

#include <strata/error.hpp>

#include "store/lease.hpp"
#include "store/operations.hpp"
#include "store/tag.hpp"

#include <algorithm>

namespace strata {

LayerStoreBase::LayerStoreBase(const boost::filesystem::path& root, const StoreOptions& options, HashPolicy hash,
                               std::vector<CompressionPolicy> codecs)
    : core_(std::make_shared<detail::StoreCore>(root, options, hash, std::move(codecs))) {}
LayerStoreBase::LayerStoreBase(LayerStoreBase&&) noexcept = default;
LayerStoreBase& LayerStoreBase::operator=(LayerStoreBase&&) noexcept = default;
LayerStoreBase::~LayerStoreBase() = default;

const boost::filesystem::path& LayerStoreBase::root() const noexcept { return core_->root(); }
UnionForm LayerStoreBase::form() const noexcept { return core_->form(); }
Durability LayerStoreBase::durability() const noexcept { return core_->durability(); }

ImportedLayer LayerStoreBase::import(ByteSource& source, const ImportOptions& options) {
  return detail::import_layer(*core_, source, options);
}

std::vector<ImportedLayer> LayerStoreBase::import_chain(std::span<const LayerInput> layers) {
  return detail::import_chain(*core_, layers);
}
ImportedLayer LayerStoreBase::commit(const Container& container, const CommitOptions& options) {
  return detail::commit_container(*core_, container, options);
}

std::optional<Layer> LayerStoreBase::find(const Digest& id) const { return core_->find(id); }
Layer LayerStoreBase::get(const Digest& id) const { return core_->get(id); }
std::vector<Layer> LayerStoreBase::list() const { return core_->list(); }
std::vector<Digest> LayerStoreBase::damaged_records() const {
  std::vector<Digest> damaged;
  (void)core_->list(&damaged);
  return damaged;
}

Digest LayerStoreBase::resolve(std::string_view text) const {
  if (is_tag_name(text))
    if (const auto tagged = detail::find_tag(*core_, text)) return *tagged;
  const std::string prefix = std::string(core_->hash().name) + ":";
  std::string_view digits = text;
  if (digits.starts_with(prefix)) digits.remove_prefix(prefix.size());
  const bool hex = !digits.empty() &&
                   std::ranges::all_of(digits, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!hex)
    throw_error(is_tag_name(text) ? errc::not_found : errc::bad_argument, "find the layer", quoted(text),
                "there is no tag of this name, and an id is " + prefix + "…, or its first digits in lower case");
  if (const auto whole = Digest::try_parse(prefix + std::string(digits)); whole && core_->has(*whole)) return *whole;
  std::optional<Digest> found;
  for (const Digest& id : core_->ids()) {
    if (!id.hex().starts_with(digits)) continue;
    if (found)
      throw_error(errc::bad_argument, "find the layer", quoted(text),
                  "several begin so: " + found->to_string() + ", " + id.to_string(), "give more digits");
    found = id;
  }
  if (!found)
    throw_error(errc::not_found, "find the layer", quoted(text),
                "the store " + quoted(root().native()) + " has none of this id");
  return *found;
}

std::vector<Layer> LayerStoreBase::children(const Digest& id) const {
  std::vector<Layer> layers = core_->list();
  std::erase_if(layers, [&](const Layer& layer) { return layer.parent != id; });
  return layers;
}

std::vector<Layer> LayerStoreBase::chain(const Digest& id) const {
  std::vector<Layer> layers{core_->get(id)};
  while (layers.back().parent) layers.push_back(core_->get(*layers.back().parent));
  std::ranges::reverse(layers);
  return layers;
}

void LayerStoreBase::remove(const Digest& id) { detail::remove_layer(*core_, id); }

GcResult LayerStoreBase::gc(const GcOptions& options) { return detail::collect_garbage(*core_, options); }
std::vector<Leftover> LayerStoreBase::leftovers() const { return detail::leftovers_of(*core_); }

Lease LayerStoreBase::lease(const LeaseOptions& options) { return Lease(detail::LeaseHolder::create(core_, options)); }
Lease LayerStoreBase::open_lease(std::string_view name) { return Lease(detail::LeaseHolder::open(core_, name)); }
std::vector<LeaseState> LayerStoreBase::leases() const { return detail::list_leases(*core_); }
void LayerStoreBase::remove_lease(std::string_view name) {
  if (!detail::remove_lease(*core_, std::string(name)))
    throw_error(errc::not_found, "remove", "lease " + quoted(name), "there is none");
}

void LayerStoreBase::tag(std::string_view name, const Digest& layer) { detail::set_tag(*core_, name, layer); }
void LayerStoreBase::untag(std::string_view name) { detail::remove_tag(*core_, name); }
std::vector<Tag> LayerStoreBase::tags() const { return detail::list_tags(*core_); }
std::optional<Digest> LayerStoreBase::find_tag(std::string_view name) const { return detail::find_tag(*core_, name); }

std::uint64_t LayerStoreBase::export_layer(const Digest& id, ByteSink& sink, const Control& control) const {
  return detail::export_layer(*core_, id, sink, control);
}

std::vector<std::uint64_t> LayerStoreBase::export_layers(
    std::span<const Digest> ids, const std::function<std::unique_ptr<ByteSink>(const Layer& layer)>& open,
    const Control& control) const {
  return detail::export_layers(*core_, ids, open, control);
}

VerifyResult LayerStoreBase::verify(const Digest& id, const VerifyOptions& options) const {
  return detail::verify_layer(*core_, id, options);
}
RepairResult LayerStoreBase::repair(const Digest& id, const RepairOptions& options) {
  return detail::repair_layer(*core_, id, options);
}
Report LayerStoreBase::unpack(const Digest& id, const boost::filesystem::path& directory,
                              const UnpackOptions& options) const {
  return detail::unpack_chain(*core_, id, directory, options);
}
Explanation LayerStoreBase::explain(const Digest& id, std::string_view path) const {
  return detail::explain_path(*core_, id, path);
}
std::vector<boost::filesystem::path> LayerStoreBase::lowers(const Layer& layer) const { return core_->lowers(layer); }
std::vector<Container> LayerStoreBase::containers() const { return core_->containers(); }
std::optional<Container> LayerStoreBase::find_container(std::string_view name) const {
  return core_->find_container(name);
}

}  // namespace strata
