// One place that serves a repository, the registry itself or a mirror: requests with who we are, redirects and retries.
#pragma once

#include <strata/transport/registry.hpp>

#include "registry/authorizer.hpp"
#include "registry/http.hpp"
#include "registry/retries.hpp"
#include "registry/secrets.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace strata::detail {

/// What is asked of a registry.
struct RegistryRequest {
  std::string method = "GET";
  std::string path = {};        ///< behind /v2/REPOSITORY: "/manifests/latest"
  std::optional<Url> url = {};  ///< in its place, where the registry said where
  std::vector<std::string> headers = {};
  std::vector<std::string> scopes = {};  ///< beyond reading the repository
  /// The body from its beginning, for each attempt anew; null where it can't be had again. It outlives the answer.
  std::function<ByteSource*()> body = {};
  std::uint64_t body_size = 0;
  std::string operation = {}, subject = {};  ///< for errors
};

/// A whole answer of 200.
struct Fetched {
  HttpHeaders headers;
  std::string body;
  Url url;
};

/// For any number of threads. What is passed outlives it.
class Endpoint {
 public:
  enum class Kind { itself, mirror };
  /// `domain`: under what its credentials and certificates are kept. A mirror isn't told who the options say that we
  /// are, and is tried twice at most: there is another place to ask.
  Endpoint(HttpClient& http, const RegistryOptions& options, const std::string& domain, std::string repository,
           Kind kind = Kind::itself);

  const std::string& repository() const { return repository_; }
  Retries retries() const { return Retries(options_, most_retries_); }
  Retries no_retries() const { return Retries(options_, 0); }

  /// Sends it until there is an answer that doesn't pass, or `retries` have run out, and logs in where that is asked
  /// for.
  std::unique_ptr<HttpTransfer> send(const RegistryRequest& request, Retries& retries, const std::stop_token& stop);
  /// The whole of an answer of 200; any other is thrown.
  Fetched fetch(const RegistryRequest& request, std::size_t limit, const std::stop_token& stop);
  /// Where an answer of `from` sends us by Location or Link. Throws errc::refused where that isn't encrypted any more.
  Url led_to(const Url& from, const std::string& reference, const RegistryRequest& request) const;
  /// Throws what the answer amounts to (answers.hpp).
  [[noreturn]] void refuse(HttpTransfer& answer, const RegistryRequest& request) const;

 private:
  std::unique_ptr<HttpTransfer> attempt(const RegistryRequest& request, const std::stop_token& stop);
  std::unique_ptr<HttpTransfer> follow(const RegistryRequest& request, std::optional<std::string>& used,
                                       const std::stop_token& stop);
  std::vector<std::string> scopes_of(const RegistryRequest& request) const;
  bool falls_back_to_http(const Error& error);
  Url base() const;

  HttpClient& http_;
  const RegistryOptions& options_;
  std::string host_, repository_;
  int most_retries_;
  Certificates certificates_;
  Secrets secrets_;
  Authorizer authorizer_;
  std::atomic<bool> plain_, https_works_ = false;
};

}  // namespace strata::detail
