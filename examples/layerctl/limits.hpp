// --limit NAME=VALUE: what a layer may use.
#pragma once

#include <strata/budget.hpp>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace layerctl {

/// What the command line said; of two values for one limit, the later counts.
struct Limits {
  std::vector<std::string> given;

  strata::Budget budget() const;
};
void add_limits(CLI::App& command, Limits& limits);

}  // namespace layerctl
