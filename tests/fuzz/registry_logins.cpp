// What logins read: auth files, helpers' answers, tokens, and the errors of registries.
#include "fuzz/fuzz.hpp"

#include "registry/answers.hpp"
#include "registry/auth_file.hpp"
#include "registry/secrets.hpp"
#include "registry/token.hpp"

#include <string>

using namespace strata;
using namespace strata::detail;
using namespace strata::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto expected = {errc::bad_archive, errc::limit_exceeded};
  refusal_of(expected, [&] {
    const AuthFile file = AuthFile::parse(text, "a file");
    for (const auto& [name, credentials] : file.entries) {
      const auto found = file.find(name + "/x/y");
      require(credentials.empty() || found.has_value(), name);
    }
    require(file.store.find('/') == std::string::npos);
  });
  refusal_of(expected, [&] { parse_helper_answer(text, "a helper"); });
  refusal_of(expected, [&] {
    const Token token = Token::parse(text, "a server");
    require(!token.text.empty() && token.lifetime.count() >= 60);
    for (const char c : token.text) require(c > ' ' && c < 0x7f);
  });
  for (const char c : explanation_of(text)) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  if (const auto decoded = from_base64(text)) require(from_base64(base64(*decoded)) == decoded);
  require(from_base64(base64(text)) == text);
  return 0;
}
