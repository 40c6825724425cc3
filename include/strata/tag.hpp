// Tags: names that people give to layers. A tagged layer is kept by gc(), and found by its tag where an id is asked
// for.
#pragma once

#include <strata/digest.hpp>
#include <strata/export.hpp>

#include <string>
#include <string_view>

namespace strata {

struct Tag {
  std::string name;  ///< as "debian:12" or "registry.example/app/web:latest"
  Digest layer;
};

/// Whether it is 1 to 200 letters, digits and any of "_.-:/@", beginning with a letter or a digit.
STRATA_API bool is_tag_name(std::string_view name) noexcept;
/// Throws errc::bad_argument that shows the name and says what a tag is.
STRATA_API void check_tag_name(std::string_view name);

}  // namespace strata
