#include "tree/raw_names.hpp"

#include <strata/error.hpp>

#include "tree/sys_directory.hpp"

namespace strata::detail {
namespace {

constexpr std::size_t block_size = 1 << 15;
constexpr std::size_t most_kept = 8;

}  // namespace

void RawNames::read(int dir, std::string_view shown) {
  names_.clear();
  for (std::size_t block = 0;; ++block) {
    if (block == blocks_.size()) blocks_.push_back(std::make_unique_for_overwrite<char[]>(block_size));
    const char* at = blocks_[block].get();
    const ssize_t size = sys::getdents64(dir, blocks_[block].get(), block_size);
    if (size < 0) throw_errno(errno, "list", quoted(shown));
    if (size == 0) return;
    for (const char* const end = at + size; at < end;) {
      const auto* name = reinterpret_cast<Name>(at);
      at += name->d_reclen;
      const std::string_view text = name->d_name;
      if (text != "." && text != "..") names_.push_back(name);
    }
  }
}

void RawNames::clear() {
  names_.clear();
  if (blocks_.size() > most_kept) *this = {};
}

}  // namespace strata::detail
