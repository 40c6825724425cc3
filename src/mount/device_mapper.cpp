#include <strata/error.hpp>
#include <strata/mount/device_mapper.hpp>

#include "base/files.hpp"
#include "mount/flatten.hpp"
#include "mount/host.hpp"
#include "mount/sys_mount.hpp"
#include "mount/thin_pool.hpp"
#include "mount/unmount.hpp"
#include "mount/whole.hpp"
#include "store/snapshots.hpp"
#include "tree/directory.hpp"
#include "tree/lay_upon.hpp"

#include <boost/filesystem/operations.hpp>

namespace strata {
namespace {

using namespace detail;
using boost::filesystem::path;

/// One mount by this backend.
class Work {
 public:
  Work(const MountPlan& plan, const DeviceMapperOptions& options)
      : plan_(plan),
        pool_(plan.kept, options, plan.durable),
        work_(open_directory(plan.work)),
        setter_{Owners::squash, report_, Conformance::compat, &altered_} {}

  /// Says how.
  std::string mount() {
    auto id = read_thin_record(work_.get(), device_record);
    const std::string made = id ? "a thin device that was there" : "a thin snapshot";
    if (!id) id = make_container();
    make_directory(AT_FDCWD, plan_.upper.native());
    const bool attached = attach(*id);
    try {
      return made + " with " + name_of(pool_.filesystem()) + ", " + attach_whole(plan_);
    } catch (...) {
      if (attached) sys::umount2(plan_.upper.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
      throw;
    }
  }

  /// What the exception at hand comes from: where the pool is full, or broken, that, whatever was noticed of it.
  std::exception_ptr cause() const {
    const auto failed = std::current_exception();
    try {
      pool_.check("what is to be mounted on " + quoted(plan_.target.native()));
      return failed;
    } catch (Error& full) {
      try {
        std::rethrow_exception(failed);
      } catch (const Error& noticed) {
        if (noticed.detail() == full.detail()) return failed;
        full.add_context(noticed.what());
      } catch (const std::exception&) {
      }
      return std::current_exception();
    }
  }

 private:
  /// flattened() makes a record where a directory would be; the layer's tree goes upon the device that it names.
  Snapshots layers() {
    return {[this](const Snapshots::Wanted& wanted, const std::function<void(int)>& fill) {
              std::uint32_t id = 0;
              {
                const Lock alone = pool_.lock();
                id = pool_.snapshot(device_of(wanted.below), wanted.place.lexically_relative(plan_.kept / "devices"));
                write_record(wanted.parent, wanted.name, id);
              }
              try {
                pool_.fill(id, fill);
              } catch (...) {
                // Now: what it takes is wanted, and nobody may come to flatten anything for long.
                const auto why = cause();
                discard();
                std::rethrow_exception(why);
              }
            },
            [this](int, const std::string&) { discard(); }};
  }

  void discard() {
    const Lock alone = pool_.lock();
    pool_.discard_half_made();
  }

  /// Of a layer's record; of none, the one that every other begins as.
  static std::uint32_t device_of(const path& record) {
    if (record.empty()) return 0;
    const auto id = read_thin_record(AT_FDCWD, record.native());
    if (!id) throw_error(errc::not_found, "open", quoted(record.native()), "it was removed a moment ago");
    return *id;
  }

  void write_record(int dir, const std::string& name, std::uint32_t id) const {
    write_small_file(dir, name, thin_record(id));
    if (plan_.durable) sync_file(dir, name);
  }

  std::uint32_t make_container() {
    const std::uint32_t below = device_of(flattened(plan_, layers(), setter_));
    const Lock alone = pool_.lock();
    const path devices = boost::filesystem::canonical(plan_.kept / "devices");
    const path record = boost::filesystem::canonical(plan_.work) / device_record;
    const std::uint32_t id = pool_.snapshot(below, record.lexically_relative(devices));
    if (plan_.lowers.size() > plan_.chain.size())
      pool_.fill(id, [&](int tree) {
        for (std::size_t above = plan_.lowers.size() - plan_.chain.size(); above-- > 0;)
          lay_upon(plan_.lowers[above], plan_.form, tree, setter_, plan_.control);
      });
    const std::string draft = std::string(device_record) + ".new";
    sys::unlinkat(work_.get(), draft.c_str(), 0);
    write_record(work_.get(), draft, id);
    if (sys::renameat2(work_.get(), draft.c_str(), work_.get(), device_record, RENAME_NOREPLACE) != 0)
      throw_errno(errno, "write", quoted((plan_.work / device_record).native()));
    if (plan_.durable) sync_directory(work_.get(), plan_.work.native());
    return id;
  }

  /// False: it is mounted at plan.upper already.
  bool attach(std::uint32_t id) const {
    const FileDescriptor device = pool_.hold(id);
    if (stat_of(open_directory(plan_.upper).get()).device == stat_of(device.get()).rdev) return false;
    const bool is_name = plan_.source.find('/') == std::string::npos && plan_.source.size() < 256;
    attach_directory(
        mount_detached(pool_.filesystem(), device.get(), is_name ? plan_.source : "strata", plan_.read_only),
        ThinPool::tree, plan_.work, plan_.upper);
    return true;
  }

  const MountPlan& plan_;
  ThinPool pool_;
  FileDescriptor work_;
  // What this user can't give was reported when the layers were imported.
  Report report_;
  bool altered_ = false;
  ObjectSetter setter_;
};

void check_options(const DeviceMapperOptions& options) {
  const auto refuse = [](const std::string& what, const std::string& remedy) {
    throw_error(errc::bad_argument, "mount", "by devicemapper", what, remedy);
  };
  if (options.data.empty() != options.metadata.empty()) refuse("one of data and metadata alone is named", "name both");
  if (options.block_size == 0 || options.block_size % (64U << 10) != 0 || options.block_size > 1U << 30)
    refuse("a block_size of " + std::to_string(options.block_size), "give a multiple of 64 KiB, up to 1 GiB");
}

}  // namespace

MountProbe DeviceMapper::probe() const {
  MountProbe probe;
  probe.features.emplace_back("layers at most", "any number");
  const std::string mkfs = find_mkfs(options.filesystem);
  probe.features.emplace_back("mkfs", mkfs.empty() ? "none" : mkfs);
  try {
    const auto version = DmControl().target_version("thin-pool");
    probe.features.emplace_back("thin-pool", version.value_or("none"));
    if (!version)
      probe.why = "this kernel's device mapper has no thin pools: load the module (modprobe dm-thin-pool)";
    else if (mkfs.empty())
      probe.why = std::string("there is no program mkfs.") + name_of(options.filesystem);
  } catch (const Error& error) {
    probe.why = error.what();
  }
  probe.usable = probe.why.empty();
  return probe;
}

bool DeviceMapper::reads(UnionForm form) const {
  return (form == UnionForm::overlay_trusted || form == UnionForm::overlay_user) && sees_marks(form);
}

MountResult DeviceMapper::mount(const MountPlan& plan) const {
  check_whole(plan, name);
  check_kept(plan);
  check_options(options);
  boost::system::error_code failed;
  boost::filesystem::create_directories(plan.kept, failed);
  if (failed) throw_errno(failed.value(), "create the directory", quoted(plan.kept.native()));
  Work work(plan, options);
  try {
    return {work.mount()};
  } catch (...) {
    std::rethrow_exception(work.cause());
  }
}

void DeviceMapper::unmount(std::string_view target) const { unmount_at(std::string(target), name); }

void DeviceMapper::sweep(const path& kept) const {
  if (ThinPool::has_garbage(kept)) ThinPool(kept, options, true);
}

}  // namespace strata
