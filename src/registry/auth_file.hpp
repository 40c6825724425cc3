// Where credentials are kept: the files that docker and podman write, and the programs that these name.
#pragma once

#include <strata/transport/registry.hpp>

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// What podman's `auth.json` and docker's `config.json` have in common.
struct AuthFile {
  std::map<std::string, Credentials> entries = {};  ///< by the name of a registry, or of a part of one
  std::map<std::string, std::string> helpers = {};  ///< by registry: NAME of `docker-credential-NAME`
  std::string store = {};                           ///< the helper of all others

  /// `shown` is the file's name. Throws errc::bad_archive, which shows nothing of what is in it.
  static AuthFile parse(std::string_view text, const std::string& shown);
  /// The entry of the longest name that fits ("docker.io/library/debian", "docker.io/library", "docker.io"), or of one
  /// that docker wrote as a URL. nullopt: none.
  std::optional<Credentials> find(const std::string& repository) const;
};

/// What a helper answers ("get"); nullopt: it has none. Throws Error where it fails otherwise.
std::optional<Credentials> ask_helper(const std::string& helper, const std::string& server,
                                      const std::stop_token& stop);
/// Reads that answer.
Credentials parse_helper_answer(std::string_view text, const std::string& helper);

/// As the public function, which can be stopped.
Credentials find_credentials(const std::string& repository, const boost::filesystem::path& auth_file,
                             const std::stop_token& stop);

}  // namespace strata::detail
