// export
#include "session.hpp"
#include "streams.hpp"

#include <iostream>

namespace layerctl {

namespace {

struct ExportArguments {
  std::string id;
  std::string file = "-";
  std::string compress = "none";
};

int export_layer(const Session& session, const ExportArguments& arguments) {
  const auto store = session.open_store();
  const strata::Layer layer = store.get(store.resolve(arguments.id));
  const strata::CompressionPolicy codec = strata::compression_by_name(arguments.compress);
  Output output(arguments.file);
  const auto encoder = codec.encode(output);
  const std::uint64_t size = session.watch(
      "export", [&](const strata::Control& control) { return store.export_layer(layer.id, *encoder, control); });
  encoder->finish();
  output.finish();
  if (session.json && arguments.file != "-")
    print(Json{{"id", layer.id.to_string()},
               {"diff_id", layer.diff_id().to_string()},
               {"tar_size", size},
               {"media_type", codec.media_type},
               {"file", arguments.file}});
  return 0;
}

}  // namespace

void add_export_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("export", "Write a layer's tar, byte for byte as it was imported");
  auto arguments = std::make_shared<ExportArguments>();
  command->add_option("ID", arguments->id, "The layer: a tag, or an id, which may be abbreviated")->required();
  command->add_option("FILE", arguments->file, "Where to; - is standard output")->capture_default_str();
  command->add_option("--compress", arguments->compress, "How the tar is compressed")
      ->check(CLI::IsMember({"gzip", "zstd", "none"}))
      ->capture_default_str();
  on(command, session, std::move(arguments), export_layer);
}

}  // namespace layerctl
