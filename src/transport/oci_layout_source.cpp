#include <strata/error.hpp>
#include <strata/transport/oci_layout.hpp>

#include "transport/archive_files.hpp"
#include "transport/layout_image.hpp"

#include <utility>

namespace strata {

namespace {

std::string shown(const char* transport, const boost::filesystem::path& path, const std::string& tag) {
  return quoted(transport + path.native() + (tag.empty() ? "" : ":" + tag));
}

}  // namespace

struct OciLayoutSource::Impl {
  detail::LayoutImage image;
};

OciLayoutSource::OciLayoutSource(const boost::filesystem::path& directory, const std::string& tag)
    : impl_(new Impl{
          {std::make_unique<detail::DirectoryFiles>(directory), shown("oci:", directory, tag), directory, tag}}) {}
OciLayoutSource::OciLayoutSource(OciLayoutSource&&) noexcept = default;
OciLayoutSource& OciLayoutSource::operator=(OciLayoutSource&&) noexcept = default;
OciLayoutSource::~OciLayoutSource() = default;

std::string OciLayoutSource::name() const { return impl_->image.name(); }
std::string OciLayoutSource::image_name() const { return impl_->image.image_name(); }
Document OciLayoutSource::top(const std::stop_token& stop) { return impl_->image.top(stop); }
Document OciLayoutSource::document(const Descriptor& descriptor, const std::stop_token& stop) {
  return impl_->image.document(descriptor, stop);
}
std::unique_ptr<ByteSource> OciLayoutSource::open(const Descriptor& blob, std::uint64_t offset,
                                                  const std::stop_token& stop) {
  return impl_->image.open(blob, offset, stop);
}

struct OciArchiveSource::Impl {
  detail::LayoutImage image;
};

OciArchiveSource::OciArchiveSource(const boost::filesystem::path& file, const std::string& tag)
    : impl_(new Impl{{std::make_unique<detail::ArchiveFiles>(file), shown("oci-archive:", file, tag), file, tag}}) {}
OciArchiveSource::OciArchiveSource(OciArchiveSource&&) noexcept = default;
OciArchiveSource& OciArchiveSource::operator=(OciArchiveSource&&) noexcept = default;
OciArchiveSource::~OciArchiveSource() = default;

std::string OciArchiveSource::name() const { return impl_->image.name(); }
std::string OciArchiveSource::image_name() const { return impl_->image.image_name(); }
Document OciArchiveSource::top(const std::stop_token& stop) { return impl_->image.top(stop); }
Document OciArchiveSource::document(const Descriptor& descriptor, const std::stop_token& stop) {
  return impl_->image.document(descriptor, stop);
}
std::unique_ptr<ByteSource> OciArchiveSource::open(const Descriptor& blob, std::uint64_t offset,
                                                   const std::stop_token& stop) {
  return impl_->image.open(blob, offset, stop);
}

}  // namespace strata
