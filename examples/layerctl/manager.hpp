// The manager of a session's store, and what is asked of images by more than one command.
#pragma once

#include "limits.hpp"
#include "session.hpp"

#include <strata/layer_manager.hpp>

#include <CLI/CLI.hpp>
#include <string>

namespace layerctl {

/// By the session's cache policy. The store outlives it.
strata::LayerManager<> make_manager(const Session& session, strata::LayerStore<>& store, strata::AnyMounter mounter,
                                    const strata::TransportOptions& transports = {});

/// The name among those of the image that the text means; empty: it is meant by digest.
std::string name_meant(const strata::Image& image, const std::string& text);
Json json_of(const strata::Image& image);
/// The digest of each, a line, or all as JSON: one as an object, several as a list.
void print(const Session& session, const std::vector<strata::Image>& images);

/// --platform
void add_platform(CLI::App& command, std::string& platform);
std::optional<strata::Platform> platform_of(const std::string& text);
/// How layers leave the store: --compress, --recompress
void add_compress(CLI::App& command, strata::PushOptions& options);
/// --transfers
void add_transfers(CLI::App& command, unsigned& transfers);

/// How images are pulled: --platform, --no-keep-blobs, --transfers, --max-bytes, --squash-owners, --limit.
struct PullArguments {
  std::string platform;
  std::optional<std::uint64_t> max_bytes;
  bool drop_blobs = false, squash_owners = false;
  unsigned transfers = strata::PullOptions{}.transfers;
  Limits limits;

  strata::PullOptions options(const Session& session) const;
};
void add_pull_options(CLI::App& command, PullArguments& arguments);

/// Says of a transfer that was interrupted what is left of it, and what to do.
template <class Work>
auto resumable(Work work) {
  try {
    return work();
  } catch (const strata::Error& error) {
    if (error.code() != strata::errc::cancelled) throw;
    throw strata::Error(error.code(), error.operation(), error.subject(), error.detail(),
                        "what has come stays for an hour or more: the same command goes on from there");
  }
}

}  // namespace layerctl
