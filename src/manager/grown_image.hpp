// An image that grows by layers: manifest and config, kept in agreement.
#pragma once

#include <strata/image.hpp>
#include <strata/image_store.hpp>
#include <strata/layer.hpp>

#include <string>

namespace strata::detail {

class GrownImage {
 public:
  /// Of nothing, for this machine.
  GrownImage();
  explicit GrownImage(const Image& base);

  /// One layer more, as a plain tar named by its diff id.
  void add(const Layer& layer, HistoryEntry made_by);
  ImageConfig& config() { return config_; }
  /// `created`: of the image, RFC 3339.
  NewImage finish(const std::string& created, const std::string& author, const std::string& name);

 private:
  ImageManifest manifest_;
  ImageConfig config_;
};

}  // namespace strata::detail
