#include "registry_options.hpp"

#include <strata/error.hpp>
#include <strata/file_descriptor.hpp>

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string_view>

namespace layerctl {

namespace {

constexpr std::size_t longest_secret = 64U << 10;  // tokens are long

/// A terminal without an echo, as long as this lives.
class Silence {
 public:
  explicit Silence(int terminal) : terminal_(terminal) {
    tcgetattr(terminal_, &before_);
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(terminal_, TCSAFLUSH, &silent);
  }
  ~Silence() { tcsetattr(terminal_, TCSAFLUSH, &before_); }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  int terminal_;
  termios before_{};
};

/// Reads a line; signals are waited for elsewhere, so the stop token is looked at between the bytes.
std::string read_line(int terminal, const std::stop_token& stop) {
  std::string line;
  for (char c = 0;;) {
    pollfd ready{.fd = terminal, .events = POLLIN, .revents = 0};
    if (stop.stop_requested()) strata::throw_error(strata::errc::cancelled, "read", "the password");
    if (::poll(&ready, 1, 100) <= 0) continue;
    const ssize_t n = ::read(terminal, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || c == '\n' || line.size() == longest_secret) return line;
    line += c;
  }
}

std::string ask_for_password(const std::string& user, const std::stop_token& stop) {
  const strata::FileDescriptor terminal{::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};
  if (!terminal)
    strata::throw_error(strata::errc::bad_argument, "ask for", "the password of " + strata::quoted(user),
                        "there is no terminal",
                        "write USER:PASSWORD into a file that only you may read, and name it "
                        "by --creds-file");
  const std::string question = "Password of " + strata::quoted(user) + ": ";
  std::string password;
  {
    const Silence silence(terminal.get());
    [[maybe_unused]] const ssize_t asked = ::write(terminal.get(), question.data(), question.size());
    password = read_line(terminal.get(), stop);
  }
  [[maybe_unused]] const ssize_t ended = ::write(terminal.get(), "\n", 1);
  return password;
}

/// The first line of a file, or of standard input.
std::string first_line(const std::string& name) {
  std::ifstream file;
  if (name != "-") file.open(name);
  std::istream& in = name == "-" ? std::cin : file;
  std::string line;
  if (!std::getline(in, line))
    strata::throw_error(strata::errc::not_found, "read", "credentials from " + strata::quoted(name),
                        errno != 0 ? std::strerror(errno) : "the file is empty");
  return line;
}

}  // namespace

strata::RegistryOptions RegistryArguments::options(const Session& session) const {
  strata::RegistryOptions options{
      .auth_file = auth_file,
      .certificates = certificates,
      .verify_tls = verify_tls,
      .plain_http = plain_http,
      .mirrors = mirrors,
      .proxy = proxy,
      .retries = retries,
  };
  errno = 0;
  if (const std::string text = creds_file.empty() ? creds : first_line(creds_file); !text.empty()) {
    const std::size_t colon = text.find(':');
    strata::Credentials credentials{.user = text.substr(0, colon)};
    credentials.secret =
        colon == std::string::npos ? ask_for_password(credentials.user, session.stop) : text.substr(colon + 1);
    options.credentials = std::move(credentials);
  }
  if (!session.quiet && !session.json)
    options.on_retry = [](const std::string& what) { std::cerr << "layerctl: " + what + '\n'; };
  return options;
}

void add_registry(CLI::App& command, RegistryArguments& arguments, bool reads, const std::string& prefix) {
  const auto name = [&](const char* option) { return "--" + prefix + option; };
  auto* creds = command
                    .add_option(name("creds"), arguments.creds,
                                "Who you are to the registry. Without a password it is asked for; default: what the "
                                "files of podman and docker have")
                    ->type_name("USER[:PASSWORD]");
  command
      .add_option(name("creds-file"), arguments.creds_file,
                  "A file whose first line is USER:PASSWORD; - is standard input")
      ->type_name("FILE")
      ->excludes(creds);
  command
      .add_option(name("auth-file"), arguments.auth_file,
                  "Credentials as podman's auth.json and docker's config.json have them")
      ->type_name("FILE");
  command
      .add_option(name("cert-dir"), arguments.certificates,
                  "A folder of CAs, *.crt, and of certificates to show, NAME.cert with NAME.key")
      ->type_name("DIR");
  command.add_flag(name("tls-verify") + ",!" + name("no-tls-verify"), arguments.verify_tls,
                   "=false: take any certificate, and plain HTTP where there is no HTTPS");
  command.add_flag(name("plain-http"), arguments.plain_http, "Plain HTTP, credentials included");
  if (reads)
    command.add_option(name("mirror"), arguments.mirrors, "Is asked before the registry; repeatable, in this order")
        ->type_name("HOST[:PORT][/PATH]")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false);
  command.add_option(name("proxy"), arguments.proxy, "By which proxy; default: what http_proxy and https_proxy say")
      ->type_name("URL");
  command.add_option(name("retries"), arguments.retries, "How often a request is tried again")
      ->check(CLI::Range(0, 1000))
      ->type_name("N")
      ->capture_default_str();
}

void hide_secrets(int argc, char** argv) {
  std::string_view option;  // that the next argument belongs to
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    std::size_t begin = 0;
    if (option.empty() && argument.starts_with("--")) {
      const std::size_t equals = argument.find('=');
      option = argument.substr(0, equals);
      if (!option.ends_with("creds") && !option.ends_with("proxy")) option = {};
      if (option.empty() || equals == argument.npos) continue;
      begin = equals + 1;
    }
    if (option.empty()) continue;
    // USER:PASSWORD, or SCHEME://USER:PASSWORD@HOST
    std::size_t end = argument.size();
    if (option.ends_with("proxy")) {
      if (const std::size_t scheme = argument.find("://", begin); scheme != argument.npos) begin = scheme + 3;
      end = argument.rfind('@');
    }
    const std::size_t colon = argument.find(':', begin);
    if (end != argument.npos && colon < end) std::memset(argv[i] + colon + 1, '*', end - colon - 1);
    option = {};
  }
}

}  // namespace layerctl
