// What mount and run-root share: --at, --read-only, --backend, -o, and how a mounted container is shown.
#pragma once

#include "session.hpp"

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace layerctl {

struct Mounting {
  std::string at, backend;
  bool read_only = false;
  std::vector<std::string> options;  // "option=value", or several joined by commas, as of mount(8)

  strata::MountOptions mount_options() const;
};
void add_mounting(CLI::App& command, Mounting& mounting);

Json json_of(const strata::Container& container);
/// What was chosen to mount by, and why not by what is better.
struct ChosenBackend {
  std::string name;
  std::vector<strata::BackendChoice> passed_over;

  explicit ChosenBackend(const strata::AnyMounter& mounter)
      : name(mounter.backend()), passed_over(mounter.passed_over()) {}
};
/// Prints where it is, and what was passed over for it.
void print_mounted(const Session& session, const strata::MountedRoot& root, const ChosenBackend& chosen);

}  // namespace layerctl
