#include "manager.hpp"

#include <algorithm>
#include <iostream>

namespace layerctl {

strata::LayerManager<> make_manager(const Session& session, strata::LayerStore<>& store, strata::AnyMounter mounter,
                                    const strata::TransportOptions& transports) {
  if (session.cache_limit)
    return {
        store, std::move(mounter), {.options = transports}, strata::LeastRecentlyUsed{.limit = *session.cache_limit}};
  return {store, std::move(mounter), {.options = transports}};
}

std::string name_meant(const strata::Image& image, const std::string& text) {
  const auto has = [&](const std::string& name) { return std::ranges::count(image.names, name) != 0; };
  if (has(text)) return text;
  try {
    if (const std::string whole = strata::ImageReference::parse(text).to_string(); has(whole)) return whole;
  } catch (const strata::Error&) {  // no reference: a digest's first digits, say
  }
  return {};
}

Json json_of(const strata::Image& image) {
  const auto manifest = strata::ImageManifest::parse(image.manifest);
  const auto config = strata::ImageConfig::parse(image.config);
  std::uint64_t size = 0;
  Json layers = Json::array();
  for (const strata::Descriptor& layer : manifest.layers) {
    size += layer.size;
    layers.push_back({{"digest", layer.digest.to_string()}, {"media_type", layer.media_type}, {"size", layer.size}});
  }
  Json object{{"digest", image.digest.to_string()},
              {"names", image.names},
              {"layer", image.layer.to_string()},
              {"config", image.config.digest.to_string()},
              {"media_type", image.manifest.media_type},
              {"platform", config.platform.to_string()},
              {"created", config.created},
              {"added", image.added},
              {"used", image.used},
              {"made", image.made},
              {"size", size},
              {"layers", std::move(layers)}};
  if (image.index) object["index"] = image.index->to_string();
  return object;
}

void print(const Session& session, const std::vector<strata::Image>& images) {
  Json array = Json::array();
  for (const strata::Image& image : images)
    if (session.json)
      array.push_back(json_of(image));
    else
      std::cout << image.digest.to_string() << '\n';
  if (session.json) print(array.size() == 1 ? array.front() : array);
}

void add_platform(CLI::App& command, std::string& platform) {
  command.add_option("--platform", platform, "Which image of several: as linux/arm64/v8; default: this machine's")
      ->type_name("OS/ARCH[/VARIANT]")
      ->check([](const std::string& text) -> std::string {
        try {
          strata::Platform::parse(text);
          return {};
        } catch (const strata::Error& error) {
          return error.what();
        }
      });
}

std::optional<strata::Platform> platform_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return strata::Platform::parse(text);
}

void add_compress(CLI::App& command, strata::PushOptions& options) {
  using Compress = strata::PushOptions::Compress;
  command
      .add_option("--compress", options.compress,
                  "How layers are compressed that this store made; others stay as they came")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Compress>{
          {"gzip", Compress::gzip}, {"zstd", Compress::zstd}, {"none", Compress::none}}))
      ->type_name("gzip|zstd|none")
      ->default_str("gzip");
  command.add_flag("--recompress", options.recompress,
                   "Also layers that were pulled without keeping their blobs; the image gets another digest by that");
}

void add_transfers(CLI::App& command, unsigned& transfers) {
  command.add_option("--transfers", transfers, "How many layers at the same time")
      ->check(CLI::Range(1, 64))
      ->type_name("N")
      ->capture_default_str();
}

strata::PullOptions PullArguments::options(const Session& session) const {
  return {.platform = platform_of(platform),
          .keep_blobs = !drop_blobs,
          .transfers = transfers,
          .max_bytes = max_bytes,
          .conformance = session.conformance(),
          .owners = squash_owners ? strata::Owners::squash : strata::Owners::keep,
          .budget = limits.budget()};
}

void add_pull_options(CLI::App& command, PullArguments& arguments) {
  add_platform(command, arguments.platform);
  command.add_flag(
      "--no-keep-blobs", arguments.drop_blobs,
      "Keep no compressed layers beside the files: half the room or less, but the image can't be pushed byte for "
      "byte, nor repaired by itself");
  add_transfers(command, arguments.transfers);
  add_size(command, "--max-bytes", arguments.max_bytes, "Refuse an image that has more to transfer; default: no limit");
  add_squash_owners(command, arguments.squash_owners);
  add_limits(command, arguments.limits);
}

}  // namespace layerctl
