// What every command of layerctl shares: the global options, the store, progress and interruption, and how results
// and reports are shown.
#pragma once

#include "image_progress.hpp"
#include "progress_bar.hpp"

#include <strata/strata.hpp>

#include <CLI/CLI.hpp>
#include <boost/filesystem/path.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace layerctl {

using Json = nlohmann::ordered_json;

struct Session {
  std::string root = "strata-store";
  bool json = false;
  bool strict = false;
  bool quiet = false;
  strata::Durability durability = strata::Durability::full;
  std::optional<std::uint64_t> cache_limit;  ///< bytes
  std::stop_token stop;
  /// What the command line asks for; set while it is parsed, run afterwards. Returns the exit code.
  std::function<int()> action;

  /// Opens the store; makes it only for a command that puts a layer into it.
  strata::LayerStore<> open_store(bool create = false) const;
  strata::Conformance conformance() const { return strict ? strata::Conformance::strict : strata::Conformance::compat; }

  /// Runs work(control) under a progress bar, which is gone from the terminal when this returns or throws.
  template <class Work>
  auto watch(std::string_view verb, Work work) const {
    ProgressBar bar(verb, !json && !quiet);
    return work(
        strata::Control{.observer = [&bar](const strata::Progress& progress) { bar.show(progress); }, .stop = stop});
  }

  /// The same for work on images.
  template <class Work>
  auto watch_image(std::string_view verb, Work work) const {
    ImageProgressBars bars(verb, !json && !quiet);
    return work(
        strata::ImageControl{.observer = [&bars](const strata::ImageProgress& p) { bars.show(p); }, .stop = stop});
  }

  /// Reports what was odd, on standard error.
  void show(const strata::Report& report) const;
};

/// Makes `run(session, arguments)` what `command` does.
template <class Arguments>
void on(CLI::App* command, Session& session, std::shared_ptr<Arguments> arguments,
        int (*run)(const Session&, const Arguments&)) {
  command->callback(
      [&session, arguments, run] { session.action = [&session, arguments, run] { return run(session, *arguments); }; });
}

/// Writes JSON on standard output. Bytes that are not UTF-8 become U+FFFD, since JSON can't hold them.
void print(const Json& value);
Json json_of(const strata::Layer& layer);
/// The kept events, {rule, path, action} each.
Json json_of(const strata::Report& report);
Json json_of(const strata::ImportedLayer& layer);
/// What import and commit print: an id a line, or as JSON an object; of several layers a list of them.
void print(const Session& session, const strata::ImportedLayer& layer);
void print(const Session& session, const std::vector<strata::ImportedLayer>& layers);

/// The options of a layer's record: --author, --comment, --created.
struct Origin {
  std::string author, comment, created;
};
void add_origin(CLI::App& command, Origin& origin);
/// The options that say how a layer's bytes are to be met: --digest, --diff-id, --squash-owners.
struct Expectations {
  std::string digest, diff_id;
  bool squash_owners = false;

  template <class Options>
  void apply_to(Options& options) const {
    if (!digest.empty()) options.expected_blob = strata::Digest::parse(digest);
    if (!diff_id.empty()) options.expected_diff_id = strata::Digest::parse(diff_id);
    if (squash_owners) options.owners = strata::Owners::squash;
  }
};
void add_expectations(CLI::App& command, Expectations& expectations);
void add_squash_owners(CLI::App& command, bool& squash);

// One for each file of commands.
void add_layer_commands(CLI::App& app, Session& session);
void add_verify_commands(CLI::App& app, Session& session);
void add_export_command(CLI::App& app, Session& session);
void add_diff_command(CLI::App& app, Session& session);
void add_keep_commands(CLI::App& app, Session& session);
void add_container_commands(CLI::App& app, Session& session);
void add_directory_commands(CLI::App& app, Session& session);
void add_explain_command(CLI::App& app, Session& session);
void add_inspect_command(CLI::App& app, Session& session);
void add_lint_command(CLI::App& app, Session& session);
void add_commit_command(CLI::App& app, Session& session);
void add_image_commands(CLI::App& app, Session& session);
void add_transfer_commands(CLI::App& app, Session& session);
void add_doctor_command(CLI::App& app, Session& session);

}  // namespace layerctl
