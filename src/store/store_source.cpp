#include <strata/error.hpp>
#include <strata/image_store.hpp>

#include "store/image_record.hpp"
#include "store/kept_blob.hpp"
#include "tree/directory.hpp"
#include "tree/recipe.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace strata {

namespace {

using detail::StoreCore;

/// A stored layer's tar, from an offset on.
class TarOfLayer final : public ByteSource {
 public:
  TarOfLayer(const StoreCore& core, const Layer& layer, std::uint64_t skip, std::stop_token stop)
      : tree_(detail::open_directory(core.tree_directory(layer.tree()))),
        tar_(tree_.get()),
        skip_(skip),
        size_(layer.tar_size - std::min(layer.tar_size, skip)),
        name_("layer " + layer.id.to_string()),
        stop_(std::move(stop)) {}

  std::size_t read(std::span<std::byte> into) override {
    for (;;) {
      if (stop_.stop_requested()) throw_error(errc::cancelled, "read", name_);
      const std::size_t n = tar_.read(into);
      const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(n, skip_));
      skip_ -= skipped;
      if (skipped == 0) return n;
      std::copy(into.begin() + static_cast<std::ptrdiff_t>(skipped), into.begin() + static_cast<std::ptrdiff_t>(n),
                into.begin());
      if (n != skipped) return n - skipped;
    }
  }
  std::optional<std::uint64_t> size() const override { return size_; }
  std::string name() const override { return name_; }

 private:
  FileDescriptor tree_;
  detail::RecipeSource tar_;
  std::uint64_t skip_, size_;
  std::string name_;
  std::stop_token stop_;
};

/// A text of its own, from an offset on.
class TextSource final : public ByteSource {
 public:
  TextSource(std::string text, std::uint64_t skip)
      : text_(std::move(text)),
        rest_(std::string_view(text_).substr(static_cast<std::size_t>(std::min<std::uint64_t>(skip, text_.size())))) {}
  std::size_t read(std::span<std::byte> into) override { return rest_.read(into); }
  std::optional<std::uint64_t> size() const override { return rest_.size(); }

 private:
  const std::string text_;
  MemorySource rest_;
};

/// A file from where it stands, until it is cancelled.
class BlobFile final : public ByteSource {
 public:
  BlobFile(FileDescriptor fd, std::string name, std::stop_token stop)
      : file_(std::move(fd), std::move(name)), stop_(std::move(stop)) {}
  std::size_t read(std::span<std::byte> into) override {
    if (stop_.stop_requested()) throw_error(errc::cancelled, "read", name());
    return file_.read(into);
  }
  std::optional<std::uint64_t> size() const override { return file_.size(); }
  std::string name() const override { return file_.name(); }

 private:
  FileSource file_;
  std::stop_token stop_;
};

std::unique_ptr<ByteSource> open_kept(const StoreCore& core, const Digest& blob, std::uint64_t offset,
                                      const std::stop_token& stop) {
  FileDescriptor fd = open_kept_blob(core, blob);
  if (!fd) return nullptr;
  if (sys::lseek(fd.get(), static_cast<off_t>(offset), SEEK_SET) < 0)
    throw_errno(errno, "read the kept blob", blob.to_string());
  return std::make_unique<BlobFile>(std::move(fd), "the kept blob " + blob.to_string(), stop);
}

}  // namespace

StoreSource::StoreSource(const LayerStoreBase& store, Image image) : core_(store.core()), image_(std::move(image)) {}

std::string StoreSource::name() const {
  return "image " + (image_.names.empty() ? image_.digest.to_string() : quoted(image_.names.front()));
}

Document StoreSource::top(const std::stop_token&) { return image_.manifest; }

Document StoreSource::document(const Descriptor& descriptor, const std::stop_token&) {
  for (const Document* document : {&image_.manifest, &image_.config})
    if (document->digest == descriptor.digest) return Document::checked(document->bytes, descriptor, name());
  throw_error(errc::not_found, "read " + descriptor.digest.to_string() + " of", name(),
              "it isn't the image's manifest or config");
}

std::unique_ptr<ByteSource> StoreSource::open(const Descriptor& blob, std::uint64_t offset,
                                              const std::stop_token& stop) {
  for (const Document* document : {&image_.manifest, &image_.config})
    if (document->digest == blob.digest) return std::make_unique<TextSource>(document->bytes, offset);
  if (auto kept = open_kept(*core_, blob.digest, offset, stop)) return kept;
  const Layer top = core_->get(image_.layer);
  for (std::optional<Layer> layer = top; layer; layer = layer->parent ? core_->find(*layer->parent) : std::nullopt)
    if (layer->diff_id() == blob.digest) return std::make_unique<TarOfLayer>(*core_, *layer, offset, stop);
  throw_error(errc::not_found, "read the blob " + blob.digest.to_string() + " of", name(),
              "it was compressed, and isn't kept", "pull the image with its blobs kept, or have them made anew");
}

}  // namespace strata
