#include <strata/error.hpp>
#include <strata/transport/oci_layout.hpp>

#include "transport/checked_source.hpp"
#include "transport/layout_index.hpp"
#include "transport/new_archive.hpp"

#include <set>
#include <utility>

namespace strata {

struct OciArchiveSink::Impl {
  Impl(const boost::filesystem::path& file, std::string the_tag)
      : tag(std::move(the_tag)),
        shown(quoted("oci-archive:" + file.native() + (tag.empty() ? "" : ":" + tag))),
        archive(file) {
    detail::check_layout_tag(tag);
    archive.add("oci-layout", detail::layout_version_file);
    archive.add_directory("blobs");
  }

  void put(const Descriptor& blob, ByteSource& source, const Control& control) {
    detail::CheckedSource checked(source, blob, control);
    if (there.contains(blob.digest)) {
      NullSink nowhere;
      copy(checked, nowhere);
      return;
    }
    // skopeo, run by an ordinary user, can't unpack what is in a directory that isn't told.
    if (const std::string algorithm(blob.digest.algorithm()); !algorithms.contains(algorithm)) {
      archive.add_directory("blobs/" + algorithm);
      algorithms.insert(algorithm);
    }
    archive.add(detail::blob_path(blob.digest), blob.size, [&](ByteSink& to) { copy(checked, to); });
    there.insert(blob.digest);
  }

  void put(const Document& document, const std::stop_token& stop) {
    if (there.contains(document.digest)) return;
    MemorySource source(document.bytes);
    put(document.descriptor(), source, {.stop = stop});
  }

  void finish(const Document& top, const std::stop_token& stop) {
    put(top, stop);
    archive.add("index.json", detail::add_to_layout("", top.descriptor(), tag, shown));
    archive.finish();
  }

  std::string tag;
  std::string shown;
  detail::NewArchive archive;
  std::set<Digest> there;
  std::set<std::string> algorithms;
};

OciArchiveSink::OciArchiveSink(const boost::filesystem::path& file, const std::string& tag)
    : impl_(std::make_unique<Impl>(file, tag)) {}
OciArchiveSink::OciArchiveSink(OciArchiveSink&&) noexcept = default;
OciArchiveSink& OciArchiveSink::operator=(OciArchiveSink&&) noexcept = default;
OciArchiveSink::~OciArchiveSink() = default;

std::string OciArchiveSink::name() const { return impl_->shown; }
bool OciArchiveSink::has(const Descriptor& descriptor, const std::stop_token&) {
  return impl_->there.contains(descriptor.digest);
}
void OciArchiveSink::put(const Descriptor& blob, ByteSource& source, const Control& control) {
  impl_->put(blob, source, control);
}
void OciArchiveSink::put(const Document& document, const std::stop_token& stop) { impl_->put(document, stop); }
void OciArchiveSink::finish(const Document& top, const std::stop_token& stop) { impl_->finish(top, stop); }

}  // namespace strata
