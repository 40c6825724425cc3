#include "mount/dm_control.hpp"

#include <strata/error.hpp>

#include "mount/sys_mount.hpp"

#include <linux/dm-ioctl.h>

#include <chrono>
#include <cstring>
#include <thread>

namespace strata::detail {
namespace {

constexpr const char* control_node = "/dev/mapper/control";
constexpr int patience = 2000;  // milliseconds

[[noreturn]] void throw_failed(int number, const std::string& what, const std::string& name,
                               const std::string& detail = {}) {
  throw_errno(number, what, "device " + quoted(name), detail,
              number == EPERM || number == EACCES ? "device mapper needs root" : "");
}

/// The structure that comes after the kernel's own in `buffer`, at `offset`.
template <class T>
T read_at(std::string_view buffer, std::size_t offset) {
  T value{};
  if (offset + sizeof value <= buffer.size()) std::memcpy(&value, buffer.data() + offset, sizeof value);
  return value;
}

dm_ioctl head_of(std::string_view answer) { return read_at<dm_ioctl>(answer, 0); }

}  // namespace

bool comes_true(const std::function<bool()>& condition) {
  for (int waited = 0; !condition(); ++waited) {
    if (waited == patience) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

DmControl::DmControl() : control_(sys::openat(AT_FDCWD, control_node, O_RDWR)) {
  if (!control_)
    throw_errno(errno, "open", quoted(control_node), "device mapper",
                errno == ENOENT ? "load its module (modprobe dm-thin-pool)" : "device mapper needs root");
}

int DmControl::call(unsigned long request, const std::string& name, std::uint32_t flags, std::string_view data,
                    std::string* answer) const {
  std::size_t room = 4096;
  for (;;) {
    std::string buffer(sizeof(dm_ioctl) + data.size() + room, '\0');
    dm_ioctl head{};
    head.version[0] = DM_VERSION_MAJOR;
    head.data_size = static_cast<std::uint32_t>(buffer.size());
    head.data_start = sizeof head;
    head.flags = flags;
    head.target_count = request == DM_TABLE_LOAD ? 1 : 0;
    name.copy(head.name, sizeof head.name - 1);
    std::memcpy(buffer.data(), &head, sizeof head);
    data.copy(buffer.data() + sizeof head, data.size());
    const int failed = sys::once("dm_ioctl", [&] { return ::ioctl(control_.get(), request, buffer.data()); });
    if (failed != 0) return errno;
    if (head_of(buffer).flags & DM_BUFFER_FULL_FLAG) {
      room *= 2;
      continue;
    }
    if (answer) *answer = std::move(buffer);
    return 0;
  }
}

std::optional<std::string> DmControl::target_version(const std::string& target) const {
  std::string answer;
  if (call(DM_GET_TARGET_VERSION, target, 0, {}, &answer) != 0) return std::nullopt;
  const auto found = read_at<dm_target_versions>(answer, head_of(answer).data_start);
  return std::to_string(found.version[0]) + "." + std::to_string(found.version[1]) + "." +
         std::to_string(found.version[2]);
}

std::optional<DmState> DmControl::find(const std::string& name) const {
  std::string answer;
  if (const int number = call(DM_DEV_STATUS, name, 0, {}, &answer)) {
    if (number == ENXIO) return std::nullopt;
    throw_failed(number, "look at", name);
  }
  const dm_ioctl head = head_of(answer);
  // The kernel's huge encoding of a device number, which for numbers of this size is what makedev() makes.
  return DmState{static_cast<dev_t>(head.dev), head.open_count > 0, (head.flags & DM_ACTIVE_PRESENT_FLAG) != 0};
}

std::vector<std::string> DmControl::names(std::string_view prefix) const {
  std::string answer;
  if (const int number = call(DM_LIST_DEVICES, {}, 0, {}, &answer)) throw_failed(number, "list", "all");
  std::vector<std::string> found;
  for (std::size_t at = head_of(answer).data_start;;) {
    dm_name_list entry{};
    std::memcpy(&entry, answer.data() + at, offsetof(dm_name_list, name));
    if (entry.dev == 0) return found;  // there is none at all
    const std::string name(answer.data() + at + offsetof(dm_name_list, name));
    if (name.starts_with(prefix)) found.push_back(name);
    if (entry.next == 0) return found;
    at += entry.next;
  }
}

void DmControl::create(const std::string& name, const DmTable& table) const {
  if (const int number = call(DM_DEV_CREATE, name, 0, {})) throw_failed(number, "make", name);
  std::string data(sizeof(dm_target_spec), '\0');
  dm_target_spec spec{};
  spec.length = table.sectors;
  table.target.copy(spec.target_type, sizeof spec.target_type - 1);
  std::memcpy(data.data(), &spec, sizeof spec);
  data += table.parameters;
  data.resize((data.size() + 8) / 8 * 8);
  int number = call(DM_TABLE_LOAD, name, 0, data);
  if (number == 0) number = call(DM_DEV_SUSPEND, name, 0, {});  // without its flag: the opposite
  if (number == 0) return;
  remove(name, false);
  throw_failed(number, "make", name, table.target + " " + table.parameters);
}

int DmControl::remove(const std::string& name, bool with_last_user) const {
  return call(DM_DEV_REMOVE, name, with_last_user ? DM_DEFERRED_REMOVE : 0, {});
}

bool DmControl::remove_and_wait(const std::string& name) const {
  return comes_true([&] {
    const int number = remove(name, false);
    if (number != 0 && number != ENXIO && number != EBUSY) throw_failed(number, "remove", name);
    return number != EBUSY;
  });
}

int DmControl::message(const std::string& name, const std::string& text) const {
  std::string data(sizeof(dm_target_msg), '\0');
  data += text;
  data += '\0';
  return call(DM_TARGET_MSG, name, 0, data);
}

std::string DmControl::status(const std::string& name) const {
  std::string answer;
  // Without a flush: a pool that is full couldn't do that.
  if (const int number = call(DM_TABLE_STATUS, name, DM_NOFLUSH_FLAG, {}, &answer))
    throw_failed(number, "look at", name);
  return answer.c_str() + head_of(answer).data_start + sizeof(dm_target_spec);
}

BlockNode::BlockNode(dev_t device, const std::string& name) : path_("/dev/mapper/" + name) {
  for (const int tries : {0, 1}) {
    if (sys::mknodat(AT_FDCWD, path_.c_str(), S_IFBLK | 0600, device) == 0) return;
    // One that a killed process left, of whatever device.
    if (errno != EEXIST || tries == 1) throw_errno(errno, "make the node", quoted(path_));
    sys::unlinkat(AT_FDCWD, path_.c_str(), 0);
  }
}

BlockNode::~BlockNode() { sys::unlinkat(AT_FDCWD, path_.c_str(), 0); }

FileDescriptor hold_device(const DmControl& control, const std::string& name, const std::function<void()>& create) {
  FileDescriptor device;
  const bool held = comes_true([&] {
    auto state = control.find(name);
    // A process was killed before it had a table.
    if (state && !state->ready) {
      control.remove(name, false);
      state.reset();
    }
    if (!state) {
      create();
      state = control.find(name);
    }
    if (!state) return false;
    const BlockNode node(state->device, name);
    device.reset(sys::openat(AT_FDCWD, node.path().c_str(), O_RDONLY));
    return device && control.remove(name, true) == 0;
  });
  if (!held) throw_failed(EBUSY, "open", name);
  return device;
}

}  // namespace strata::detail
