#include <strata/error.hpp>
#include <strata/image_builder.hpp>

#include "manager/build_container.hpp"
#include "manager/build_time.hpp"
#include "manager/copied_files.hpp"
#include "manager/grown_image.hpp"
#include "manager/step_cache.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace strata {

namespace {

using detail::BuildContainer;
using detail::BuildTime;
using detail::CopiedFiles;
using detail::CopyTarget;
using detail::StepCache;

/// What makes a layer: how it is told to people, what it depends on, what it does to a root.
struct Action {
  std::string told;        ///< "copy app/ to /srv/app"
  std::string created_by;  ///< "COPY app/ /srv/app"
  std::string key;
  std::function<void(const boost::filesystem::path& root)> work;
};

struct Step {
  std::function<Action(const BuildTime& time, const std::stop_token& stop)> action = {};
  std::function<void(ImageConfig&)> config = {};
};

Step copy_step(const boost::filesystem::path& from, const std::string& to, unsigned user, unsigned group) {
  return {.action = [=](const BuildTime& time, const std::stop_token& stop) {
    const auto files = std::make_shared<CopiedFiles>(from);
    CopyTarget target{.to = to, .user = user, .group = group};
    if (time.fixed) target.time = time.time;
    const std::string key = files->key(target, stop).to_string();
    std::string owner =
        user == 0 && group == 0 ? "" : "--chown=" + std::to_string(user) + ':' + std::to_string(group) + ' ';
    return Action{.told = "copy " + from.native() + " to " + to,
                  .created_by = "COPY " + owner + from.native() + ' ' + to,
                  .key = "copy\n" + key,
                  .work = [=](const boost::filesystem::path& root) {
                    files->copy(root, target, stop);
                    // Else what was copied would be taken for what the key says, the next time.
                    if (files->key(target, stop).to_string() != key)
                      throw_error(errc::damaged, "copy", quoted(from.native()), "it changed while it was copied");
                  }};
  }};
}

}  // namespace

struct ImageBuilder::Impl {
  LayerManagerBase* manager;
  std::string base;
  std::function<Image(std::string_view)> pull;
  std::vector<Step> steps = {};

  Image base_image() const {
    const auto found = manager->images().find(base);
    if (!found) return pull(base);
    manager->images().touch(found->digest);
    return *found;
  }
};

/// One build: the layers so far, and what keeps them from gc().
class ImageBuilder::Build {
 public:
  Build(LayerManagerBase& manager, const BuildOptions& options)
      : options_(options),
        store_(manager.store_),
        mounter_(manager.mounter_),
        lease_(store_.lease()),
        cache_(store_),
        time_(BuildTime::of(options.created)) {
    BuildContainer::sweep(store_, mounter_);
  }

  void begin_with(const Image& base) {
    lease_.add(base.layer);
    image_ = detail::GrownImage(base);
    top_ = base.layer;
  }

  void take(const Step& step) {
    const std::stop_token& stop = options_.control.stop;
    if (stop.stop_requested()) throw_error(errc::cancelled, "build", "an image");
    if (step.config) return image_.change(step.config);
    const Action action = step.action(time_, stop);
    const std::string key = time_.fixed ? action.key + '\n' + time_.text : action.key;
    std::optional<Layer> layer = options_.use_cache ? cached(key) : std::nullopt;
    if (options_.on_step) options_.on_step(action.told, layer.has_value());
    if (!layer) {
      layer = make(action);
      cache_.note(top_, key, layer->id);
    }
    image_.add(*layer, {.created = time_.text, .created_by = action.created_by, .author = options_.author});
    top_ = layer->id;
  }

  Image finish(const ImageStore& images, const std::string& name) {
    if (!top_)
      throw_error(errc::bad_argument, "build", "an image", "it has no layers", "give it a step that makes one");
    image_.date(time_.text, options_.author);
    const NewImage image = image_.finish(name);
    cache_.sweep();
    return images.add(image);
  }

 private:
  std::optional<Layer> cached(const std::string& key) const {
    const auto found = cache_.find(top_, key);
    if (!found) return std::nullopt;
    try {
      lease_.add(*found);
      return store_.get(*found);
    } catch (const Error& error) {  // gc() was faster
      if (error.code() != errc::not_found) throw;
      return std::nullopt;
    }
  }

  Layer make(const Action& action) {
    MountOptions mount = options_.mount;
    mount.control.stop = options_.control.stop;
    const BuildContainer container(store_, mounter_, top_ ? *top_ : nothing(), mount);
    action.work(container.root().path());
    const CommitOptions commit{.author = options_.author,
                               .comment = action.created_by,
                               .created = time_.text,
                               .lease = &lease_,
                               .latest_time = time_.time.seconds,
                               .control = options_.control};
    const Layer layer = store_.commit(container.root(), commit);
    return top_ ? layer : alone(layer, container.root().container().directory / "layer.tar");
  }

  /// What a container stands on where there is no layer: one without an entry.
  Digest nothing() {
    struct EmptyTar final : ByteSource {
      std::size_t read(std::span<std::byte> into) override {
        const std::size_t n = std::min(left, into.size());
        std::ranges::fill(into.first(n), std::byte{});
        left -= n;
        return n;
      }
      std::size_t left = 2 * tar_block;
    } tar;
    return store_.import(tar, {.lease = &lease_}).id;
  }

  /// The layer without the empty one below it; `file` is where its tar can be for a moment.
  Layer alone(const Layer& layer, const boost::filesystem::path& file) {
    FileSink sink = create_file(file);
    store_.export_layer(layer.id, sink, options_.control);
    return store_.import(open_file(file), {.author = layer.author,
                                           .comment = layer.comment,
                                           .created = layer.created,
                                           .expected_diff_id = layer.diff_id(),
                                           .lease = &lease_,
                                           .budget = Budget::none(),
                                           .control = options_.control});
  }

  const BuildOptions& options_;
  LayerStoreBase& store_;
  const detail::MounterPolicy& mounter_;
  Lease lease_;
  StepCache cache_;
  BuildTime time_;
  detail::GrownImage image_;
  std::optional<Digest> top_;
};

ImageBuilder::ImageBuilder(LayerManagerBase& manager, std::string_view base,
                           std::function<Image(std::string_view name)> pull)
    : impl_(std::make_unique<Impl>(Impl{.manager = &manager, .base = std::string(base), .pull = std::move(pull)})) {}
ImageBuilder::ImageBuilder(ImageBuilder&&) noexcept = default;
ImageBuilder& ImageBuilder::operator=(ImageBuilder&&) noexcept = default;
ImageBuilder::~ImageBuilder() = default;

ImageBuilder& ImageBuilder::run(std::string key, std::function<void(const boost::filesystem::path& root)> change) {
  impl_->steps.push_back(
      {.action = [key = std::move(key), change = std::move(change)](const BuildTime&, const std::stop_token&) {
        return Action{.told = "run " + key, .created_by = "RUN " + key, .key = "run\n" + key, .work = change};
      }});
  return *this;
}

ImageBuilder& ImageBuilder::copy(boost::filesystem::path from, std::string to, unsigned user, unsigned group) {
  impl_->steps.push_back(copy_step(from, to, user, group));
  return *this;
}

ImageBuilder& ImageBuilder::config(std::function<void(ImageConfig&)> change) {
  impl_->steps.push_back({.config = std::move(change)});
  return *this;
}

Image ImageBuilder::build(std::string_view name, const BuildOptions& options) {
  Build build(*impl_->manager, options);
  if (impl_->base != "scratch") build.begin_with(impl_->base_image());
  for (const Step& step : impl_->steps) build.take(step);
  return build.finish(impl_->manager->images(), std::string(name));
}

}  // namespace strata
