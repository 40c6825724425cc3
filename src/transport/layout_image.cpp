#include "transport/layout_image.hpp"

#include <strata/error.hpp>
#include <strata/tag.hpp>

#include "transport/layout_index.hpp"

#include <boost/filesystem/operations.hpp>

#include <utility>

namespace strata::detail {

namespace {

/// What a directory or file is called, the latter without ".tar".
std::string name_of_place(const boost::filesystem::path& place) {
  boost::filesystem::path whole = place.lexically_normal();
  if (whole.filename_is_dot() && whole.has_parent_path()) whole = whole.parent_path();  // of what ends in a slash
  if (whole.filename_is_dot() || whole.filename_is_dot_dot()) {
    boost::system::error_code unknown;
    whole = (boost::filesystem::current_path(unknown) / place).lexically_normal();
    if (whole.filename_is_dot()) whole = whole.parent_path();
  }
  return (whole.extension() == ".tar" ? whole.stem() : whole.filename()).native();
}

}  // namespace

LayoutImage::LayoutImage(std::unique_ptr<const ImageFiles> files, std::string name,
                         const boost::filesystem::path& place, const std::string& tag)
    : files_(std::move(files)), name_(std::move(name)), place_(name_of_place(place)) {
  check_layout_version(read("oci-layout"), name_);
  const ImageIndex index = parse_layout_index(read("index.json"));
  index_ = index.document();
  chosen_ = choose_from_layout(index, tag, name_);
}

std::string LayoutImage::read(const std::string& path) const {
  const auto found = files_->find(path);
  if (!found) throw_error(errc::bad_archive, "read", name_, "it is no OCI layout: it has no file " + quoted(path));
  return read_range(*found, Document::max_size, quoted(path) + " of " + name_, {});
}

std::string LayoutImage::image_name() const {
  if (!chosen_) return {};
  const auto& annotations = chosen_->annotations;
  if (const auto whole = annotations.find("io.containerd.image.name"); whole != annotations.end()) return whole->second;
  const auto tag = annotations.find("org.opencontainers.image.ref.name");
  if (tag == annotations.end()) return {};
  if (tag->second.find_first_of("/:") != std::string::npos) return tag->second;
  const std::string placed = "localhost/" + place_ + ":" + tag->second;
  return is_tag_name(placed) ? placed : "";
}

Document LayoutImage::top(const std::stop_token& stop) const { return chosen_ ? document(*chosen_, stop) : index_; }

Document LayoutImage::document(const Descriptor& descriptor, const std::stop_token& stop) const {
  return Document::checked(
      read_range(find(descriptor), Document::max_size, descriptor.digest.to_string() + " of " + name_, stop),
      descriptor, name_);
}

std::unique_ptr<ByteSource> LayoutImage::open(const Descriptor& blob, std::uint64_t offset,
                                              const std::stop_token& stop) const {
  return std::make_unique<RangeSource>(find(blob).from(offset), blob.digest.to_string() + " of " + name_, stop);
}

FileRange LayoutImage::find(const Descriptor& blob) const {
  auto found = files_->find(blob_path(blob.digest));
  if (!found) throw_error(errc::not_found, "find " + blob.digest.to_string() + " in", name_, "it has no such blob");
  return *std::move(found);
}

}  // namespace strata::detail
