#include "manager/step_cache.hpp"

#include <strata/error.hpp>
#include <strata/hash.hpp>

#include "base/files.hpp"
#include "store/core.hpp"
#include "sys.hpp"
#include "tree/directory.hpp"

namespace strata::detail {

namespace {

constexpr const char* folder = "steps";
constexpr std::string_view draft_prefix = "draft-";

FileDescriptor open_folder(const StoreCore& core) {
  make_directory(core.root_descriptor(), folder);
  return open_beneath(core.root_descriptor(), folder, O_RDONLY | O_DIRECTORY, core.root().native());
}

std::string name_of(const std::optional<Digest>& parent, const std::string& key) {
  const std::string text = (parent ? parent->to_string() : "scratch") + '\n' + key;
  return digest_of<Sha256>(std::as_bytes(std::span(text))).hex();
}

}  // namespace

StepCache::StepCache(const LayerStoreBase& store) : core_(store.core()), directory_(open_folder(*core_)) {}

std::optional<Digest> StepCache::find(const std::optional<Digest>& parent, const std::string& key) const {
  const auto text = read_note(directory_.get(), name_of(parent, key));
  const auto layer = text ? Digest::try_parse(*text) : std::nullopt;
  if (!layer) return std::nullopt;
  const auto found = core_->find_undamaged(*layer);
  // A layer elsewhere would be another root: what is noted is no promise.
  return found && found->parent == parent ? layer : std::nullopt;
}

void StepCache::note(const std::optional<Digest>& parent, const std::string& key, const Digest& layer) const {
  const std::string draft = std::string(draft_prefix) + random_name();
  core_->write_note(directory_.get(), draft, layer.to_string());
  if (sys::renameat2(directory_.get(), draft.c_str(), directory_.get(), name_of(parent, key).c_str(), 0) != 0) {
    if (errno == ENOENT) return;  // another build has swept it away; the step is made once more
    throw_errno(errno, "note", "a step of a build");
  }
  core_->sync(directory_.get(), folder);
}

void StepCache::sweep() const {
  for (const DirectoryEntry& entry : list_directory(directory_.get())) {
    const auto text = read_note(directory_.get(), entry.name);
    const auto layer = text ? Digest::try_parse(*text) : std::nullopt;
    if (layer && core_->find_undamaged(*layer) && !entry.name.starts_with(draft_prefix)) continue;
    // Another builder may be about to give a draft its name; it then notes the step the next time.
    sys::unlinkat(directory_.get(), entry.name.c_str(), 0);
  }
}

}  // namespace strata::detail
