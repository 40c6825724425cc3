#include <strata/error.hpp>

#include "base/resources.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace strata {
namespace {

bool amounts_to(int number, errc e) noexcept {
  switch (e) {
    case errc::not_found:
      return number == ENOENT;
    case errc::already_exists:
      return number == EEXIST;
    case errc::in_use:
      return number == EBUSY;
    case errc::cancelled:
      return number == ECANCELED;
    case errc::unsupported:
      return number == EOPNOTSUPP || number == ENOSYS || number == EPERM;
    default:
      return false;
  }
}

class Category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "strata"; }

  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::bad_archive:
        return "malformed data";
      case errc::digest_mismatch:
        return "wrong digest";
      case errc::not_found:
        return "not found";
      case errc::already_exists:
        return "already exists";
      case errc::in_use:
        return "in use";
      case errc::refused:
        return "refused";
      case errc::unsupported:
        return "not supported here";
      case errc::limit_exceeded:
        return "over the limit";
      case errc::damaged:
        return "damaged";
      case errc::cancelled:
        return "cancelled";
      case errc::wrong_store:
        return "not a store that can be used";
      case errc::bad_argument:
        return "not valid";
    }
    return "unknown error";
  }

  bool equivalent(const boost::system::error_code& code, int condition) const noexcept override {
    if (code.category() == *this) return code.value() == condition;
    // generic_category holds errno values as well: Boost.Filesystem and std functions give either.
    if (code.category() != boost::system::system_category() && code.category() != boost::system::generic_category())
      return false;
    return amounts_to(code.value(), static_cast<errc>(condition));
  }
  using boost::system::error_category::equivalent;
};

/// Length of the character of well-formed UTF-8 (RFC 3629) that `text`, not empty, begins with, where it may be shown;
/// else 0. Not shown: controls (C0, DEL, C1, which a terminal obeys in UTF-8 too) and what reorders text around it.
std::size_t showable(std::string_view text) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = at(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f;
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return 0;
  std::uint32_t point = lead & (0x7fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (at(i) & 0x3fu);
  }
  constexpr std::uint32_t smallest[] = {0x80, 0x800, 0x10000};
  if (point < smallest[size - 2] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return 0;
  const bool control = point < 0xa0;
  const bool reorders = (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
  return control || reorders ? 0 : size;
}

void append_shown(std::string& to, std::string_view name) {
  constexpr char digits[] = "0123456789abcdef";
  while (!name.empty()) {
    const std::size_t size = showable(name);
    if (size == 0) {
      const auto byte = static_cast<std::uint8_t>(name[0]);
      to += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    } else {
      if (name[0] == '\\' || name[0] == '\'') to += '\\';
      to += name.substr(0, size);
    }
    name.remove_prefix(size == 0 ? 1 : size);
  }
}

bool continues_character(char c) noexcept { return (static_cast<std::uint8_t>(c) & 0xc0) == 0x80; }

}  // namespace

const boost::system::error_category& strata_category() noexcept {
  static const Category category;
  return category;
}

boost::system::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), strata_category()}; }
boost::system::error_condition make_error_condition(errc e) noexcept {
  return {static_cast<int>(e), strata_category()};
}

Error::Error(boost::system::error_code code, std::string operation, std::string subject, std::string detail,
             std::string remedy)
    : system_error(code),
      operation_(std::move(operation)),
      subject_(std::move(subject)),
      detail_(std::move(detail)),
      remedy_(std::move(remedy)) {
  message_ = "cannot " + operation_;
  if (!subject_.empty()) message_ += " " + subject_;
  message_ += ": " + code.message();
  if (!detail_.empty()) message_ += " (" + detail_ + ")";
  if (!remedy_.empty()) message_ += "; " + remedy_;
}

Error& Error::add_context(std::string_view context) {
  message_.insert(0, ": ").insert(0, context);
  return *this;
}

void throw_errno(int number, std::string operation, std::string subject, std::string detail, std::string remedy) {
  if (remedy.empty()) remedy = detail::remedy_of(number);
  throw Error({number, boost::system::system_category()}, std::move(operation), std::move(subject), std::move(detail),
              std::move(remedy));
}

void throw_error(errc code, std::string operation, std::string subject, std::string detail, std::string remedy) {
  throw Error(make_error_code(code), std::move(operation), std::move(subject), std::move(detail), std::move(remedy));
}

std::string quoted(std::string_view name) {
  constexpr std::size_t longest = 400, kept = 195;
  std::string shown = "'";
  if (name.size() <= longest) {
    append_shown(shown, name);
  } else {
    std::size_t head = kept, tail = name.size() - kept;
    // Not through the middle of a character; at most three bytes, or a name of continuation bytes would vanish.
    for (int i = 0; i < 3 && continues_character(name[head]); ++i) --head;
    for (int i = 0; i < 3 && continues_character(name[tail]); ++i) ++tail;
    append_shown(shown, name.substr(0, head));
    shown += "…";
    append_shown(shown, name.substr(tail));
  }
  return shown += '\'';
}

}  // namespace strata
