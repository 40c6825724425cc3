// What strata does, each as something that can fail anywhere, be done again, and be undone.
#pragma once

#include "scene.hpp"

#include <functional>
#include <string>
#include <vector>

namespace strata::test {

struct Operation {
  std::string name;
  /// What it gave, as text that is the same each time: ids, digests, contents. Done again after it failed, or was
  /// killed, or succeeded, it gives the same.
  std::function<std::string(Scene&)> run;
  std::function<void(Scene&)> prepare = [](Scene&) {};
  /// Back to the scene as it was before prepare().
  std::function<void(Scene&)> undo = [](Scene&) {};
  /// After an error, not a kill, this says what of the promise "the store is as it was before" doesn't hold.
  std::function<std::string(Scene&)> unchanged = [](Scene&) { return std::string(); };
  bool reads_only = false;  ///< what it says of an unreadable file may be that it is damaged
  bool needs_mounts = false;
  bool mends = false;  ///< until it has succeeded, a layer is damaged: prepare() has done that
};

const std::vector<Operation>& operations();
/// Those of leases, tags and gc, which are among them.
std::vector<Operation> keeping_operations();
/// Those of images in layouts and archives, the same.
std::vector<Operation> transport_operations();
/// Those of images of a store, the same.
std::vector<Operation> image_operations();
/// Removes all layers but these.
void forget_all_but(Scene& scene, const std::vector<Digest>& kept);

}  // namespace strata::test
