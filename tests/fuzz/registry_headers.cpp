// Headers and URLs of registries: whatever they are, they end, and what is read of them is in them.
#include "fuzz/fuzz.hpp"

#include "registry/header_values.hpp"
#include "registry/url.hpp"

#include <optional>
#include <string>

using namespace strata;
using namespace strata::detail;
using namespace strata::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const Challenge& challenge : parse_challenges(text)) {
    require(!challenge.scheme.empty());
    for (const auto& [name, value] : challenge.parameters) require(!name.empty() && value.size() <= text.size());
  }
  if (const auto range = parse_content_range(text))
    require(range->first <= range->last && (!range->size || range->last < *range->size));
  parse_upload_range(text);
  if (const auto delay = parse_retry_after(text, 0)) require(delay->count() >= 0);
  HttpHeaders headers;
  headers.add(text);
  if (const auto next = parse_next_link(text)) require(text.find(*next) != std::string::npos);

  std::optional<Url> url;
  refusal_of({errc::bad_archive}, [&] { url = Url::parse(text); });
  if (url) {
    require(url->scheme == "http" || url->scheme == "https");
    require(!url->host.empty() && !url->port.empty() && url->target.starts_with('/'));
    require(url->host.find('@') == std::string::npos, url->host);
    require(Url::parse(url->to_string()).to_string() == url->to_string(), url->to_string());
  }
  const Url base = Url::parse("https://registry.example/v2/a?b");
  refusal_of({errc::bad_archive}, [&] { url = base.resolve(text); });
  require(!url || url->scheme == "http" || url->scheme == "https");
  return 0;
}
