#include "registry/authorizer.hpp"

#include <strata/error.hpp>

#include "registry/answers.hpp"
#include "registry/auth_file.hpp"
#include "registry/retries.hpp"
#include "registry/token.hpp"

#include <algorithm>
#include <utility>

namespace strata::detail {
namespace {

std::string joined(const std::vector<std::string>& scopes) {
  std::string text;
  for (const std::string& scope : scopes) text += (text.empty() ? "" : " ") + scope;
  return text;
}

/// A body that is held as long as the request.
std::string form_of(const Challenge& challenge, const std::vector<std::string>& scopes, const std::string& token) {
  std::string form = "grant_type=refresh_token&client_id=strata&refresh_token=" + url_encoded(token);
  if (const auto service = challenge.parameters.find("service"); service != challenge.parameters.end())
    form += "&service=" + url_encoded(service->second);
  return form + "&scope=" + url_encoded(joined(scopes));
}

}  // namespace

/// The right to ask a server, a file or a helper, which one thread has at a time.
class Authorizer::Turn {
 public:
  Turn(Authorizer& owner, const std::stop_token& stop) : owner_(owner) {
    std::unique_lock lock(owner_.mutex_);
    if (!owner_.freed_.wait(lock, stop, [&] { return !owner_.busy_; }))
      throw_error(errc::cancelled, "log in to", quoted(owner_.repository_));
    owner_.busy_ = true;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    {
      const std::lock_guard lock(owner_.mutex_);
      owner_.busy_ = false;
    }
    owner_.freed_.notify_all();
  }

 private:
  Authorizer& owner_;
};

Authorizer::Authorizer(HttpClient& http, const RegistryOptions& options, std::optional<Credentials> given,
                       const Certificates& certificates, Secrets& secrets, std::string repository)
    : http_(http),
      options_(options),
      given_(std::move(given)),
      certificates_(certificates),
      secrets_(secrets),
      repository_(std::move(repository)) {}

const Credentials& Authorizer::credentials(const std::stop_token& stop) {
  if (credentials_) return *credentials_;
  Credentials found = given_ ? *given_ : find_credentials(repository_, options_.auth_file, stop);
  secrets_.add(found.secret);
  secrets_.add(found.identity_token);
  secrets_.add(base64(found.user + ":" + found.secret));
  const std::lock_guard lock(mutex_);
  return credentials_.emplace(std::move(found));
}

std::optional<std::string> Authorizer::header(const std::vector<std::string>& scopes, const std::stop_token& stop) {
  {
    const std::lock_guard lock(mutex_);
    if (!challenge_) return std::nullopt;
    if (challenge_->scheme == "basic") return "Basic " + base64(credentials_->user + ":" + credentials_->secret);
    const auto found = tokens_.find(joined(scopes));
    if (found != tokens_.end() && Clock::now() < found->second.until) return "Bearer " + found->second.token;
  }
  const Turn turn(*this, stop);
  if (const auto found = tokens_.find(joined(scopes)); found != tokens_.end() && Clock::now() < found->second.until)
    return "Bearer " + found->second.token;  // whoever had the turn before asked for it
  return "Bearer " + new_token(scopes, stop);
}

bool Authorizer::challenged(const std::vector<std::string>& headers, const Url& by,
                            const std::vector<std::string>& scopes, const std::optional<std::string>& used,
                            const std::stop_token& stop) {
  std::vector<Challenge> challenges;
  for (const std::string& header : headers)
    for (Challenge& challenge : parse_challenges(header)) challenges.push_back(std::move(challenge));
  const auto of_scheme = [&](std::string_view scheme) {
    return std::ranges::find(challenges, scheme, &Challenge::scheme);
  };

  const Turn turn(*this, stop);
  if (const auto bearer = of_scheme("bearer"); bearer != challenges.end()) {
    // Another thread may have got a new token since this request was sent.
    const auto held = tokens_.find(joined(scopes));
    if (held != tokens_.end() && Clock::now() < held->second.until &&
        (!used || *used != "Bearer " + held->second.token))
      return true;
    const Url at = realm(*bearer, by);
    credentials(stop);
    {
      const std::lock_guard lock(mutex_);
      challenge_ = *bearer;
      realm_ = at;
    }
    new_token(scopes, stop);
    return true;
  }
  if (of_scheme("basic") == challenges.end() || used) return false;
  const Credentials& known = credentials(stop);
  if (known.user.empty() && known.secret.empty()) return false;
  const std::lock_guard lock(mutex_);
  challenge_ = *of_scheme("basic");
  return true;
}

Url Authorizer::realm(const Challenge& bearer, const Url& by) const {
  const auto found = bearer.parameters.find("realm");
  if (found == bearer.parameters.end())
    throw_error(errc::bad_archive, "log in to", quoted(repository_), "it names no token server");
  Url url = Url::parse(found->second);
  if (url.scheme != "https" && by.scheme == "https" && options_.verify_tls)
    throw_error(errc::refused, "log in to", quoted(repository_),
                "its token server " + url.shown() + " would be told secrets in the clear");
  return url;
}

std::string Authorizer::new_token(const std::vector<std::string>& scopes, const std::stop_token& stop) {
  const auto scope = challenge_->parameters.find("scope");
  const std::string challenged = scope == challenge_->parameters.end() ? "" : scope->second;
  const std::string answer = ask(with_scope(scopes, challenged), stop);
  const Token token = Token::parse(answer, realm_->shown());
  secrets_.add(token.text);
  // A request takes a while, and clocks differ: the next is asked for early.
  const auto early = std::min(token.lifetime / 5, std::chrono::seconds(30));
  const std::lock_guard lock(mutex_);
  tokens_[joined(scopes)] = {token.text, Clock::now() + token.lifetime - early};
  return token.text;
}

/// The answer of the token server.
std::string Authorizer::ask(const std::vector<std::string>& scopes, const std::stop_token& stop) {
  const Challenge& challenge = *challenge_;
  const Credentials& known = *credentials_;
  const bool refresh = !known.identity_token.empty();
  HttpRequest request{
      .url = *realm_, .certificates = &certificates_, .operation = "log in to", .subject = quoted(repository_)};
  const std::string form = refresh ? form_of(challenge, scopes, known.identity_token) : std::string();
  if (refresh) {
    request.method = "POST";
    request.headers.emplace_back("Content-Type: application/x-www-form-urlencoded");
  } else {
    if (const auto service = challenge.parameters.find("service"); service != challenge.parameters.end())
      request.url = request.url.with("service", service->second);
    for (const std::string& scope : scopes) request.url = request.url.with("scope", scope);
    if (!known.empty()) {
      request.url = request.url.with("account", known.user);
      request.headers.push_back("Authorization: Basic " + base64(known.user + ":" + known.secret));
    }
  }
  for (Retries retries(options_);;) {
    std::string broke;
    std::optional<std::chrono::seconds> later;
    try {
      MemorySource body(form);
      if (refresh) {
        request.body = &body;
        request.body_size = form.size();
      }
      HttpTransfer transfer(http_, request, stop);
      if (transfer.status() == 200) {
        bool whole = false;
        std::string answer = transfer.read_text(largest_error, &whole);
        if (whole) return answer;
        throw_error(errc::limit_exceeded, request.operation, request.subject,
                    "the token of " + realm_->shown() + " is longer than " + std::to_string(largest_error) + " bytes");
      }
      if (!is_passing(transfer.status()) || !retries.left())
        throw_answer(transfer, secrets_, request.operation, request.subject, shown());
      broke = status_text(transfer);
      later = retry_after(transfer);
    } catch (const BrokenTransfer& error) {
      if (!retries.left()) throw;
      broke = error.what();
    }
    retries.wait(broke, later, stop);
  }
}

std::string Authorizer::shown() const {
  const std::lock_guard lock(mutex_);
  if (!credentials_ || credentials_->empty()) return "without credentials";
  if (!credentials_->identity_token.empty()) return "with an identity token";
  return "as " + quoted(credentials_->user);
}

}  // namespace strata::detail
