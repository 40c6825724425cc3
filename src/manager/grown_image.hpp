// An image that grows by layers: manifest and config, kept in agreement.
#pragma once

#include <strata/image.hpp>
#include <strata/image_store.hpp>
#include <strata/layer.hpp>

#include <functional>
#include <string>

namespace strata::detail {

class GrownImage {
 public:
  /// Of nothing, for this machine.
  GrownImage();
  explicit GrownImage(const Image& base);

  /// One layer more, as a plain tar named by its diff id.
  void add(const Layer& layer, HistoryEntry made_by);
  /// Of the image, RFC 3339; an empty author: as it was.
  void date(const std::string& created, const std::string& author);
  /// Has the host change the config; what the layers are stays as it is.
  void change(const std::function<void(ImageConfig&)>& change);
  NewImage finish(const std::string& name);

 private:
  ImageManifest manifest_;
  ImageConfig config_;
};

}  // namespace strata::detail
