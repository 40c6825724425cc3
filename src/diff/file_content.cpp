#include "diff/file_content.hpp"

#include <strata/error.hpp>

namespace strata::detail {

OpenFile open_file(const Seen& file) {
  OpenFile open;
  open.fd = file.view.open_data(file.entry, open.now);
  if (file.entry.data != file.entry.top()) {
    const Metadata data = open.now;
    open.now = file.entry.metadata;
    open.now.size = data.size;
    open.now.blocks = data.blocks;
  }
  return open;
}

bool is_small(const Metadata& file) { return file.size <= SmallFile::most && file.blocks * 512 >= file.size; }

SmallFile read_small(const OpenFile& file, const std::string& shown) {
  SmallFile read{file.now,
                 std::vector<std::byte>(static_cast<std::size_t>(file.now.size) + 1)};  // one more: has it grown?
  std::size_t size = 0;
  for (;;) {
    const ssize_t n =
        sys::pread(file.fd.get(), read.content.data() + size, read.content.size() - size, static_cast<off_t>(size));
    if (n < 0) throw_errno(errno, "read", quoted(shown));
    size += static_cast<std::size_t>(n);
    if (size > file.now.size) throw_changed(shown, "grew");
    // Only at its end does a regular file give less than was asked for.
    if (n == 0 || size == file.now.size) break;
  }
  if (size < file.now.size) throw_changed(shown, "shrank");
  read.content.resize(size);
  return read;
}

void throw_changed(const std::string& shown, const char* how) {
  throw_error(errc::in_use, "read", quoted(shown), std::string("it ") + how + " while it was read",
              "stop what writes it, and try again");
}

}  // namespace strata::detail
