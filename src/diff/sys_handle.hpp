// File handles, which overlay knows lower files by.
#pragma once

#include "sys.hpp"

#include <fcntl.h>

namespace strata::sys {

inline int name_to_handle_at(int dir, const char* path, file_handle* handle, int* mount_id, int flags) noexcept {
  return once("name_to_handle_at", [&] { return ::name_to_handle_at(dir, path, handle, mount_id, flags); });
}

}  // namespace strata::sys
