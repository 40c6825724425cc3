#include "registry/http.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

namespace strata::detail {
namespace {

constexpr std::size_t most_headers = 64U << 10;
constexpr std::size_t most_idle = 8;  // of one place
constexpr std::size_t most_idle_in_all = 32;

void start_curl() {
  static const CURLcode started = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) throw_error(errc::unsupported, "start", "libcurl", ::curl_easy_strerror(started));
}

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  if (const CURLcode code = ::curl_easy_setopt(easy, option, value); code != CURLE_OK)
    throw_error(errc::unsupported, "set up", "a transfer of libcurl", ::curl_easy_strerror(code));
}

struct FreeList {
  void operator()(curl_slist* list) const noexcept { ::curl_slist_free_all(list); }
};

/// The errno that a failure amounts to.
int errno_of(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT:
      return ECONNREFUSED;
    case CURLE_OPERATION_TIMEDOUT:
      return ETIMEDOUT;
    case CURLE_OUT_OF_MEMORY:
      return ENOMEM;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_FAIL_REWIND:
      return ECONNRESET;
    default:
      return EPROTO;
  }
}

/// Whether another attempt may go better.
bool may_pass(CURLcode code, std::string_view said) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_FAIL_REWIND:  // a kept connection was dead, and part of a body was read for it
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    case CURLE_SSL_CONNECT_ERROR:  // a handshake that was cut off, or what no attempt mends
      return said.find("SSL_ERROR_SYSCALL") != std::string_view::npos ||
             said.find("unexpected eof") != std::string_view::npos;
    default:
      return false;
  }
}

const char* remedy_of(CURLcode code, std::string_view said) {
  if (said.find("wrong version number") != std::string_view::npos)
    return "it may speak plain HTTP, which has to be asked for";
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
      return "put the certificate of its authority where registries' certificates are looked for";
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
      return "see the folder of the registry's certificates";
    default:
      return "";
  }
}

}  // namespace

/// A multi, which holds the open connections, and the handle that is used in it.
class HttpConnection {
 public:
  HttpConnection() : multi_(::curl_multi_init()), easy_(::curl_easy_init()) {
    if (multi_ && easy_) return;
    ::curl_easy_cleanup(easy_);
    ::curl_multi_cleanup(multi_);
    throw std::bad_alloc();
  }
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;
  ~HttpConnection() {
    ::curl_easy_cleanup(easy_);
    ::curl_multi_cleanup(multi_);
  }
  CURLM* multi() const { return multi_; }
  CURL* easy() const { return easy_; }

 private:
  CURLM* multi_;
  CURL* easy_;
};

HttpClient::HttpClient(HttpOptions options) : options_(std::move(options)) { start_curl(); }
HttpClient::~HttpClient() = default;

std::unique_ptr<HttpConnection> HttpClient::take(const std::string& place) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = idle_.find(place); found != idle_.end()) {
      auto connection = std::move(found->second);
      idle_.erase(found);
      return connection;
    }
  }
  return std::make_unique<HttpConnection>();
}

void HttpClient::give_back(const std::string& place, std::unique_ptr<HttpConnection> connection) noexcept {
  try {
    ::curl_easy_reset(connection->easy());
    const std::lock_guard lock(mutex_);
    if (idle_.count(place) < most_idle && idle_.size() < most_idle_in_all) idle_.emplace(place, std::move(connection));
  } catch (const std::bad_alloc&) {  // then it is closed
  }
}

struct HttpTransfer::State {
  State(HttpClient& owner, HttpRequest asked, std::stop_token token)
      : client(owner), request(std::move(asked)), stop(std::move(token)) {}

  HttpClient& client;
  HttpRequest request;
  std::stop_token stop;
  std::string place;
  std::unique_ptr<HttpConnection> connection;
  std::unique_ptr<curl_slist, FreeList> lines;
  std::array<char, CURL_ERROR_SIZE> said{};
  std::optional<std::stop_callback<std::function<void()>>> wake;

  int status = 0;
  HttpHeaders headers;
  std::size_t headers_size = 0;
  bool headers_are_whole = false;
  std::uint64_t sent = 0;
  std::span<std::byte> target;    ///< where a reader wants the bytes
  std::size_t filled = 0;         ///< of it
  std::string ahead;              ///< what came beyond
  std::size_t ahead_read = 0;     ///< of that
  bool moved = false;             ///< since the last look, in either direction
  std::optional<CURLcode> ended;  ///< how
  std::exception_ptr failure;     ///< of what curl called
  std::exception_ptr broke;       ///< what is thrown once all that came before it was read

  void start();
  void set_up(CURL* easy);
  void detach() noexcept;
  template <class Condition>
  void run_until(Condition done);
  void look_for_end();
  [[noreturn]] void fail(CURLcode code);
  void take_header(std::string_view line);
  void take_body(std::span<const std::byte> bytes);
  std::size_t give_body(std::span<std::byte> into);

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* state);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* state);
  static std::size_t on_send(char* into, std::size_t size, std::size_t count, void* state);
};

void HttpTransfer::State::take_header(std::string_view line) {
  headers_size += line.size();
  if (headers_size > most_headers)
    throw_error(errc::limit_exceeded, request.operation, request.subject,
                request.url.shown() + " sends more than " + std::to_string(most_headers) + " bytes of headers");
  if (headers_are_whole) return;  // trailers
  if (line.starts_with("HTTP/")) {
    headers.clear();
    return;
  }
  if (line != "\r\n" && line != "\n") return headers.add(line);
  long code = 0;
  ::curl_easy_getinfo(connection->easy(), CURLINFO_RESPONSE_CODE, &code);
  status = static_cast<int>(code);
  headers_are_whole = status >= 200;
}

void HttpTransfer::State::take_body(std::span<const std::byte> bytes) {
  const std::size_t direct = ahead.size() == ahead_read ? std::min(bytes.size(), target.size() - filled) : 0;
  if (direct > 0) std::memcpy(target.data() + filled, bytes.data(), direct);
  filled += direct;
  bytes = bytes.subspan(direct);
  ahead.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::size_t HttpTransfer::State::give_body(std::span<std::byte> into) {
  const std::uint64_t left = request.body_size - sent;
  if (left == 0) return 0;
  const std::size_t size =
      request.body->read(into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left))));
  if (size == 0)
    throw_error(errc::bad_archive, request.operation, request.subject,
                "what is to be sent ended after " + std::to_string(sent) + " of " + std::to_string(request.body_size) +
                    " bytes");
  sent += size;
  return size;
}

// No exception may pass through curl: it is kept, and thrown when curl has returned.
std::size_t HttpTransfer::State::on_header(char* data, std::size_t size, std::size_t count, void* state) {
  auto& self = *static_cast<State*>(state);
  try {
    self.moved = true;
    self.take_header({data, size * count});
    return size * count;
  } catch (...) {
    self.failure = std::current_exception();
    return 0;
  }
}

std::size_t HttpTransfer::State::on_body(char* data, std::size_t size, std::size_t count, void* state) {
  auto& self = *static_cast<State*>(state);
  try {
    self.moved = true;
    self.take_body(std::as_bytes(std::span(data, size * count)));
    return size * count;
  } catch (...) {
    self.failure = std::current_exception();
    return 0;
  }
}

std::size_t HttpTransfer::State::on_send(char* into, std::size_t size, std::size_t count, void* state) {
  auto& self = *static_cast<State*>(state);
  try {
    self.moved = true;
    return self.give_body(std::as_writable_bytes(std::span(into, size * count)));
  } catch (...) {
    self.failure = std::current_exception();
    return CURL_READFUNC_ABORT;
  }
}

void HttpTransfer::State::set_up(CURL* easy) {
  const HttpOptions& options = client.options();
  set(easy, CURLOPT_URL, request.url.to_string().c_str());
  set(easy, CURLOPT_PATH_AS_IS, 1L);
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_QUICK_EXIT, 1L);  // else whoever gives up waits for the resolver's thread
  set(easy, CURLOPT_ERRORBUFFER, said.data());
  set(easy, CURLOPT_USERAGENT, options.user_agent.c_str());
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_2TLS});
  set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  // curl reads up to a hundred of these before it returns, wanted or not.
  set(easy, CURLOPT_BUFFERSIZE, 16L << 10);
  set(easy, CURLOPT_UPLOAD_BUFFERSIZE, 128L << 10);
  if (!options.proxy.empty()) set(easy, CURLOPT_PROXY, options.proxy.c_str());
  set(easy, CURLOPT_SSL_VERIFYPEER, options.verify_tls ? 1L : 0L);
  set(easy, CURLOPT_SSL_VERIFYHOST, options.verify_tls ? 2L : 0L);
  if (const Certificates* const certificates = request.certificates) {
    if (!certificates->authorities.empty()) {
      curl_blob blob{const_cast<char*>(certificates->authorities.data()), certificates->authorities.size(),
                     CURL_BLOB_COPY};
      set(easy, CURLOPT_CAINFO_BLOB, &blob);
    }
    if (request.as_client && !certificates->client.empty()) {
      set(easy, CURLOPT_SSLCERT, certificates->client.c_str());
      set(easy, CURLOPT_SSLKEY, certificates->client_key.c_str());
    }
  }
  if (request.method == "HEAD") set(easy, CURLOPT_NOBODY, 1L);
  if (request.body) {
    set(easy, CURLOPT_UPLOAD, 1L);
    set(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body_size));
    set(easy, CURLOPT_READFUNCTION, &State::on_send);
    set(easy, CURLOPT_READDATA, this);
  } else if (request.method != "GET" && request.method != "HEAD" && request.method != "DELETE") {
    set(easy, CURLOPT_POSTFIELDS, "");
    set(easy, CURLOPT_POSTFIELDSIZE, 0L);
  }
  if (request.method != "GET" && request.method != "HEAD") set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  for (const std::string& line : request.headers) {
    curl_slist* const longer = ::curl_slist_append(lines.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    (void)lines.release();
    lines.reset(longer);
  }
  set(easy, CURLOPT_HTTPHEADER, lines.get());
  set(easy, CURLOPT_HEADEROPT, long{CURLHEADER_SEPARATE});  // a proxy's CONNECT has none of them
  set(easy, CURLOPT_HEADERFUNCTION, &State::on_header);
  set(easy, CURLOPT_HEADERDATA, this);
  set(easy, CURLOPT_WRITEFUNCTION, &State::on_body);
  set(easy, CURLOPT_WRITEDATA, this);
}

void HttpTransfer::State::start() {
  if (stop.stop_requested()) throw_error(errc::cancelled, request.operation, request.subject);
  // A connection that showed a client certificate is none for others.
  place =
      request.url.scheme + "://" + request.url.host + ":" + request.url.port + (request.as_client ? " as client" : "");
  connection = client.take(place);
  set_up(connection->easy());
  if (::curl_multi_add_handle(connection->multi(), connection->easy()) != CURLM_OK) throw std::bad_alloc();
  wake.emplace(stop, [multi = connection->multi()] { ::curl_multi_wakeup(multi); });
  run_until([this] { return headers_are_whole; });
  if (!headers_are_whole) std::rethrow_exception(broke);
}

template <class Condition>
void HttpTransfer::State::run_until(Condition done) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_move = Clock::now();
  CURLM* const multi = connection->multi();
  for (;;) {
    if (stop.stop_requested()) throw_error(errc::cancelled, request.operation, request.subject);
    if (done() || ended) return;
    moved = false;
    int running = 0;
    if (const CURLMcode code = ::curl_multi_perform(multi, &running); code != CURLM_OK)
      throw BrokenTransfer({EIO, boost::system::system_category()}, request.operation, request.subject,
                           ::curl_multi_strerror(code));
    if (failure) std::rethrow_exception(failure);
    look_for_end();
    if (done() || ended) continue;
    const Clock::time_point now = Clock::now();
    if (moved) last_move = now;
    // A registry that has everything may have to move it to where it is kept, without a word.
    const bool stores = request.body && sent == request.body_size;
    const auto patience = client.options().stall_timeout * (stores ? 10 : 1);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(last_move + patience - now);
    // Until there is an answer, the connect timeout counts too, which is curl's.
    if (left.count() <= 0)
      throw BrokenTransfer({ETIMEDOUT, boost::system::system_category()}, request.operation, request.subject,
                           request.url.shown() + " has been silent for " + std::to_string(patience.count()) + " ms");
    ::curl_multi_poll(multi, nullptr, 0, static_cast<int>(std::min<std::int64_t>(left.count(), 1000)), nullptr);
  }
}

void HttpTransfer::State::look_for_end() {
  int more = 0;
  while (const CURLMsg* const message = ::curl_multi_info_read(connection->multi(), &more)) {
    if (message->msg != CURLMSG_DONE) continue;
    ended = message->data.result;
    if (*ended == CURLE_OK && headers_are_whole) continue;
    try {
      fail(*ended != CURLE_OK ? *ended : CURLE_GOT_NOTHING);
    } catch (const Error&) {
      broke = std::current_exception();
    }
  }
}

void HttpTransfer::State::fail(CURLcode code) {
  long number = 0;
  ::curl_easy_getinfo(connection->easy(), CURLINFO_OS_ERRNO, &number);
  const bool by_system = code == CURLE_COULDNT_CONNECT && number != 0;
  const boost::system::error_code error(by_system ? static_cast<int>(number) : errno_of(code),
                                        boost::system::system_category());
  std::string what = said.front() != 0 ? said.data() : ::curl_easy_strerror(code);
  // What it says of a proxy's URL has all of that, with user and password.
  if (what.find("proxy") != std::string::npos && what.find('@') != std::string::npos)
    what = "the proxy's URL can't be used";
  const std::string detail = request.url.shown() + ": " + quoted(what);
  // What curl 7 says of a line that it doesn't hold, too.
  if (code == CURLE_OUT_OF_MEMORY && !headers_are_whole)
    throw_error(errc::limit_exceeded, request.operation, request.subject,
                request.url.shown() + " sends a header that is too long, or there is no memory");
  if (may_pass(code, what)) throw BrokenTransfer(error, request.operation, request.subject, detail);
  if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL)
    throw_error(errc::bad_archive, request.operation, request.subject, detail);
  throw Error(error, request.operation, request.subject, detail, remedy_of(code, what));
}

/// Ends the transfer, wherever it is.
void HttpTransfer::State::detach() noexcept {
  if (!connection) return;
  wake.reset();
  ::curl_multi_remove_handle(connection->multi(), connection->easy());
  if (ended && *ended == CURLE_OK)
    client.give_back(place, std::move(connection));
  else
    connection.reset();
}

HttpTransfer::HttpTransfer(HttpClient& client, HttpRequest request, std::stop_token stop)
    : state_(std::make_unique<State>(client, std::move(request), std::move(stop))) {
  try {
    state_->start();
    if (state_->ended) state_->detach();
  } catch (...) {
    state_->detach();
    throw;
  }
}

HttpTransfer::~HttpTransfer() { state_->detach(); }

int HttpTransfer::status() const { return state_->status; }
const HttpHeaders& HttpTransfer::headers() const { return state_->headers; }
const Url& HttpTransfer::url() const { return state_->request.url; }
std::optional<std::uint64_t> HttpTransfer::size() const { return state_->headers.number("content-length"); }

std::size_t HttpTransfer::read(std::span<std::byte> into) {
  State& state = *state_;
  if (const std::size_t waiting = state.ahead.size() - state.ahead_read; waiting > 0) {
    const std::size_t size = std::min(waiting, into.size());
    std::memcpy(into.data(), state.ahead.data() + state.ahead_read, size);
    state.ahead_read += size;
    if (state.ahead_read == state.ahead.size()) {
      state.ahead.clear();
      state.ahead_read = 0;
    }
    return size;
  }
  if (!state.connection) {
    if (state.broke) std::rethrow_exception(state.broke);
    return 0;
  }
  state.target = into;
  state.filled = 0;
  state.run_until([&] { return state.filled > 0; });
  state.target = {};
  if (state.ended) state.detach();
  return state.filled > 0 ? state.filled : read(into);
}

std::string HttpTransfer::read_text(std::size_t limit, bool* whole) {
  std::string text;
  std::array<std::byte, 16384> block;
  if (whole) *whole = false;
  while (text.size() <= limit) {
    const std::size_t size = read(std::span(block).first(std::min(block.size(), limit + 1 - text.size())));
    if (size == 0) {
      if (whole) *whole = true;
      return text;
    }
    text.append(reinterpret_cast<const char*>(block.data()), size);
  }
  text.resize(limit);
  return text;
}

}  // namespace strata::detail
