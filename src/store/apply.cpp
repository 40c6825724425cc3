#include <strata/apply.hpp>

#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/layer_extract.hpp"
#include "store/lock.hpp"
#include "tree/flat_merge.hpp"

namespace strata {

namespace {

using namespace detail;

constexpr std::string_view staging_prefix = ".strata-apply.";

/// A directory inside the one that is applied to, so that finished files can be renamed out of it. Locked while it
/// lives.
class Staging {
 public:
  explicit Staging(int root) : root_(root), time_(stat_of(root).mtime) {
    for (const DirectoryEntry& entry : list_directory(root)) {
      if (!entry.name.starts_with(staging_prefix)) continue;
      // Of an apply that was killed. Names are a guess; only what is a directory with a free lock of ours goes. A layer
      // can have made it: its `lock` may be a device, which even opening would wake.
      const FileDescriptor dir(sys::openat(root, entry.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      if (!dir) continue;
      const auto lock = try_stat(dir.get(), "lock");
      if (lock && lock->is_file() && Lock::attempt(dir.get(), "lock", Lock::Kind::exclusive))
        remove_tree(root, entry.name);
    }
    name_ = std::string(staging_prefix) + random_name();
    if (sys::mkdirat(root, name_.c_str(), 0700) != 0) throw_errno(errno, "stage the layer in", "the directory");
    dir_.reset(sys::openat(root, name_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (!dir_) throw_errno(errno, "open", quoted(name_));
    lock_ = Lock::wait(dir_.get(), "lock", Lock::Kind::exclusive);
    if (sys::mkdirat(dir_.get(), "fs", 0700) != 0) throw_errno(errno, "create", quoted(name_ + "/fs"));
    fs_.reset(sys::openat(dir_.get(), "fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (!fs_) throw_errno(errno, "open", quoted(name_ + "/fs"));
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging() {
    try {
      const Timestamp now = done_ ? stat_of(root_).mtime : time_;
      remove_tree(root_, name_);
      ObjectSetter::set_times(root_, now, "/");
    } catch (const std::exception&) {
      // The next apply removes what is left.
    }
  }
  const std::string& name() const { return name_; }
  int fs() const { return fs_.get(); }
  /// The directory's own time is now as it shall be.
  void done() { done_ = true; }

 private:
  int root_;
  Timestamp time_;
  std::string name_;
  FileDescriptor dir_, fs_;
  std::optional<Lock> lock_;
  bool done_ = false;
};

/// Extracts into the staging directory; `place` puts it where it belongs. Runs in a thread with an umask of its own.
template <class Place>
ApplyResult apply(ByteSource& source, const Staging& staging, BuilderOptions builder_options,
                  const ApplyOptions& options, Place place) {
  ApplyResult result;
  const std::vector<CompressionPolicy> codecs = known_codecs();
  LayerStream stream(source, HashPolicy::of<Sha256>(), codecs, options.control, options.budget);
  with_zero_umask([&](bool umask_is_zero) {
    builder_options.conformance = options.conformance;
    builder_options.owners = options.owners;
    builder_options.ids = options.ids;
    builder_options.budget = options.budget;
    builder_options.umask_is_zero = umask_is_zero;
    builder_options.writers = writers_for(stream);
    builder_options.staging_name = staging.name();
    TreeBuilder builder(staging.fs(), -1, builder_options, result.report);
    const ExtractOptions extract{options.conformance, options.end, options.expected_blob, options.expected_diff_id,
                                 options.budget};
    const LayerStream::Result read = extract_layer(stream, builder, nullptr, extract, options.control, result.report);
    result.diff_id = read.diff_id;
    result.blob = read.blob;
    result.tar_size = read.tar_size;
    result.entries = builder.entries();
    bool altered = false;
    place(builder, ObjectSetter{options.owners, result.report, options.conformance, &altered});
  });
  return result;
}

}  // namespace

ApplyResult apply_flat(ByteSource& source, const boost::filesystem::path& root, const ApplyOptions& options) {
  // One descriptor for what is read and what is written, should the path come to lead elsewhere.
  const MergedView lower(std::vector{root}, MergedView::Marks::none);
  const int directory = lower.root_descriptor(0);
  Staging staging(directory);
  BuilderOptions builder_options;
  builder_options.link_lower = true;
  return apply(source, staging, builder_options, options, [&](TreeBuilder& builder, const ObjectSetter& setter) {
    builder.resolve(lower);
    builder.seal(TreeBuilder::Marks::none);
    merge_flat(builder, directory, setter);
    if (builder.root_listed()) staging.done();
  });
}

ApplyResult apply_overlay(ByteSource& source, const boost::filesystem::path& upper,
                          const std::vector<boost::filesystem::path>& lowers, std::optional<UnionForm> form,
                          const ApplyOptions& options) {
  if (form && *form != UnionForm::overlay_trusted && *form != UnionForm::overlay_user)
    throw_error(errc::unsupported, "apply a layer in the union form", std::string(to_string(*form)),
                "layers are applied as overlay-trusted or overlay-user");
  const FileDescriptor directory = open_directory(upper);
  if (!list_directory(directory.get(), upper.native()).empty())
    throw_errno(ENOTEMPTY, "apply a layer to the upper directory", quoted(upper.native()), "",
                "an upper directory must be empty");
  const MergedView lower = lowers.empty() ? MergedView() : MergedView(lowers);
  BuilderOptions builder_options;
  builder_options.form = form ? *form : best_union_form(directory.get());
  Staging staging(directory.get());
  return apply(source, staging, builder_options, options, [&](TreeBuilder& builder, const ObjectSetter& setter) {
    builder.resolve(lower);
    builder.seal(TreeBuilder::Marks::written);
    // The upper's root is the merged root: where the layer doesn't list it, it looks like the one below.
    const Attributes* listed = builder.attributes(LayerIndex::root);
    Attributes attributes;
    if (listed != nullptr) {
      attributes = *listed;
    } else if (const auto low = lower.root()) {
      attributes = attributes_of(low->metadata, lower.xattrs(*low));
    } else {
      attributes = builder.undescribed("/");
    }
    for (const DirectoryEntry& entry : list_directory(staging.fs()))
      put_in_place(staging.fs(), entry.name, directory.get());
    setter.replace_directory(directory.get(), attributes, "/");
    ObjectSetter::set_times(directory.get(), attributes.mtime, "/");
    staging.done();
  });
}

}  // namespace strata
