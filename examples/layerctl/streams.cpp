#include "streams.hpp"

#include <strata/error.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/filesystem/operations.hpp>
#include <cerrno>

namespace layerctl {

namespace fs = boost::filesystem;

namespace {

strata::FileDescriptor duplicate(int fd, const char* name) {
  strata::FileDescriptor copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) strata::throw_errno(errno, "use", name);
  return copy;
}

class StandardInput final : public strata::ByteSource {
 public:
  explicit StandardInput(std::stop_token stop)
      : file_(duplicate(STDIN_FILENO, "standard input"), "standard input"), stop_(std::move(stop)) {}

  std::size_t read(std::span<std::byte> into) override {
    // Looks up from time to time: a stop token can't end a read() that waits for whoever writes.
    for (pollfd waiting{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}; poll(&waiting, 1, 200) == 0;)
      if (stop_.stop_requested()) strata::throw_error(strata::errc::cancelled, "read", "standard input");
    return file_.read(into);
  }
  std::optional<std::uint64_t> size() const override { return file_.size(); }
  std::string name() const override { return file_.name(); }

 private:
  strata::FileSource file_;
  std::stop_token stop_;
};

}  // namespace

std::unique_ptr<strata::ByteSource> open_input(const std::string& name, std::stop_token stop) {
  if (name != "-") return std::make_unique<strata::FileSource>(strata::open_file(name));
  if (isatty(STDIN_FILENO) != 0)
    strata::throw_error(strata::errc::refused, "read", "a layer from the terminal", {},
                        "redirect standard input, or name a file");
  return std::make_unique<StandardInput>(std::move(stop));
}

Output::Output(const std::string& name, strata::Durability durability) : durability_(durability) {
  if (name == "-") {
    if (isatty(STDOUT_FILENO) != 0)
      strata::throw_error(strata::errc::refused, "write", "a layer to the terminal", {},
                          "redirect standard output, or name a file");
    sink_.emplace(duplicate(STDOUT_FILENO, "standard output"), "standard output");
    return;
  }
  struct stat there {};
  if (stat(name.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
    strata::FileDescriptor fd(open(name.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) strata::throw_errno(errno, "write", strata::quoted(name));
    sink_.emplace(std::move(fd), strata::quoted(name));
    return;
  }
  // Where the name is a symlink, what it points to is replaced.
  boost::system::error_code none;
  final_ = fs::canonical(name, none);
  if (none) final_ = name;
  temporary_ = final_.parent_path() / ("." + final_.filename().string() + "." + std::to_string(getpid()) + ".part");
  strata::FileDescriptor fd(open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!fd) {
    const int cause = errno;
    temporary_.clear();
    strata::throw_errno(cause, "create", strata::quoted(name));
  }
  fd_ = fd.get();
  sink_.emplace(std::move(fd), strata::quoted(name));
}

Output::~Output() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void Output::finish() {
  sink_->finish();
  if (temporary_.empty()) return;
  if (durability_ == strata::Durability::full && fsync(fd_) != 0)
    strata::throw_errno(errno, "write", strata::quoted(final_.native()));
  if (rename(temporary_.c_str(), final_.c_str()) != 0)
    strata::throw_errno(errno, "create", strata::quoted(final_.native()));
  temporary_.clear();
}

}  // namespace layerctl
