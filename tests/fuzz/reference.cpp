// Names of images: each is refused, or one that reads as itself.
#include "fuzz/fuzz.hpp"

#include <strata/reference.hpp>

#include <optional>

using namespace strata;
using namespace strata::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::optional<ImageReference> reference;
  refusal_of({errc::bad_argument}, [&] { reference = ImageReference::parse(text); });
  if (!reference) return 0;
  require(!reference->domain.empty() && !reference->repository.empty() && !reference->wanted().empty());
  require(reference->repository.find("..") == std::string::npos && reference->repository.front() != '/');
  require(ImageReference::parse(reference->to_string()) == *reference, reference->to_string());
  return 0;
}
