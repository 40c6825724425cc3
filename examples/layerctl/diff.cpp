// diff
#include "id_maps.hpp"
#include "session.hpp"
#include "streams.hpp"
#include "text.hpp"

#include <boost/filesystem/operations.hpp>
#include <iostream>

namespace layerctl {

namespace {

struct DiffArguments {
  std::vector<std::string> names;  // of a container, or of two directories
  std::string upper;
  std::vector<std::string> lowers;
  std::string output = "-";
  std::string compress = "none";
  IdMaps ids;
  bool prove = false;
  bool trust_times = false;
};

strata::Container container_of(const strata::LayerStore<>& store, const std::string& name) {
  if (auto container = store.find_container(name)) return *std::move(container);
  strata::throw_error(strata::errc::not_found, "diff", "container " + strata::quoted(name));
}

template <class Codec>
strata::DiffResult write(const Session& session, const DiffArguments& arguments, Output& output) {
  const strata::DiffWriter<strata::Sha256, Codec> writer;
  return session.watch("diff", [&](const strata::Control& control) {
    const strata::DiffOptions options{
        .ids = arguments.ids.map(), .trust_times = arguments.trust_times, .control = control};
    if (!arguments.upper.empty())
      return writer.write_upper(arguments.upper, {arguments.lowers.begin(), arguments.lowers.end()}, output, options);
    if (arguments.names.size() == 2) return writer.write_trees(arguments.names[0], arguments.names[1], output, options);
    const auto store = session.open_store();
    return writer.write(store, container_of(store, arguments.names[0]), output, options);
  });
}

/// Reads the file again that was written.
void prove(const Session& session, const DiffArguments& arguments) {
  const strata::DiffWriter<> writer;
  session.watch("prove", [&](const strata::Control& control) {
    const strata::DiffOptions options{.ids = arguments.ids.map(), .control = control};
    auto layer = strata::open_file(arguments.output);
    const auto scratch = boost::filesystem::absolute(arguments.output).parent_path();
    if (!arguments.upper.empty())
      return writer.prove_upper(arguments.upper, {arguments.lowers.begin(), arguments.lowers.end()}, layer, scratch,
                                options);
    if (arguments.names.size() == 2)
      return writer.prove_trees(arguments.names[0], arguments.names[1], layer, scratch, options);
    const auto store = session.open_store();
    writer.prove(store, container_of(store, arguments.names[0]), layer, options);
  });
}

strata::DiffResult write(const Session& session, const DiffArguments& arguments, Output& output) {
  if (arguments.compress == strata::Gzip::name) return write<strata::Gzip>(session, arguments, output);
  if (arguments.compress == strata::Zstd::name) return write<strata::Zstd>(session, arguments, output);
  return write<strata::Uncompressed>(session, arguments, output);
}

int diff(const Session& session, const DiffArguments& arguments) {
  Output output(arguments.output, session.durability);
  const strata::DiffResult result = write(session, arguments, output);
  output.finish();
  if (arguments.prove) prove(session, arguments);
  session.show(result.report);
  if (session.json && arguments.output != "-") {
    print(Json{{"diff_id", result.diff_id.to_string()},
               {"blob", result.blob.to_string()},
               {"media_type", result.media_type},
               {"entries", result.entries},
               {"tar_size", result.tar_size},
               {"blob_size", result.blob_size},
               {"events", json_of(result.report)},
               {"events_total", result.report.total()}});
  } else if (!session.quiet) {
    std::cerr << "diff id " << result.diff_id.to_string() << ", blob " << result.blob.to_string() << ", "
              << result.entries << " entries, " << human_size(result.blob_size) << '\n';
  }
  return 0;
}

/// Which of the three forms was meant; any other is a usage error.
void check(const DiffArguments& arguments) {
  const std::size_t names = arguments.names.size();
  if (arguments.upper.empty() && !arguments.lowers.empty())
    throw CLI::ValidationError("--lower", "goes with --upper only");
  if (arguments.upper.empty() ? names == 0 : names > 0)
    throw CLI::ValidationError("diff", "takes a container's name, or two directories, or --upper");
  if (arguments.trust_times && names != 2)
    throw CLI::ValidationError("--trust-times", "goes with two directories only");
  if (arguments.prove && arguments.output == "-") throw CLI::ValidationError("--prove", "reads what --output names");
}

}  // namespace

void add_diff_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand(
      "diff", "Write what changed as a layer tar: of a container, between two directories, or of an overlay's upper");
  auto arguments = std::make_shared<DiffArguments>();
  command->add_option("NAME", arguments->names, "A container; or OLD_DIR NEW_DIR")->expected(1, 2);
  command->add_option("--upper", arguments->upper, "An upper directory, as an overlay mount leaves it")
      ->type_name("DIR");
  command->add_option("--lower", arguments->lowers, "A directory below it; topmost first")
      ->type_name("DIR")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  command->add_option("-o,--output", arguments->output, "Where to; - is standard output")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_option("--compress", arguments->compress, "How the tar is compressed")
      ->check(CLI::IsMember({"gzip", "zstd", "none"}))
      ->capture_default_str();
  add_id_maps(*command, arguments->ids);
  command->add_flag("--prove", arguments->prove,
                    "Apply what was written to what it was made on, and compare with what it was made from");
  command->add_flag("--trust-times", arguments->trust_times,
                    "Between two directories: don't read files of the same mode, owner, size and time");
  command->callback([&session, arguments] {
    check(*arguments);
    session.action = [&session, arguments] { return diff(session, *arguments); };
  });
}

}  // namespace layerctl
