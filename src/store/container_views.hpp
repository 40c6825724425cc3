// What a container's changes lie between: its chain, and what it shows.
#pragma once

#include <strata/container.hpp>
#include <strata/layer.hpp>

#include "diff/changes.hpp"
#include "store/core.hpp"

namespace strata::detail {

/// The store outlives it.
class ContainerViews {
 public:
  /// `below`: the container's layer. Throws errc::refused for a whole container that was never mounted, or is on
  /// a device that isn't.
  ContainerViews(const StoreCore& core, const Container& container, const Layer& below);

  const MergedView& lower() const { return lower_; }
  const MergedView& changed() const { return changed_; }
  /// What the root of the chain is to be compared as.
  const RootAttributes& lower_root() const { return lower_root_; }
  /// The index of its work directory, of a union that has one.
  const std::optional<boost::filesystem::path>& index() const { return index_; }
  bool whole() const { return whole_; }

  /// Tells the changes. Of `options`, index, lower_root and names_elsewhere are its own.
  void tell(ChangeSink& sink, ChangeOptions options, Report& report) const;

 private:
  const StoreCore& core_;
  bool whole_;
  MergedView changed_;
  MergedView lower_;
  RootAttributes lower_root_;
  std::optional<boost::filesystem::path> index_;
};

}  // namespace strata::detail
