// HTTP by libcurl, pulled: nothing moves but while somebody waits for it, in that thread. A transfer is one easy handle
// in a multi of its own, which is what makes it stoppable at once, whatever it waits for (a name, a connection, a
// handshake, bytes): a stop token wakes the multi.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/error.hpp>

#include "registry/header_values.hpp"
#include "registry/url.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

namespace strata::detail {

/// A transfer that broke, or never came to be, for a reason that may pass: what another attempt is made for.
class BrokenTransfer : public Error {
 public:
  using Error::Error;
};

struct HttpOptions {
  bool verify_tls = true;
  std::string proxy = {};
  std::string user_agent = {};
  std::chrono::milliseconds connect_timeout{30000};
  std::chrono::milliseconds stall_timeout{60000};
};

/// What a connection is opened with: the CAs that count besides the system's, and who we are by certificate.
struct Certificates {
  std::string authorities = {};  ///< PEM, the system's included; empty: the system's alone
  std::string client = {};       ///< the path of a PEM file
  std::string client_key = {};
};

struct HttpRequest {
  std::string method = "GET";
  Url url = {};
  std::vector<std::string> headers = {};  ///< "Name: value"
  ByteSource* body = nullptr;             ///< outlives the transfer; read to `body_size`, and no further
  std::uint64_t body_size = 0;
  const Certificates* certificates = nullptr;  ///< outlives the client's connections
  bool as_client = false;                      ///< whether the client certificate is shown
  std::string operation = {}, subject = {};    ///< for errors
};

class HttpConnection;

/// Keeps connections of transfers that ended well for others to the same place. For any number of threads.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  const HttpOptions& options() const { return options_; }

 private:
  friend class HttpTransfer;
  std::unique_ptr<HttpConnection> take(const std::string& place);
  void give_back(const std::string& place, std::unique_ptr<HttpConnection> connection) noexcept;

  HttpOptions options_;
  std::mutex mutex_;
  std::multimap<std::string, std::unique_ptr<HttpConnection>> idle_;
};

/// One request, whose answer's body is read from it. Redirects are not followed. The client outlives it.
class HttpTransfer final : public ByteSource {
 public:
  /// Sends the request, and waits for the answer's headers. Throws BrokenTransfer, or Error for what won't pass;
  /// what request.body throws comes out as it was; errc::cancelled.
  HttpTransfer(HttpClient& client, HttpRequest request, std::stop_token stop);
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;
  ~HttpTransfer() override;

  int status() const;
  const HttpHeaders& headers() const;
  const Url& url() const;
  /// Throws as the constructor, BrokenTransfer also where fewer bytes came than the headers say. Then it is of no more
  /// use.
  std::size_t read(std::span<std::byte> into) override;
  /// Content-Length.
  std::optional<std::uint64_t> size() const override;
  /// Reads the rest, at most `limit` bytes: `whole` tells whether that was all.
  std::string read_text(std::size_t limit, bool* whole = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strata::detail
