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
/// A note: a short text without NUL bytes that is there whole or not at all. It is a symlink's target, which needs one
/// call, and no block of data that the next sync of the filesystem would have to wait for; where that can't be had, for
/// its length say, a file. `name` must not exist.
void write_note(int dir, const std::string& name, std::string_view text);
/// nullopt where it isn't there. Throws Error.
std::optional<std::string> read_note(int dir, const std::string& name);
/// What the sync of its directory, which is to follow, leaves out: the content of a file.
void sync_note(int dir, const std::string& name);
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

/// Whether a text is such a time as outsiders may write it, with a fraction or an offset, as far as digits and
/// separators go (section 5.6).
bool is_rfc3339(std::string_view text);

}  // namespace strata::detail
