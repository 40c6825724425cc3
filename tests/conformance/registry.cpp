#include "conformance/layer_sink_suite.hpp"
#include "conformance/layer_source_suite.hpp"

#include <strata/transport/registry.hpp>

#include "support/docker_registry.hpp"

using namespace strata;
using namespace strata::test;

namespace {

const RegistryOptions plain{.plain_http = true, .first_delay = std::chrono::milliseconds(10)};

/// One for all: it takes a while to start.
const DockerRegistry* registry() {
  static const auto started = DockerRegistry::is_installed() ? std::make_unique<DockerRegistry>() : nullptr;
  if (!started) WARN("skipped: there is no docker-registry here");
  return started.get();
}

ImageReference reference(const std::string& rest) { return ImageReference::parse(registry()->name() + "/" + rest); }

/// Sections run one after the other, each in a repository of its own.
std::string new_repository() {
  static int number = 0;
  return "r" + std::to_string(++number) + ":1";
}

void check_sink(const PushToRegistryOptions& options) {
  const ImageReference name = reference(new_repository());
  const SinkPlace<RegistrySink> place{.open = [&] { return RegistrySink(name, plain, options); },
                                      .read_back = [&]() -> std::optional<AnySource> {
                                        RegistrySource source(name, plain);
                                        try {
                                          source.top({});
                                        } catch (const Error& error) {
                                          if (error.code() == errc::not_found) return std::nullopt;
                                          throw;
                                        }
                                        return AnySource(std::move(source));
                                      },
                                      .has_scraps = [] { return false; },
                                      .in_order = true};
  layer_sink_suite<RegistrySink>(place, oci_index_image(), docker_image());
}

}  // namespace

TEST_CASE("RegistrySource is a source", "[layer_source]") {
  if (!registry()) return;
  const TestImage image = oci_index_image();
  const ImageReference name = reference(new_repository());
  RegistrySink sink(name, plain);
  put_layers(sink, image);
  put_documents(sink, image);
  sink.finish(image.top, {});
  layer_source_suite<RegistrySource>([&] { return RegistrySource(name, plain); }, image);
}

TEST_CASE("RegistrySink is a sink", "[layer_sink]") {
  if (registry()) check_sink({});
}

TEST_CASE("RegistrySink is a sink, in chunks", "[layer_sink]") {
  if (registry()) check_sink({.chunk = 1000});
}
