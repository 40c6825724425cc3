// Device mapper, by its own ioctls. (libdevmapper would bring a state for the whole process, messages on stderr, a
// umask that changes, and a wait for udev; what is needed of it is this.)
#pragma once

#include <strata/file_descriptor.hpp>

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// What a device is made of: one target over all of it.
struct DmTable {
  std::uint64_t sectors = 0;
  std::string target;
  std::string parameters;
};

/// What the kernel says of a device.
struct DmState {
  dev_t device = 0;
  bool open = false;
  bool ready = false;  ///< it has a table
};

/// Tries again every millisecond, for a while: the kernel takes things down a little after their last user, and udev
/// looks at whatever comes. False: in vain.
bool comes_true(const std::function<bool()>& condition);

/// Errors are Error, unless it says otherwise.
class DmControl {
 public:
  DmControl();

  /// "1.22.0"; nullopt: this kernel doesn't have the target, and no module of that name.
  std::optional<std::string> target_version(const std::string& target) const;
  std::optional<DmState> find(const std::string& name) const;
  std::vector<std::string> names(std::string_view prefix) const;
  void create(const std::string& name, const DmTable& table) const;
  /// 0 or errno: ENXIO where it isn't there, EBUSY while it is open. `with_last_user`: of one that is open success, and
  /// it goes when it no longer is (Linux 3.13).
  int remove(const std::string& name, bool with_last_user) const;
  /// Removes it, and waits a little for who has it open. False: it stays open.
  bool remove_and_wait(const std::string& name) const;
  /// 0 or errno.
  int message(const std::string& name, const std::string& text) const;
  /// The status line of its target.
  std::string status(const std::string& name) const;

 private:
  int call(unsigned long request, const std::string& name, std::uint32_t flags, std::string_view data,
           std::string* answer = nullptr) const;
  FileDescriptor control_;
};

/// Opens a device, which `create` makes where there is none of that name. It goes with its last user, of which the
/// result is one: whoever is killed leaves none.
FileDescriptor hold_device(const DmControl& control, const std::string& name, const std::function<void()>& create);

/// A node of a block device in /dev/mapper, for as long as this lives: udev, which would make one, may not be there.
class BlockNode {
 public:
  BlockNode(dev_t device, const std::string& name);
  BlockNode(const BlockNode&) = delete;
  BlockNode& operator=(const BlockNode&) = delete;
  ~BlockNode();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace strata::detail
