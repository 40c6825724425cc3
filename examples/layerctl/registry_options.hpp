// How a registry is reached: --creds, --auth-file, --mirror ….
#pragma once

#include "session.hpp"

#include <strata/transport/names.hpp>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace layerctl {

struct RegistryArguments {
  std::string creds, creds_file, auth_file, certificates, proxy;
  std::vector<std::string> mirrors;
  bool verify_tls = true, plain_http = false;
  int retries = strata::RegistryOptions{}.retries;

  /// Asks for a password where one is missing: on the terminal, without an echo.
  strata::RegistryOptions options(const Session& session) const;
};

/// `prefix` stands before each option's name, as "src-"; `reads`: images come from there, so that mirrors are asked.
void add_registry(CLI::App& command, RegistryArguments& arguments, bool reads, const std::string& prefix = {});

/// Blanks the secrets of `--creds USER:PASSWORD` and `--proxy SCHEME://USER:PASSWORD@HOST`: the arguments of a process
/// are everyone's to read.
void hide_secrets(int argc, char** argv);

}  // namespace layerctl
