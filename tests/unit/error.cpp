#include <strata/error.hpp>

#include "support/catch.hpp"

#include <cerrno>
#include <string>

using namespace strata;

namespace {
Error of(int number) { return Error({number, boost::system::system_category()}, "open", "'x'"); }
Error of(errc e) { return Error(make_error_code(e), "open", "'x'"); }
}  // namespace

TEST_CASE("what() reads verb, subject, cause, detail, remedy", "[error]") {
  CHECK(std::string(of(ENOENT).what()) == "cannot open 'x': No such file or directory");
  CHECK(std::string(of(errc::in_use).what()) == "cannot open 'x': in use");
  const Error full({EBUSY, boost::system::system_category()}, "unmount", "'/mnt'", "a shell stands in it", "leave it");
  CHECK(std::string(full.what()) == "cannot unmount '/mnt': Device or resource busy (a shell stands in it); leave it");
  CHECK(full.operation() == "unmount");
  CHECK(full.subject() == "'/mnt'");
  CHECK(full.detail() == "a shell stands in it");
  CHECK(full.remedy() == "leave it");
  CHECK(std::string(Error(make_error_code(errc::cancelled), "import", "").what()) == "cannot import: cancelled");
}

TEST_CASE("context comes before the message, the latest first", "[error]") {
  Error error = of(errc::damaged);
  error.add_context("layer 2").add_context("image");
  CHECK(std::string(error.what()) == "image: layer 2: cannot open 'x': damaged");
  const Error copy = error;
  CHECK(std::string(copy.what()) == error.what());
  CHECK(copy.code() == errc::damaged);
}

TEST_CASE("an errno equals the errc that it amounts to, and no other", "[error]") {
  CHECK(of(ENOENT).code() == errc::not_found);
  CHECK(of(EEXIST).code() == errc::already_exists);
  CHECK(of(EBUSY).code() == errc::in_use);
  CHECK(of(ECANCELED).code() == errc::cancelled);
  for (const int number : {EOPNOTSUPP, ENOSYS, EPERM}) CHECK(of(number).code() == errc::unsupported);
  CHECK(of(ENOENT).code() != errc::already_exists);
  CHECK(of(EACCES).code() != errc::unsupported);
  CHECK(of(EIO).code() != errc::damaged);
  // The values of the two enumerations overlap: they must not be taken for each other.
  for (int e = 1; e <= static_cast<int>(errc::bad_argument); ++e)
    if (e != EPERM && e != ENOENT) CHECK(of(e).code() != static_cast<errc>(e));
}

TEST_CASE("an errno of the generic category equals the same errc", "[error]") {
  const boost::system::error_code code = make_error_code(boost::system::errc::no_such_file_or_directory);
  CHECK(code == errc::not_found);
  CHECK(code != errc::in_use);
}

TEST_CASE("an errc equals itself alone, and has a message of its own", "[error]") {
  std::string seen;
  for (int i = 1; i <= static_cast<int>(errc::bad_argument); ++i) {
    const std::string message = make_error_code(static_cast<errc>(i)).message();
    CHECK(message != "unknown error");
    CHECK(seen.find("|" + message + "|") == seen.npos);
    seen += "|" + message + "|";
    for (int k = 1; k <= static_cast<int>(errc::bad_argument); ++k)
      CHECK((of(static_cast<errc>(i)).code() == static_cast<errc>(k)) == (i == k));
  }
  CHECK(make_error_code(static_cast<errc>(99)).message() == "unknown error");
  CHECK(make_error_code(errc::refused).category().name() == std::string("strata"));
}

TEST_CASE("the throwers throw what they are given", "[error]") {
  try {
    throw_errno(ENOSPC, "write", "'f'", "detail", "remedy");
  } catch (const boost::system::system_error& e) {
    CHECK(e.code().value() == ENOSPC);
    CHECK(std::string(e.what()) == "cannot write 'f': No space left on device (detail); remedy");
  }
  try {
    throw_error(errc::refused, "mount", "'f'");
  } catch (const Error& e) {
    CHECK(e.code() == errc::refused);
  }
  CHECK_THROWS_AS(throw_errno(ENOENT, "a", "b"), Error);
  CHECK_THROWS_AS(throw_error(errc::refused, "a", "b"), Error);
}

TEST_CASE("quoted shows text as it is", "[error]") {
  CHECK(quoted("usr/bin/x y") == "'usr/bin/x y'");
  CHECK(quoted("") == "''");
  CHECK(quoted("größe/ｆ/😀") == "'größe/ｆ/😀'");
}

TEST_CASE("quoted shows what a terminal would obey as bytes", "[error]") {
  CHECK(quoted("a\nb\x1b[31m\x7f") == "'a\\x0ab\\x1b[31m\\x7f'");
  CHECK(quoted(std::string("a\0b", 3)) == "'a\\x00b'");
  CHECK(quoted("\xc2\x9b"
               "31m") == "'\\xc2\\x9b31m'");  // C1: CSI
  CHECK(quoted("\xe2\x80\xae"
               "cod") == "'\\xe2\\x80\\xaecod'");  // right-to-left override
}

TEST_CASE("quoted shows what is not UTF-8 as bytes", "[error]") {
  CHECK(quoted("caf\xe9") == "'caf\\xe9'");
  CHECK(quoted("\xc0\xaf") == "'\\xc0\\xaf'");                    // overlong
  CHECK(quoted("\xe0\x80\xaf") == "'\\xe0\\x80\\xaf'");           // overlong
  CHECK(quoted("\xed\xa0\x80") == "'\\xed\\xa0\\x80'");           // surrogate
  CHECK(quoted("\xf4\x90\x80\x80") == "'\\xf4\\x90\\x80\\x80'");  // behind the last code point
  CHECK(quoted("\xe2\x82") == "'\\xe2\\x82'");                    // cut short
  CHECK(quoted("\xff") == "'\\xff'");
}

TEST_CASE("quoted leaves no doubt about where a name ends", "[error]") {
  CHECK(quoted("it's") == "'it\\'s'");
  CHECK(quoted("a\\x0a") == "'a\\\\x0a'");
}

TEST_CASE("quoted cuts long names in the middle, between characters", "[error]") {
  CHECK(quoted(std::string(400, 'a')) == "'" + std::string(400, 'a') + "'");
  const std::string shown = quoted(std::string(300, 'a') + std::string(300, 'b'));
  CHECK(shown.size() < 410);
  CHECK(shown.starts_with("'aaa"));
  CHECK(shown.ends_with("bbb'"));
  CHECK(shown.find("…") != shown.npos);
  std::string umlauts = "x";
  for (int i = 0; i < 500; ++i) umlauts += "ü";
  CHECK(quoted(umlauts).find("\\x") == std::string::npos);
  CHECK(quoted(std::string(1000, '\x80')).size() > 1000);  // no character to be found
}

TEST_CASE("what has run out is told with its remedy, unless the caller has a better one", "[error]") {
  const auto remedy = [](int number, const std::string& own) {
    try {
      throw_errno(number, "write", "'x'", "", own);
    } catch (const Error& error) {
      return error.remedy();
    }
  };
  for (const int number : {ENOSPC, EDQUOT, EFBIG, EROFS, EMFILE, ENFILE, ENOMEM}) {
    CAPTURE(number);
    CHECK_FALSE(remedy(number, "").empty());
    CHECK(remedy(number, "stop it") == "stop it");
  }
  CHECK(remedy(EMFILE, "").find("ulimit -n") != std::string::npos);
  CHECK(remedy(EIO, "").empty());
}
