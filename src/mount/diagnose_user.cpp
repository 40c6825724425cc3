#include <strata/mount/kernel_overlay.hpp>

#include "mount/diagnose_parts.hpp"
#include "mount/host.hpp"
#include "mount/sys_mount.hpp"

#include <pwd.h>

#include <array>
#include <sstream>

namespace strata::detail {
namespace {

struct Capability {
  const char* name;
  unsigned bit;  // linux/capability.h
  const char* without;
};
constexpr Capability capabilities[] = {
    {"CAP_SYS_ADMIN", 21, "nothing can be mounted"},
    {"CAP_CHOWN", 0, "files can't be given their owners"},
    {"CAP_MKNOD", 27, "devices in layers can't be made; they are recorded, and exported as they came"},
    {"CAP_DAC_OVERRIDE", 1, "files that their mode shuts can't be read"},
    {"CAP_FOWNER", 3, "modes and times of others' files can't be set"},
    {"CAP_SETFCAP", 31, "file capabilities can't be set"},
};

/// "0 1000 1\n1 100000 65536\n" as "0 is 1000, 1-65536 are 100000-165535".
std::string shown_map(const char* file) {
  std::istringstream lines(read_text(file).value_or(""));
  std::string text;
  std::uint64_t inside = 0;
  std::uint64_t outside = 0;
  std::uint64_t count = 0;
  while (lines >> inside >> outside >> count) {
    if (!text.empty()) text += ", ";
    if (count == 1)
      text += std::to_string(inside) + " is " + std::to_string(outside);
    else
      text += std::to_string(inside) + "-" + std::to_string(inside + count - 1) + " are " + std::to_string(outside) +
              "-" + std::to_string(outside + count - 1);
  }
  return text.empty() ? "none" : text;
}

std::string user_name(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer;
  return ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found ? entry.pw_name : "";
}

/// The ranges that a file of "USER:FIRST:COUNT" lines (subuid(5)) gives a user.
std::string subordinate_ids(const char* file, const std::string& name, const std::string& number) {
  std::istringstream lines(read_text(file).value_or(""));
  std::string ranges;
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(':');
    const std::string user = line.substr(0, colon);
    if (colon == std::string::npos || (user != name && user != number)) continue;
    ranges += (ranges.empty() ? "" : ", ") + line.substr(colon + 1);
  }
  return ranges;
}

bool is_number(const char* file, const char* number) {
  const auto text = read_text(file);
  return text && *text == std::string(number) + "\n";
}

void diagnose_namespaces(Topic& topic, const std::string& name, const std::string& number) {
  if (!in_initial_user_namespace()) {
    topic.good("user ids here", shown_map("/proc/thread-self/uid_map"));
    topic.good("group ids here", shown_map("/proc/thread-self/gid_map"));
    return;
  }
  const char* const remedy = "ordinary users can't mount";
  if (is_number("/proc/sys/user/max_user_namespaces", "0"))
    topic.limited("user namespaces", "none allowed", std::string(remedy) + ": sysctl user.max_user_namespaces=15000");
  else if (is_number("/proc/sys/kernel/unprivileged_userns_clone", "0"))
    topic.limited("user namespaces", "root's only",
                  std::string(remedy) + ": sysctl kernel.unprivileged_userns_clone=1");
  else if (is_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"))
    topic.limited("user namespaces", "restricted by AppArmor",
                  std::string(remedy) + ": sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile");
  else
    topic.good("user namespaces", "allowed");

  if (number == "0") return;
  for (const char* file : {"/etc/subuid", "/etc/subgid"}) {
    const std::string ranges = subordinate_ids(file, name, number);
    if (ranges.empty())
      topic.limited(file, "no range",
                    "in a user namespace all files have one owner: add a line " + (name.empty() ? number : name) +
                        ":100000:65536");
    else
      topic.good(file, ranges);
  }
}

}  // namespace

void diagnose_user(std::vector<Finding>& findings) {
  Topic topic(findings, "user");
  const std::string number = std::to_string(::geteuid());
  const std::string name = user_name(::geteuid());
  topic.good("user", number + (name.empty() ? "" : " (" + name + ")") +
                         (in_initial_user_namespace() ? "" : ", in a user namespace"));

  const std::uint64_t held = effective_capabilities();
  for (const Capability& capability : capabilities) {
    if (held >> capability.bit & 1)
      topic.good(capability.name, "yes");
    else
      topic.limited(capability.name, "no", std::string(capability.without) + ": work as root, or in a user namespace");
  }
  diagnose_namespaces(topic, name, number);

  const MountProbe probe = KernelOverlay().probe();
  probe.usable ? topic.good("mounting", "yes") : topic.bad("mounting", "no", probe.why);
}

}  // namespace strata::detail
