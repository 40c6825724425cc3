// Where a sandbox or an old kernel refuses system calls, a container lives all the same, and comes to the same layer:
// seccomp filters, as container runtimes have them, in a process of its own. What is refused once is remembered by
// strata, so that each life is a new run of this program.
#include <strata/diagnose.hpp>

#include "support/container_life.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstdlib>

using namespace strata;
using namespace strata::test;
using Catch::Contains;

namespace {

constexpr const char* life_variable = "STRATA_TEST_LIFE_TO";

struct Denial {
  long call;
  int command = -1;  ///< of fsconfig: only this one
};

const std::vector<Denial> openat2_call = {{SYS_openat2}};
const std::vector<Denial> mount_calls = {{SYS_fsopen},     {SYS_fsconfig},      {SYS_fsmount},  {SYS_fspick},
                                         {SYS_move_mount}, {SYS_mount_setattr}, {SYS_open_tree}};
const std::vector<Denial> layers_by_descriptor = {{SYS_fsconfig, FSCONFIG_SET_FD}};
const std::vector<Denial> statmount_calls = {{457}, {458}};  // and listmount: Linux 6.8
const std::vector<Denial> new_file_calls = {
    {452}, {463}, {464}, {465}, {466}};  // fchmodat2; setxattrat and its kin: 6.13

/// Async-signal-safe, in a child. False: it can't be had here.
bool deny(const std::vector<Denial>& denials, int error) {
  std::vector<sock_filter> filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  const sock_filter answer = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error));
  for (const Denial& denial : denials) {
    const auto call = static_cast<unsigned>(denial.call);
    if (denial.command < 0) {
      filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
      filter.push_back(answer);
      continue;
    }
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4));
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args) + 8));
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(denial.command), 0, 1));
    filter.push_back(answer);
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool enter_user_namespace() {
  const auto uid = std::to_string(::geteuid()), gid = std::to_string(::getegid());
  return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
         strata::test::detail::write_to("/proc/self/setgroups", "deny") &&
         strata::test::detail::write_to("/proc/self/uid_map", "0 " + uid + " 1") &&
         strata::test::detail::write_to("/proc/self/gid_map", "0 " + gid + " 1");
}

struct Setting {
  std::vector<Denial> denials = {};
  int error = ENOSYS;
  bool user = false;    ///< as root of a user namespace
  bool nested = false;  ///< which is in another
};

/// "METHOD DIFF-ID", or what went wrong.
std::string life_under(const Setting& setting) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto self = boost::filesystem::read_symlink("/proc/self/exe").native();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    ::setenv(life_variable, std::to_string(ends[1]).c_str(), 1);
    if (setting.user || setting.nested) ::setenv("STRATA_TEST_USER_NAMESPACE", "1", 1);
    if (setting.nested && !enter_user_namespace()) ::_exit(77);
    if (!setting.denials.empty() && !deny(setting.denials, setting.error)) ::_exit(77);
    if (!::freopen("/dev/null", "w", stdout)) ::_exit(1);
    ::execl(self.c_str(), self.c_str(), "a life under whatever is refused", nullptr);
    ::_exit(1);
  }
  ::close(ends[1]);
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    answer.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 77 ? "skipped" : answer;
}

std::string diff_id_of(const std::string& life) {
  return life.substr(life.find("sha256:") == life.npos ? 0 : life.find("sha256:"));
}

}  // namespace

TEST_CASE("a life under whatever is refused", "[.]") {
  const char* const to = std::getenv(life_variable);
  if (!to) return;
  std::string answer = "no namespace";
  try {
    if (private_namespace().entered) {
      const Scratch scratch;
      const LifeResult life = container_life(scratch.root());
      const auto findings = diagnose(scratch.root());  // it never throws
      answer = findings.empty() ? "nothing was found" : life.method + " " + life.diff_id;
    }
  } catch (const std::exception& error) {
    answer = error.what();
  }
  if (::write(std::atoi(to), answer.data(), answer.size()) < 0) FAIL("nobody listens");
}

TEST_CASE("whatever system calls are refused, a container is mounted and comes to the same layer") {
  STRATA_NEEDS_NAMESPACE
  const std::string plain = life_under({});
  REQUIRE_THAT(plain, Contains("sha256:"));
  struct Row {
    const char* what;
    std::vector<Denial> denials;
    const char* method;
  };
  std::vector<Denial> all;
  for (const auto* some : {&openat2_call, &mount_calls, &statmount_calls, &new_file_calls})
    all.insert(all.end(), some->begin(), some->end());
  const Row rows[] = {{"openat2", openat2_call, "fsopen"},
                      {"the new mount API", mount_calls, "mount(2)"},
                      {"statmount", statmount_calls, "fsopen"},
                      {"fchmodat2, getxattrat", new_file_calls, "fsopen"},
                      {"all of these", all, "mount(2)"}};
  for (const Row& row : rows)
    for (const int error : {ENOSYS, EPERM}) {
      CAPTURE(row.what, error);
      const std::string life = life_under({row.denials, error});
      if (life == "skipped") {
        WARN("skipped: no seccomp filters here");
        continue;
      }
      CHECK(diff_id_of(life) == diff_id_of(plain));
      CHECK_THAT(life, Catch::StartsWith(row.method));
    }
  for (const int error : {EBADF, EOPNOTSUPP}) {  // Linux 6.7, and before
    const std::string life = life_under({layers_by_descriptor, error});
    CHECK(diff_id_of(life) == diff_id_of(plain));
    CHECK_THAT(life, Catch::StartsWith("fsopen, layers by name"));
  }
}

TEST_CASE("in a user namespace, and in one that is in another, it comes to the same layer, whatever is refused") {
  STRATA_NEEDS_NAMESPACE
  const std::string plain = life_under({});
  for (const bool nested : {false, true})
    for (const auto* denials : {&openat2_call, &mount_calls, &statmount_calls}) {
      CAPTURE(nested);
      for (const std::string& life :
           {life_under({.user = true, .nested = nested}),
            life_under({.denials = *denials, .error = EPERM, .user = true, .nested = nested})}) {
        if (life == "skipped" || life == "no namespace") {
          WARN("skipped: no user namespace in a user namespace here");
          continue;
        }
        CHECK(diff_id_of(life) == diff_id_of(plain));
      }
    }
}
