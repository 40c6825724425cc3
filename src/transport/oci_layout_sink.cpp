#include <strata/error.hpp>
#include <strata/transport/oci_layout.hpp>

#include "base/files.hpp"
#include "transport/checked_source.hpp"
#include "transport/file_range.hpp"
#include "transport/layout_index.hpp"
#include "transport/sys_flock.hpp"
#include "transport/unfinished_file.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

namespace strata {

namespace {

using detail::DirectoryFiles;
using detail::UnfinishedFile;

/// Makes a directory as programs do, by the umask; one that is there is fine.
void make_directory(int dir, const std::string& path) {
  if (sys::mkdirat(dir, path.c_str(), 0777) != 0 && errno != EEXIST)
    throw_errno(errno, "create the directory", quoted(path));
}

boost::filesystem::path made(const boost::filesystem::path& directory) {
  make_directory(AT_FDCWD, directory.native());
  return directory;
}

/// The right to change the layout's index, among all that run on this library.
FileDescriptor lock_layout(int dir, const std::string& shown, const std::stop_token& stop) {
  FileDescriptor fd(sys::openat(dir, ".", O_RDONLY | O_DIRECTORY));
  if (!fd) throw_errno(errno, "lock", shown);
  while (sys::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw_errno(errno, "lock", shown);
    if (stop.stop_requested()) throw_error(errc::cancelled, "lock", shown);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return fd;
}

}  // namespace

struct OciLayoutSink::Impl {
  Impl(const boost::filesystem::path& directory, std::string the_tag)
      : tag(std::move(the_tag)),
        shown(quoted("oci:" + directory.native() + (tag.empty() ? "" : ":" + tag))),
        files(made(directory)) {
    detail::check_layout_tag(tag);
    begin();
  }

  /// Makes a layout of an empty directory, or completes what a crash left of that.
  void begin() {
    const FileDescriptor lock = lock_layout(dir(), shown, {});
    if (const auto version = read("oci-layout")) {
      detail::check_layout_version(*version, shown);
    } else {
      const auto there = detail::list_directory(lock.get(), shown);
      const auto foreign = std::ranges::find_if(
          there, [](const auto& entry) { return !entry.name.starts_with(UnfinishedFile::prefix); });
      if (foreign != there.end())
        throw_error(errc::refused, "make a layout of", shown,
                    "it is none, and not empty: it has " + quoted(foreign->name), "name a new or an empty directory");
      write("oci-layout", detail::layout_version_file);
    }
    if (!read("index.json")) write("index.json", R"({"schemaVersion":2,"manifests":[]})");
  }

  int dir() const { return files.descriptor(); }

  std::optional<std::string> read(const std::string& file) const {
    const auto found = files.find(file);
    if (!found) return std::nullopt;
    return detail::read_range(*found, Document::max_size, quoted(file) + " of " + shown, {});
  }

  void write(const std::string& name, std::string_view text) const {
    UnfinishedFile file(dir(), quoted(name) + " of " + shown);
    file.write(std::as_bytes(std::span(text.data(), text.size())));
    file.publish(dir(), name);
    detail::sync_directory(dir(), shown);
  }

  bool has(const Descriptor& blob) const {
    const auto found = files.find(detail::blob_path(blob.digest));
    return found && found->size == blob.size;
  }

  void put(const Descriptor& blob, ByteSource& source, const Control& control) const {
    UnfinishedFile file(dir(), blob.digest.to_string() + " of " + shown);
    detail::CheckedSource checked(source, blob, control);
    copy(checked, file);
    const std::string algorithm(blob.digest.algorithm());
    make_directory(dir(), "blobs");
    const FileDescriptor blobs = detail::open_beneath(dir(), "blobs", O_RDONLY | O_DIRECTORY, shown);
    make_directory(blobs.get(), algorithm);
    const FileDescriptor kind = detail::open_beneath(blobs.get(), algorithm, O_RDONLY | O_DIRECTORY, shown);
    file.publish(kind.get(), blob.digest.hex());
  }

  void put(const Document& document, const std::stop_token& stop) const {
    if (has(document.descriptor())) return;
    MemorySource source(document.bytes);
    put(document.descriptor(), source, {.stop = stop});
  }

  void finish(const Document& top, const std::stop_token& stop) const {
    put(top, stop);
    for (const char* directory : {"blobs/sha256", "blobs/sha512", "blobs"})
      if (const auto fd = detail::try_open_beneath(dir(), directory, O_RDONLY | O_DIRECTORY, shown))
        detail::sync_directory(fd.get(), shown);
    const FileDescriptor lock = lock_layout(dir(), shown, stop);
    write("index.json", detail::add_to_layout(read("index.json").value_or(""), top.descriptor(), tag, shown));
  }

  std::string tag;
  std::string shown;
  DirectoryFiles files;
};

OciLayoutSink::OciLayoutSink(const boost::filesystem::path& directory, const std::string& tag)
    : impl_(std::make_unique<Impl>(directory, tag)) {}
OciLayoutSink::OciLayoutSink(OciLayoutSink&&) noexcept = default;
OciLayoutSink& OciLayoutSink::operator=(OciLayoutSink&&) noexcept = default;
OciLayoutSink::~OciLayoutSink() = default;

std::string OciLayoutSink::name() const { return impl_->shown; }
bool OciLayoutSink::has(const Descriptor& descriptor, const std::stop_token&) { return impl_->has(descriptor); }
void OciLayoutSink::put(const Descriptor& blob, ByteSource& source, const Control& control) {
  impl_->put(blob, source, control);
}
void OciLayoutSink::put(const Document& document, const std::stop_token& stop) { impl_->put(document, stop); }
void OciLayoutSink::finish(const Document& top, const std::stop_token& stop) { impl_->finish(top, stop); }

}  // namespace strata
