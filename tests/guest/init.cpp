// The first process of a guest (run.py): mounts what a system has, runs the command that it is given, and ends the
// guest. Its environment is the kernel's command line: GUEST_SHARE, a directory that the host shares, with `modules`
// (files to load, in order), `command` (a script) and, when that began and ended, `started` and `status`.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

void complain(const std::string& what) { std::fprintf(stderr, "guest: %s: %s\n", what.c_str(), std::strerror(errno)); }

void mount_at(const char* source, const std::string& target, const char* type, const std::string& options = {}) {
  ::mkdir(target.c_str(), 0755);
  if (::mount(source, target.c_str(), type, 0, options.c_str()) != 0 && errno != EBUSY)
    complain("mount " + std::string(type) + " on " + target);
}

void load_modules(const std::string& list) {
  std::ifstream files(list);
  for (std::string file; std::getline(files, file);) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (::syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)) complain("load " + file);
    ::close(fd);
  }
}

int run(const std::string& script) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    ::execl("/bin/bash", "bash", script.c_str(), nullptr);
    complain("run bash");
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(-1, &status, 0) != child) {  // it is the parent of all that lost theirs
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int main() {
  const char* const named = std::getenv("GUEST_SHARE");
  const std::string share = named ? named : "/nowhere";
  mount_at("proc", "/proc", "proc");
  mount_at("sys", "/sys", "sysfs");
  mount_at("dev", "/dev", "devtmpfs");
  mount_at("run", "/run", "tmpfs", "mode=755");
  mount_at("shm", "/dev/shm", "tmpfs");
  mount_at("share", share, "hostfs", share);
  load_modules(share + "/modules");
  mount_at("/dev/ubda", "/run/disk", "ext4");
  for (const int standard : {0, 1, 2}) {
    const int console = ::open("/dev/console", O_RDWR);
    if (console != standard) ::dup2(console, standard);
  }
  if (::symlink("/proc/self/fd", "/dev/fd") != 0) complain("make /dev/fd");
  ::setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
  ::setenv("TMPDIR", "/run/disk", 1);
  ::setenv("HOME", "/run/disk", 1);
  ::setenv("TERM", "dumb", 1);
  std::ofstream(share + "/started") << "yes\n";
  const int status = run(share + "/command");
  std::ofstream(share + "/status") << status << "\n";
  ::sync();
  ::reboot(RB_POWER_OFF);
}
