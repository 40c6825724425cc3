#include "registry/endpoint.hpp"

#include <strata/error.hpp>

#include "registry/answers.hpp"
#include "registry/certificates.hpp"
#include "registry/docker_hub.hpp"

#include <algorithm>
#include <utility>

namespace strata::detail {
namespace {

constexpr int most_redirects = 10;

/// To where an answer sends us; a request with another method than GET is only sent on as it was.
std::optional<std::string> redirect_of(const HttpTransfer& answer, const std::string& method) {
  const int status = answer.status();
  const bool reads = method == "GET" || method == "HEAD";
  const bool redirects = status == 307 || status == 308 || (reads && (status == 301 || status == 302 || status == 303));
  return redirects ? answer.headers().find("location") : std::nullopt;
}

/// Reads what no one wants, so that the connection serves again.
void drain(HttpTransfer& answer) {
  try {
    answer.read_text(largest_error);
  } catch (const BrokenTransfer&) {  // then it doesn't
  }
}

}  // namespace

Endpoint::Endpoint(HttpClient& http, const RegistryOptions& options, const std::string& domain, std::string repository,
                   Kind kind)
    : http_(http),
      options_(options),
      host_(api_host(domain)),
      repository_(std::move(repository)),
      most_retries_(kind == Kind::mirror ? std::min(options.retries, 1) : options.retries),
      certificates_(find_certificates(options, domain)),
      authorizer_(http, options_, kind == Kind::mirror ? std::nullopt : options.credentials, certificates_, secrets_,
                  domain + "/" + repository_),
      plain_(options.plain_http) {
  if (kind == Kind::mirror && !options.certificates.empty()) certificates_.client.clear();
}

std::vector<std::string> Endpoint::scopes_of(const RegistryRequest& request) const {
  return request.scopes.empty() ? std::vector{"repository:" + repository_ + ":pull"} : request.scopes;
}

Url Endpoint::base() const { return Url::parse((plain_ ? "http://" : "https://") + host_ + "/v2/" + repository_); }

std::unique_ptr<HttpTransfer> Endpoint::follow(const RegistryRequest& request, std::optional<std::string>& used,
                                               const std::stop_token& stop) {
  const Url base = this->base();
  Url url = request.url ? *request.url : Url::parse(base.to_string() + request.path);
  const std::vector<std::string> scopes = scopes_of(request);
  for (int redirects = 0;; ++redirects) {
    const bool ours = url.has_origin_of(base);
    used = ours ? authorizer_.header(scopes, stop) : std::nullopt;
    HttpRequest http{.method = request.method,
                     .url = url,
                     .headers = request.headers,
                     .body = request.body ? request.body() : nullptr,
                     .body_size = request.body_size,
                     .certificates = &certificates_,
                     .as_client = ours,
                     .operation = request.operation,
                     .subject = request.subject};
    if (request.body && http.body == nullptr)
      throw_errno(ECONNRESET, request.operation, request.subject, "what was sent of it can't be read again");
    if (used) http.headers.push_back("Authorization: " + *used);
    auto answer = std::make_unique<HttpTransfer>(http_, std::move(http), stop);
    const auto location = redirect_of(*answer, request.method);
    if (!location) {
      if (!ours) used.reset();
      return answer;
    }
    if (redirects == most_redirects)
      throw_error(errc::limit_exceeded, request.operation, request.subject,
                  "it is redirected more than " + std::to_string(most_redirects) + " times");
    Url next = led_to(url, *location, request);
    drain(*answer);
    url = std::move(next);
  }
}

Url Endpoint::led_to(const Url& from, const std::string& reference, const RegistryRequest& request) const {
  Url next = from.resolve(reference);
  if (from.scheme == "https" && next.scheme == "http" && options_.verify_tls)
    throw_error(errc::refused, request.operation, request.subject,
                from.shown() + " sends us to " + next.shown() + ", which is not encrypted");
  return next;
}

std::unique_ptr<HttpTransfer> Endpoint::attempt(const RegistryRequest& request, const std::stop_token& stop) {
  const std::vector<std::string> scopes = scopes_of(request);
  for (bool was_known = false;;) {
    std::optional<std::string> used;
    std::unique_ptr<HttpTransfer> answer;
    const bool plain = plain_;  // another thread may find out meanwhile
    try {
      answer = follow(request, used, stop);
      https_works_ = true;
    } catch (const Error& error) {
      if (plain || !falls_back_to_http(error)) throw;
      continue;
    }
    // Once we were somebody and were refused all the same, a new token may do, and only one.
    if (answer->status() != 401 || !answer->url().has_origin_of(base()) || (used && was_known)) return answer;
    was_known = was_known || used.has_value();
    const std::vector<std::string> challenges = answer->headers().all("www-authenticate");
    if (!authorizer_.challenged(challenges, answer->url(), scopes, used, stop)) return answer;
  }
}

/// Where nobody asked for certificates, a registry that doesn't speak TLS is asked in the clear.
bool Endpoint::falls_back_to_http(const Error& error) {
  if (options_.verify_tls || (https_works_ && !plain_)) return false;
  const int number = error.code().category() == boost::system::system_category() ? error.code().value() : 0;
  if (number != EPROTO && number != ECONNREFUSED) return false;
  plain_ = true;
  return true;
}

std::unique_ptr<HttpTransfer> Endpoint::send(const RegistryRequest& request, Retries& retries,
                                             const std::stop_token& stop) {
  for (;;) {
    std::string broke;
    std::optional<std::chrono::seconds> later;
    try {
      auto answer = attempt(request, stop);
      if (!is_passing(answer->status()) || !retries.left()) return answer;
      broke = request.subject + ": " + status_text(*answer);
      later = retry_after(*answer);
    } catch (const BrokenTransfer& error) {
      if (!retries.left()) throw;
      broke = error.what();
    }
    retries.wait(broke, later, stop);
  }
}

Fetched Endpoint::fetch(const RegistryRequest& request, std::size_t limit, const std::stop_token& stop) {
  for (Retries retries = this->retries();;) {
    const auto answer = send(request, retries, stop);
    if (answer->status() != 200) refuse(*answer, request);
    try {
      bool whole = false;
      std::string body = answer->read_text(limit, &whole);
      if (whole) return {answer->headers(), std::move(body), answer->url()};
      throw_error(errc::limit_exceeded, request.operation, request.subject,
                  answer->url().shown() + " sends more than " + std::to_string(limit) + " bytes");
    } catch (const BrokenTransfer& error) {
      if (!retries.left()) throw;
      retries.wait(error.what(), {}, stop);
    }
  }
}

void Endpoint::refuse(HttpTransfer& answer, const RegistryRequest& request) const {
  throw_answer(answer, secrets_, request.operation, request.subject, authorizer_.shown());
}

}  // namespace strata::detail
