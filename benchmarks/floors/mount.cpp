// What the kernel takes for an overlay mount: the floor under Mounter.
//
//   mount classic|modern ROUNDS DIRECTORY LOWER...
//
// Each round makes an upper, a work directory and a mount point in DIRECTORY, mounts LOWERs (topmost first) and
// unmounts again. classic: mount(2) with one string of options, from inside DIRECTORY, since names count towards its
// page; modern: fsopen, fsconfig, fsmount, move_mount, which needs Linux 6.5 for "lowerdir+". Prints three numbers:
// medians of microseconds of making the directories, of mounting and of unmounting.
#include "floor.hpp"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <vector>

// sys/mount.h and linux/mount.h define the same names, differently.
extern "C" int mount(const char*, const char*, const char*, unsigned long, const void*) noexcept;
extern "C" int umount2(const char*, int) noexcept;

namespace {

void classic(const std::vector<std::string>& lowers) {
  std::string options = "upperdir=u,workdir=w,lowerdir=";
  for (const std::string& lower : lowers) options += lower + ":";
  options.pop_back();
  if (mount("overlay", "m", "overlay", 0, options.c_str()) != 0) floors::fail("mount");
}

void set(int context, const char* key, const char* value) {
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0) != 0) floors::fail(key);
}

void modern(const std::vector<std::string>& lowers) {
  const int context = static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC));
  if (context < 0) floors::fail("fsopen");
  for (const std::string& lower : lowers) set(context, "lowerdir+", lower.c_str());
  set(context, "upperdir", "u");
  set(context, "workdir", "w");
  if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) floors::fail("create");
  const int made = static_cast<int>(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0));
  if (made < 0) floors::fail("fsmount");
  if (syscall(SYS_move_mount, made, "", AT_FDCWD, "m", MOVE_MOUNT_F_EMPTY_PATH) != 0) floors::fail("move_mount");
  close(made);
  close(context);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 4 ? argv[1] : "";
  const int rounds = argc > 4 ? std::atoi(argv[2]) : 0;
  if ((mode != "classic" && mode != "modern") || rounds < 1)
    floors::usage("mount classic|modern ROUNDS DIRECTORY LOWER...");
  if (chdir(argv[3]) != 0) floors::fail(argv[3]);
  const std::vector<std::string> lowers(argv + 4, argv + argc);
  std::vector<double> prepared, mounted, unmounted;
  for (int i = 0; i < rounds; ++i) {
    const double start = floors::now();
    for (const char* directory : {"u", "w", "m"})
      if (mkdir(directory, 0700) != 0) floors::fail(directory);
    const double made = floors::now();
    mode == "classic" ? classic(lowers) : modern(lowers);
    const double up = floors::now();
    if (umount2("m", 0) != 0) floors::fail("umount");
    const double down = floors::now();
    prepared.push_back(1e6 * (made - start));
    mounted.push_back(1e6 * (up - made));
    unmounted.push_back(1e6 * (down - up));
    for (const char* directory : {"u", "w/work", "w", "m"})
      if (rmdir(directory) != 0) floors::fail(directory);
  }
  std::printf("%.1f\t%.1f\t%.1f\n", median(prepared), median(mounted), median(unmounted));
}
