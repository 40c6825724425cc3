// --limit NAME=VALUE: what a layer may use. And numbers of bytes as options.
#pragma once

#include <strata/budget.hpp>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace layerctl {

/// What the command line said; of two values for one limit, the later counts.
struct Limits {
  std::vector<std::string> given;

  strata::Budget budget() const;
};
void add_limits(CLI::App& command, Limits& limits);

/// An option whose value is a number of bytes, also with K, M, G or T.
void add_size(CLI::App& command, const std::string& name, std::optional<std::uint64_t>& size, const std::string& help);

}  // namespace layerctl
