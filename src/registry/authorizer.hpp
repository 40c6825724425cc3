// Who we are to one registry: the Authorization header of its requests, as its challenges ask for.
#pragma once

#include <strata/transport/registry.hpp>

#include "registry/header_values.hpp"
#include "registry/http.hpp"
#include "registry/secrets.hpp"

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace strata::detail {

/// For any number of threads: one of them at a time asks for a token or for credentials, and the others wait for it.
class Authorizer {
 public:
  /// `repository`: under what credentials are looked for, where none are given, once a challenge asks for them. What is
  /// passed by reference outlives it.
  Authorizer(HttpClient& http, const RegistryOptions& options, std::optional<Credentials> given,
             const Certificates& certificates, Secrets& secrets, std::string repository);

  /// What is known to be asked for; nullopt: nothing yet. `scopes` are what the request needs.
  std::optional<std::string> header(const std::vector<std::string>& scopes, const std::stop_token& stop);
  /// Of a 401 that answered a request with the header `used`: whether another one may do better. Throws Error where no
  /// token is to be had.
  bool challenged(const std::vector<std::string>& headers, const Url& by, const std::vector<std::string>& scopes,
                  const std::optional<std::string>& used, const std::stop_token& stop);
  /// For messages: by what credentials it was tried.
  std::string shown() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Held {
    std::string token;
    Clock::time_point until;  ///< when the next one is asked for
  };
  class Turn;

  const Credentials& credentials(const std::stop_token& stop);
  std::string new_token(const std::vector<std::string>& scopes, const std::stop_token& stop);
  std::string ask(const std::vector<std::string>& scopes, const std::stop_token& stop);
  Url realm(const Challenge& bearer, const Url& by) const;

  HttpClient& http_;
  const RegistryOptions& options_;
  std::optional<Credentials> given_;
  const Certificates& certificates_;
  Secrets& secrets_;
  std::string repository_;

  mutable std::mutex mutex_;
  std::condition_variable_any freed_;
  bool busy_ = false;
  // Changed by whoever has the turn, with the mutex.
  std::optional<Credentials> credentials_;
  std::optional<Challenge> challenge_;
  std::optional<Url> realm_;
  std::map<std::string, Held> tokens_;  ///< by scopes
};

}  // namespace strata::detail
