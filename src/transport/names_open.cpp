#include <strata/error.hpp>
#include <strata/image_store.hpp>
#include <strata/layer_store.hpp>
#include <strata/reference.hpp>
#include <strata/transport/docker_archive.hpp>
#include <strata/transport/names.hpp>
#include <strata/transport/oci_layout.hpp>

namespace strata {

AnySource open_source(const ImageName& name, const TransportOptions& options) {
  switch (name.transport) {
    case ImageName::Transport::oci:
      return AnySource(OciLayoutSource(name.path, name.image));
    case ImageName::Transport::oci_archive:
      return AnySource(OciArchiveSource(name.path, name.image));
    case ImageName::Transport::docker_archive:
      return AnySource(DockerArchiveSource(name.path, name.image));
    case ImageName::Transport::strata: {
      const LayerStore<> store(name.path, {.create = false});
      return AnySource(StoreSource(store, ImageStore(store).get(name.image)));
    }
    case ImageName::Transport::docker:
      break;
  }
  return AnySource(RegistrySource(ImageReference::parse(name.image), options.registry));
}

AnySink open_sink(const ImageName& name, const TransportOptions& options) {
  switch (name.transport) {
    case ImageName::Transport::oci:
      return AnySink(OciLayoutSink(name.path, name.image));
    case ImageName::Transport::oci_archive:
      return AnySink(OciArchiveSink(name.path, name.image));
    case ImageName::Transport::docker_archive:
      return AnySink(DockerArchiveSink(name.path, name.image));
    case ImageName::Transport::strata:
      throw_error(errc::unsupported, "write to", quoted(name.to_string()), "a store isn't written to, it pulls",
                  "open the store, and pull the image into it");
    case ImageName::Transport::docker:
      break;
  }
  return AnySink(RegistrySink(ImageReference::parse(name.image), options.registry, options.push));
}

}  // namespace strata
