// What the model of a layer (layer_model.hpp) is made of, and what it throws.
#pragma once

#include <strata/tar.hpp>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>

namespace strata::test {

/// A file of any type, or a directory. Names of one file share it.
struct ModelFile {
  TarEntry is;  ///< type, attributes, link; neither path nor size is looked at
  std::string content;
  std::map<std::string, std::shared_ptr<ModelFile>> children;
  bool is_directory() const { return is.type == TarType::directory; }
  bool is_symlink() const { return is.type == TarType::symlink; }
};
using ModelTree = std::shared_ptr<ModelFile>;

/// What a layer can't mean.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What the rules leave open: contradictions of a layer with itself.
struct Unclear : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace strata::test
