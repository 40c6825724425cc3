// A disk whose every write and flush is written down, in their order: a directory with the files `disk`, which is an
// image behind it (to be put under a loop device), and `marks`, whose writes are only noted, so that a program can say
// between them what it has seen.
//
//   logged_disk DIRECTORY IMAGE LOG      until it is unmounted
//
// LOG is a row of records: kind ('W', 'F', 'M'), size, offset (32, 32 and 64 bits, of this machine), then the bytes.
#define FUSE_USE_VERSION 31
#include <fuse.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

int image = -1, log_file = -1;

bool is_disk(const char* path) { return std::string_view(path) == "/disk"; }
bool is_marks(const char* path) { return std::string_view(path) == "/marks"; }

void note(char kind, std::uint64_t offset, const char* data, std::size_t size) {
  struct {
    std::uint32_t kind, size;
    std::uint64_t offset;
  } const header = {static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(size), offset};
  const iovec pieces[] = {{const_cast<void*>(static_cast<const void*>(&header)), sizeof header},
                          {const_cast<char*>(data), size}};
  if (::writev(log_file, pieces, 2) != static_cast<ssize_t>(sizeof header + size)) {
    std::perror("logged_disk: cannot write the log");
    std::abort();
  }
}

int get_attributes(const char* path, struct stat* st, fuse_file_info*) {
  std::memset(st, 0, sizeof *st);
  st->st_nlink = 1;
  if (std::string_view(path) == "/") {
    st->st_mode = S_IFDIR | 0755;
  } else if (is_disk(path)) {
    struct stat behind {};
    if (::fstat(image, &behind) != 0) return -errno;
    st->st_mode = S_IFREG | 0600;
    st->st_size = behind.st_size;
  } else if (is_marks(path)) {
    st->st_mode = S_IFREG | 0600;
  } else {
    return -ENOENT;
  }
  return 0;
}

int list(const char*, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info*, fuse_readdir_flags) {
  for (const char* name : {"disk", "marks"}) fill(buffer, name, nullptr, 0, static_cast<fuse_fill_dir_flags>(0));
  return 0;
}

/// Marks are noted when they are made, past any cache.
int open_file(const char* path, fuse_file_info* info) {
  info->direct_io = is_marks(path);
  return 0;
}

int truncate_file(const char*, off_t, fuse_file_info*) { return 0; }

int read_file(const char* path, char* into, std::size_t size, off_t offset, fuse_file_info*) {
  if (!is_disk(path)) return 0;
  const ssize_t n = ::pread(image, into, size, offset);
  return n < 0 ? -errno : static_cast<int>(n);
}

int write_file(const char* path, const char* from, std::size_t size, off_t offset, fuse_file_info*) {
  note(is_disk(path) ? 'W' : 'M', static_cast<std::uint64_t>(offset), from, size);
  if (!is_disk(path)) return static_cast<int>(size);
  const ssize_t n = ::pwrite(image, from, size, offset);
  return n < 0 ? -errno : static_cast<int>(n);
}

int sync_file(const char* path, int, fuse_file_info*) {
  if (is_disk(path)) note('F', 0, nullptr, 0);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count != 4) {
    std::fputs("logged_disk DIRECTORY IMAGE LOG\n", stderr);
    return 2;
  }
  image = ::open(words[2], O_RDWR | O_CLOEXEC);
  log_file = ::open(words[3], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (image < 0 || log_file < 0) {
    std::perror("logged_disk: cannot open the image or the log");
    return 1;
  }
  fuse_operations operations{};
  operations.getattr = get_attributes;
  operations.truncate = truncate_file;
  operations.open = open_file;
  operations.read = read_file;
  operations.write = write_file;
  operations.fsync = sync_file;
  operations.readdir = list;
  // In one thread: the order of the log is that of the disk.
  std::string name = "logged_disk", alone = "-s", here = "-f", directory = words[1];
  char* arguments[] = {name.data(), alone.data(), here.data(), directory.data(), nullptr};
  return fuse_main(4, arguments, &operations, nullptr);
}
