// A registry of Debian's docker-registry on a port of its own, with all that it stores in memory, gone when it ends.
#pragma once

#include "support/scratch.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

namespace strata::test {

class DockerRegistry {
 public:
  static bool is_installed() { return std::system("command -v docker-registry >/dev/null") == 0; }

  DockerRegistry() : port_(free_port()) {
    const std::string config = (scratch_.path() / "config.yml").native();
    std::ofstream(config)
        << R"({"version": 0.1, "log": {"level": "error"}, "storage": {"inmemory": {}, "delete": {"enabled": true}},)"
        << R"("http": {"addr": "127.0.0.1:)" << port_ << R"(", "secret": "of this test"}})";
    const std::string log = (scratch_.path() / "log").native();
    pid_ = ::fork();
    if (pid_ == 0) {
      if (std::freopen(log.c_str(), "w", stdout) != nullptr && ::dup2(1, 2) == 2)
        ::execlp("docker-registry", "docker-registry", "serve", config.c_str(), nullptr);
      ::_exit(127);
    }
    for (int tries = 0; tries < 400; ++tries) {
      if (answers()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    end();
    throw std::runtime_error("docker-registry doesn't answer");
  }
  DockerRegistry(const DockerRegistry&) = delete;
  DockerRegistry& operator=(const DockerRegistry&) = delete;
  ~DockerRegistry() { end(); }

  /// "localhost:5000"
  std::string name() const { return "localhost:" + std::to_string(port_); }

 private:
  static sockaddr_in address(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  /// One that the kernel gives to nobody who asks for any: between this look and the registry's, another would get it.
  static std::uint16_t free_port() {
    std::random_device random;
    for (int tries = 0; tries < 1000; ++tries) {
      const sockaddr_in place = address(static_cast<std::uint16_t>(10000 + random() % 22000));
      const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const bool found = ::bind(probe, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0;
      ::close(probe);
      if (found) return ntohs(place.sin_port);
    }
    throw std::runtime_error("there is no free port");
  }
  bool answers() const {
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in place = address(port_);
    const bool connected = ::connect(probe, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0;
    ::close(probe);
    return connected;
  }
  void end() const {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  ScratchDirectory scratch_;
  std::uint16_t port_;
  pid_t pid_ = -1;
};

}  // namespace strata::test
