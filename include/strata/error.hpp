// Errors. Every failure is one exception type, strata::Error, over boost::system::system_error: the
// operating system's code stays in code(), and compares equal to the errc that it amounts to. An Error knows what
// was being done, to which subject, what the kernel said, and, where known, what to do about it.
// what() is one line: "cannot VERB SUBJECT: CAUSE (DETAIL); REMEDY", each added context before it.
#pragma once

#include <strata/export.hpp>

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <string>
#include <string_view>
#include <type_traits>

namespace strata {

/// What went wrong, where no errno says it: `error.code() == errc::not_found` asks for it. An error condition, so that
/// an errno that means the same compares equal too (ENOENT == errc::not_found, EEXIST == errc::already_exists, EBUSY ==
/// errc::in_use, ECANCELED == errc::cancelled, EOPNOTSUPP, ENOSYS and EPERM == errc::unsupported).
enum class errc {
  bad_archive = 1,  ///< a tar, a compressed stream or a recipe that breaks its format, or ends too early
  digest_mismatch,  ///< bytes that are not those that the caller, or a record, names
  not_found,        ///< no such layer, container, path
  already_exists,   ///< the name is taken
  in_use,           ///< something still needs it; the message names what
  refused,          ///< legal, but refused by the caller's own policy (Conformance::strict, options in conflict)
  unsupported,      ///< this kernel, filesystem or user can't
  limit_exceeded,   ///< a budget or a limit of the format; the message names it and the entry
  damaged,          ///< what the store holds is not what it recorded
  cancelled,        ///< the caller's stop token was triggered
  wrong_store,      ///< the directory is no store, or one of another version, hash or union form
  bad_argument,     ///< a value that can't be meant: a malformed digest, an empty name
};

STRATA_API const boost::system::error_category& strata_category() noexcept;
STRATA_API boost::system::error_code make_error_code(errc e) noexcept;
STRATA_API boost::system::error_condition make_error_condition(errc e) noexcept;

/// The one exception of the library. Immutable but for add_context(); safe to copy between threads.
class STRATA_API Error : public boost::system::system_error {
 public:
  /// `operation` is a verb phrase ("create", "mount"), `subject` what it was done to, as it should be shown.
  Error(boost::system::error_code code, std::string operation, std::string subject, std::string detail = {},
        std::string remedy = {});

  const std::string& operation() const noexcept { return operation_; }
  const std::string& subject() const noexcept { return subject_; }
  const std::string& detail() const noexcept { return detail_; }
  const std::string& remedy() const noexcept { return remedy_; }

  /// Puts "CONTEXT: " before the message: what the caller was about when this happened.
  Error& add_context(std::string_view context);

  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string operation_, subject_, detail_, remedy_, message_;
};

/// Throws Error with the errno `number`. Call it at once: any other call may change errno. Without a `remedy`, that of
/// the errno is taken where it says that something has run out (ENOSPC, EDQUOT, EMFILE …).
[[noreturn]] STRATA_API void throw_errno(int number, std::string operation, std::string subject,
                                         std::string detail = {}, std::string remedy = {});
[[noreturn]] STRATA_API void throw_error(errc code, std::string operation, std::string subject, std::string detail = {},
                                         std::string remedy = {});

/// A name from outside, made fit for a message or a terminal: in single quotes; controls, marks that reorder text and
/// bytes that are not UTF-8 as \xNN; \ and ' behind a \; cut in the middle when longer than 400 bytes.
STRATA_API std::string quoted(std::string_view name);
// Without these, an unqualified call with a std::string would find std::quoted where <iomanip> is included.
inline std::string quoted(const std::string& name) { return quoted(std::string_view(name)); }
inline std::string quoted(std::string& name) { return quoted(std::string_view(name)); }
inline std::string quoted(const char* name) { return quoted(std::string_view(name)); }

}  // namespace strata

template <>
struct boost::system::is_error_code_enum<strata::errc> : std::false_type {};
template <>
struct boost::system::is_error_condition_enum<strata::errc> : std::true_type {};
