// What an answer that isn't the wanted one says.
#pragma once

#include "registry/http.hpp"
#include "registry/secrets.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace strata::detail {

/// Of an answer that only explains: bytes that are read of it.
constexpr std::size_t largest_error = 64U << 10;

/// "MANIFEST_UNKNOWN: 'manifest unknown'": what a registry's JSON says (distribution-spec, "Error Codes"), or a token
/// server's OAuth2 error. Empty where it is neither.
std::string explanation_of(std::string_view body, const Secrets* secrets = nullptr);

/// "404 of 'https://…'".
std::string status_text(const HttpTransfer& answer);
std::optional<std::chrono::seconds> retry_after(const HttpTransfer& answer);

/// Throws what the status amounts to: 404 errc::not_found, 401 and 403 errc::refused, 429 EAGAIN, 5xx EREMOTEIO, other
/// 4xx errc::refused, and the rest errc::bad_archive. `by`: with what credentials it was asked.
[[noreturn]] void throw_answer(HttpTransfer& answer, const Secrets& secrets, const std::string& operation,
                               const std::string& subject, const std::string& by);

}  // namespace strata::detail
