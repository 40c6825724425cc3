#include "registry/answers.hpp"

#include <strata/error.hpp>

#include "image/json.hpp"

#include <cerrno>
#include <ctime>

namespace strata::detail {

std::string explanation_of(std::string_view body, const Secrets* secrets) {
  OrderedJson json;
  try {
    json = parse_object(body, "an error");
  } catch (const Error&) {  // a page of HTML, mostly
    return {};
  }
  const auto text = [secrets](const OrderedJson& object, const char* member) {
    const auto found = object.find(member);
    const std::string said = found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
    return secrets ? secrets->hidden(said) : said;  // which JSON may have spelled otherwise
  };
  const auto both = [](const std::string& code, const std::string& message) {
    if (code.empty() || message.empty()) return code.empty() && message.empty() ? "" : quoted(code + message);
    return quoted(code) + ": " + quoted(message);
  };
  const auto errors = json.find("errors");
  if (errors != json.end() && errors->is_array() && !errors->empty() && errors->front().is_object())
    return both(text(errors->front(), "code"), text(errors->front(), "message"));
  if (const std::string details = text(json, "details"); !details.empty()) return both("", details);
  return both(text(json, "error"), text(json, "error_description"));
}

std::string status_text(const HttpTransfer& answer) {
  return answer.url().shown() + " answers " + std::to_string(answer.status());
}

std::optional<std::chrono::seconds> retry_after(const HttpTransfer& answer) {
  const auto header = answer.headers().find("retry-after");
  return header ? parse_retry_after(*header, std::time(nullptr)) : std::nullopt;
}

void throw_answer(HttpTransfer& answer, const Secrets& secrets, const std::string& operation,
                  const std::string& subject, const std::string& by) {
  std::string detail = status_text(answer);
  const int status = answer.status();
  try {
    // Hidden before it is quoted, which may cut a secret or put marks into it.
    const std::string why = explanation_of(answer.read_text(largest_error), &secrets);
    if (!why.empty()) detail += ", " + why;
  } catch (const BrokenTransfer&) {  // the status says enough
  }
  if (status == 404) throw_error(errc::not_found, operation, subject, detail);
  if (status == 401 || status == 403 || status == 407)
    throw_error(errc::refused, operation, subject, detail + ", asked " + by,
                status == 407 ? "give the proxy's URL with user and password"
                              : "log in with an account that may, and see whether the name is right");
  if (status == 429) throw_errno(EAGAIN, operation, subject, detail);
  if (status >= 500) throw_errno(EREMOTEIO, operation, subject, detail);
  throw_error(status >= 400 ? errc::refused : errc::bad_archive, operation, subject, detail);
}

}  // namespace strata::detail
