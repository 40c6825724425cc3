// Small whole files: read, and written so that a reader sees all of it or none.
#pragma once

#include <boost/filesystem/path.hpp>

#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace strata::detail {

/// The content of a file of at most `limit` bytes beneath `dir`; nullopt where it isn't there. Throws Error.
std::optional<std::string> read_small_file(int dir, const std::string& name, std::size_t limit = 64U << 20);
/// Creates `name` in `dir`, which must not exist, mode 0600. Doesn't sync.
void write_small_file(int dir, const std::string& name, std::string_view content);
/// mkdirat, mode 0700; an existing directory is fine.
void make_directory(int dir, const std::string& name);
/// fsync of a file beneath `dir`.
void sync_file(int dir, const std::string& name);
/// fsync of a directory, by descriptor.
void sync_directory(int dir, std::string_view shown);
/// This many random hexadecimal digits, for names that must not collide.
std::string random_name();
/// A time in RFC 3339, UTC, whole seconds. Such texts are in the order of their times, up to the year 9999.
std::string rfc3339(std::time_t time);
/// The present, or SOURCE_DATE_EPOCH where the environment has it.
std::string now_rfc3339();

}  // namespace strata::detail
