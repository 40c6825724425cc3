// The index of a layout: it is refused, or an image can be added, which then has its tag alone; and the version file.
#include "fuzz/fuzz.hpp"

#include <strata/hash.hpp>

#include "transport/layout_index.hpp"

#include <string>

using namespace strata;
using namespace strata::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto refused = {errc::bad_archive, errc::limit_exceeded, errc::unsupported};
  refusal_of(refused, [&] { detail::check_layout_version(text, "it"); });
  const Descriptor image{
      .media_type = std::string(media_type::oci_manifest), .digest = digest_of<Sha256>("an image"), .size = 8};
  refusal_of(refused, [&] {
    const ImageIndex before = detail::parse_layout_index(text);
    for (const char* tag : {"", "latest"})
      refusal_of({errc::not_found, errc::bad_argument}, [&] { detail::choose_from_layout(before, tag, "it"); });
    const std::string added = detail::add_to_layout(text, image, "latest", "it");
    const ImageIndex after = detail::parse_layout_index(added);
    require(after.manifests.size() >= before.manifests.size() && after.manifests.size() <= before.manifests.size() + 1);
    int named = 0;
    for (const Descriptor& one : after.manifests) {
      const auto name = one.annotations.find(detail::ref_name);
      if (name == one.annotations.end() || name->second != "latest") continue;
      require(one.digest == image.digest, added);
      ++named;
    }
    require(named >= 1, added);
    require(detail::add_to_layout(added, image, "latest", "it") == added, added);
  });
  return 0;
}
