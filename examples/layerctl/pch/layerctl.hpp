// What every file of layerctl includes, compiled once: parsing these headers takes longer than all that follows them.
// No #pragma once: a precompiled header is a main file, where the compiler warns of it.

#include <strata/strata.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
