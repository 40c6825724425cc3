// export
#include "session.hpp"
#include "streams.hpp"

#include <boost/filesystem/operations.hpp>
#include <iostream>

namespace layerctl {

namespace {

struct ExportArguments {
  std::vector<std::string> names;  // an id and a file, or ids
  std::string directory;
  std::string compress = "none";
};

Json json_of(const strata::Layer& layer, std::uint64_t size, const strata::CompressionPolicy& codec,
             const std::string& file) {
  return {{"id", layer.id.to_string()},
          {"diff_id", layer.diff_id().to_string()},
          {"tar_size", size},
          {"media_type", codec.media_type},
          {"file", file}};
}

int export_one(const Session& session, const ExportArguments& arguments) {
  const std::string file = arguments.names.size() > 1 ? arguments.names[1] : "-";
  const auto store = session.open_store();
  const strata::Layer layer = store.get(store.resolve(arguments.names[0]));
  const strata::CompressionPolicy codec = strata::compression_by_name(arguments.compress);
  Output output(file, session.durability);
  const auto encoder = codec.encode(output);
  const std::uint64_t size = session.watch(
      "export", [&](const strata::Control& control) { return store.export_layer(layer.id, *encoder, control); });
  encoder->finish();
  output.finish();
  if (session.json && file != "-") print(json_of(layer, size, codec, file));
  return 0;
}

/// A file, and what compresses into it.
class CompressedOutput final : public strata::ByteSink {
 public:
  CompressedOutput(const std::string& file, const strata::CompressionPolicy& codec, strata::Durability durability)
      : output_(file, durability), encoder_(codec.encode(output_)) {}
  void write(std::span<const std::byte> bytes) override { encoder_->write(bytes); }
  void finish() override {
    encoder_->finish();
    output_.finish();
  }

 private:
  Output output_;
  std::unique_ptr<strata::ByteSink> encoder_;
};

int export_several(const Session& session, const ExportArguments& arguments) {
  const auto store = session.open_store();
  const strata::CompressionPolicy codec = strata::compression_by_name(arguments.compress);
  const std::string suffix = arguments.compress == "gzip"   ? ".tar.gz"
                             : arguments.compress == "zstd" ? ".tar.zst"
                                                            : ".tar";
  boost::filesystem::create_directories(arguments.directory);
  const auto file_of = [&](const strata::Digest& id) {
    return (boost::filesystem::path(arguments.directory) / (id.hex() + suffix)).string();
  };
  std::vector<strata::Digest> ids;
  for (const std::string& name : arguments.names) ids.push_back(store.resolve(name));
  const auto sizes = session.watch("export", [&](const strata::Control& control) {
    return store.export_layers(
        ids,
        [&](const strata::Layer& layer) {
          return std::make_unique<CompressedOutput>(file_of(layer.id), codec, session.durability);
        },
        control);
  });
  Json list = Json::array();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (session.json)
      list.push_back(json_of(store.get(ids[i]), sizes[i], codec, file_of(ids[i])));
    else
      std::cout << file_of(ids[i]) << '\n';
  }
  if (session.json) print(list);
  return 0;
}

int export_layers(const Session& session, const ExportArguments& arguments) {
  return arguments.directory.empty() ? export_one(session, arguments) : export_several(session, arguments);
}

}  // namespace

void add_export_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("export", "Write layers' tars, byte for byte as they were imported");
  auto arguments = std::make_shared<ExportArguments>();
  command
      ->add_option("ID", arguments->names,
                   "The layer, whose id may be abbreviated, and the file to write it to; - or none is standard "
                   "output. With --directory: layers")
      ->required();
  command
      ->add_option("-d,--directory", arguments->directory,
                   "Write several layers beside each other: each as its id, ID.tar, in this directory")
      ->type_name("DIR");
  command->add_option("--compress", arguments->compress, "How the tar is compressed")
      ->check(CLI::IsMember({"gzip", "zstd", "none"}))
      ->capture_default_str();
  command->callback([&session, arguments] {
    if (arguments->directory.empty() && arguments->names.size() > 2)
      throw CLI::ValidationError("export", "takes a layer and a file, or --directory and layers");
    session.action = [&session, arguments] { return export_layers(session, *arguments); };
  });
}

}  // namespace layerctl
