// The index of an OCI layout: which of its images is meant, and how one is added.
#pragma once

#include <strata/image.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace strata::detail {

inline constexpr std::string_view layout_version_file = R"({"imageLayoutVersion":"1.0.0"})";
inline constexpr const char* ref_name = "org.opencontainers.image.ref.name";

/// Where a layout has a blob.
std::string blob_path(const Digest& digest);

/// Throws errc::bad_archive, errc::unsupported, unless `text` is the "oci-layout" of a version that strata knows.
void check_layout_version(std::string_view text, const std::string& shown);

/// `index.json` as an index.
ImageIndex parse_layout_index(std::string text);

/// The image that `tag` names, as OciLayoutSource has it; nullopt: the index itself. `shown`: the layout.
std::optional<Descriptor> choose_from_layout(const ImageIndex& index, const std::string& tag, const std::string& shown);

/// `index.json` with one image more. Another one of this tag stays, without it; all that strata doesn't know stays too.
/// Empty `text`: a new index.
std::string add_to_layout(std::string_view text, const Descriptor& image, const std::string& tag,
                          const std::string& shown);

/// Throws errc::bad_argument unless an image of a layout can be called so (image-spec, annotations.md).
void check_layout_tag(const std::string& tag);

}  // namespace strata::detail
