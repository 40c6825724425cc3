#include <strata/error.hpp>

#include "base/files.hpp"
#include "base/program.hpp"
#include "image/json.hpp"
#include "registry/auth_file.hpp"
#include "registry/docker_hub.hpp"

#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <utility>

namespace strata::detail {
namespace {

using boost::filesystem::path;

constexpr std::chrono::seconds helper_time{60};  // it may ask somebody for a password
constexpr std::size_t largest_auth_file = 4U << 20;

/// An absolute path that the environment has; empty: none.
path folder_of(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && *value == '/' ? path(value) : path();
}

/// The files of docker and podman, in the order in which containers/image asks them.
std::vector<path> usual_files() {
  const path home = folder_of("HOME");
  const auto beneath = [](const path& folder, const char* rest) { return folder.empty() ? path() : folder / rest; };
  path run = folder_of("XDG_RUNTIME_DIR");
  if (run.empty())
    run = path("/run/containers") / std::to_string(::getuid());
  else
    run /= "containers";
  path config = folder_of("XDG_CONFIG_HOME");
  if (config.empty()) config = beneath(home, ".config");
  path docker = folder_of("DOCKER_CONFIG");
  if (docker.empty()) docker = beneath(home, ".docker");
  return {run / "auth.json", beneath(config, "containers/auth.json"), beneath(docker, "config.json")};
}

std::optional<Credentials> find_in(const path& file, const std::string& text, const std::string& repository,
                                   const std::stop_token& stop) {
  const AuthFile auth = AuthFile::parse(text, quoted(file.native()));
  const std::string registry = repository.substr(0, repository.find('/'));
  // A helper's own name for docker's registry is the URL.
  const std::string server = registry == docker_hub ? std::string(docker_hub_key) : registry;
  std::string helper;
  for (const std::string& name : {registry, server})
    if (const auto found = auth.helpers.find(name); helper.empty() && found != auth.helpers.end())
      helper = found->second;
  if (helper.empty()) {
    if (auto found = auth.find(repository)) return found;
    helper = auth.store;
  }
  return helper.empty() ? std::nullopt : ask_helper(helper, server, stop);
}

/// nullopt: it isn't there. Unlike the store's own files, it may be a link.
std::optional<std::string> read_auth_file(const path& file) {
  boost::system::error_code failed;
  const path whole = boost::filesystem::canonical(file, failed);
  if (failed == boost::system::errc::no_such_file_or_directory || failed == boost::system::errc::not_a_directory)
    return std::nullopt;
  if (failed) throw Error(failed, "read", quoted(file.native()));
  return read_small_file(AT_FDCWD, whole.native(), largest_auth_file);
}

/// What may not be read is somebody else's: root's /run/containers/0 to the root of a user namespace.
std::optional<std::string> read_usual_file(const path& file) try {
  return read_auth_file(file);
} catch (const Error& error) {
  if (error.code() == boost::system::errc::permission_denied) return std::nullopt;
  throw;
}

}  // namespace

Credentials parse_helper_answer(std::string_view text, const std::string& helper) {
  const OrderedJson json = parse_object(text, "the answer of " + quoted(helper));
  const JsonObject answer(json, "the answer of " + quoted(helper));
  const std::string user = answer.text("Username"), secret = answer.text("Secret");
  // docker-credential-helpers: this name says what the secret is.
  if (user == "<token>") return {.identity_token = secret};
  return {.user = user, .secret = secret};
}

std::optional<Credentials> ask_helper(const std::string& helper, const std::string& server,
                                      const std::stop_token& stop) {
  const std::string program = "docker-credential-" + helper;
  if (find_program(program).empty())
    throw_error(errc::not_found, "run", quoted(program), "PATH has none",
                "install it, or take it out of the auth file");
  const ProgramResult result = ask_program({program, "get"}, server, helper_time, stop);
  if (result.status == 0) {
    Credentials found = parse_helper_answer(result.said, program);
    return found.empty() ? std::nullopt : std::optional(std::move(found));
  }
  // docker-credential-helpers: its error, which goes to standard output.
  if (result.said.find("credentials not found") != std::string::npos) return std::nullopt;
  throw_error(errc::refused, "get credentials from", quoted(program),
              "it ended with status " + std::to_string(result.status));
}

Credentials find_credentials(const std::string& repository, const path& auth_file, const std::stop_token& stop) {
  path named = auth_file;
  if (named.empty())
    if (const char* const variable = std::getenv("REGISTRY_AUTH_FILE"); variable != nullptr && *variable != 0)
      named = variable;
  if (!named.empty()) {
    const auto text = read_auth_file(named);
    if (!text) throw_errno(ENOENT, "read", quoted(named.native()));
    return find_in(named, *text, repository, stop).value_or(Credentials{});
  }
  for (const path& file : usual_files()) {
    const auto text = file.empty() ? std::nullopt : read_usual_file(file);
    if (!text) continue;
    if (auto found = find_in(file, *text, repository, stop)) return *found;
  }
  return {};
}

}  // namespace strata::detail

namespace strata {

Credentials find_credentials(const std::string& repository, const boost::filesystem::path& auth_file) {
  return detail::find_credentials(repository, auth_file, {});
}

}  // namespace strata
