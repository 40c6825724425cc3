// A CI builder on one page: an image of a base, a directory and a command that is run in it, pushed to a registry.
//
//   ci_builder [--plain-http] STORE BASE APP IMAGE TO
//   ci_builder store docker://debian:12 app/ app:1 docker://registry.example/app:1
//
// Steps that were made before are taken from the store. With SOURCE_DATE_EPOCH, two builds give the same digest. The
// command needs root, or a namespace of one's own: unshare --user --map-auto --map-root-user --mount ci_builder ...
#include <strata/strata.hpp>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

/// Runs a program of the root in it.
void run_in(const boost::filesystem::path& root, const char* program) {
  const char* const arguments[] = {"chroot", root.c_str(), program, nullptr};
  const char* const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", nullptr};
  pid_t child = 0;
  int status = 0;
  if (posix_spawnp(&child, arguments[0], nullptr, nullptr, const_cast<char**>(arguments),
                   const_cast<char**>(environment)) != 0 ||
      waitpid(child, &status, 0) != child || status != 0)
    throw std::runtime_error(std::string("failed in the image: ") + program);
}

strata::Image build(strata::LayerManager<>& manager, const char* base, const char* app, const char* name) {
  strata::ImageBuilder builder{manager, base};
  builder.copy(app, "/srv/app");
  builder.run("configure", [](const boost::filesystem::path& root) { run_in(root, "/srv/app/configure"); });
  builder.config([](strata::ImageConfig& config) {
    config.config.cmd = {{"/srv/app/run"}};
    config.config.working_dir = "/srv/app";
  });
  return builder.build(name, {.on_step = [](std::string_view step, bool cached) {
                         std::cout << (cached ? "cached: " : "step:   ") << step << '\n';
                       }});
}

}  // namespace

int main(int argc, char** argv) try {
  const bool plain_http = argc == 7 && std::string_view(argv[1]) == "--plain-http";  // for a registry on this machine
  if (plain_http) ++argv;
  if (argc != 6 && !plain_http) {
    std::cerr << "usage: ci_builder [--plain-http] STORE BASE APP IMAGE TO\n";
    return 2;
  }
  strata::LayerStore<> store{argv[1]};
  const strata::TransportOptions transport{.registry = {.plain_http = plain_http}};
  strata::LayerManager<> manager{store, strata::AnyMounter(store), {.options = transport}};
  const strata::Image image = build(manager, argv[2], argv[3], argv[4]);
  std::cout << "image   " << image.digest.to_string() << '\n';
  const strata::Document pushed = manager.push(argv[4], argv[5], {}, transport);
  std::cout << "pushed  " << pushed.digest.to_string() << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
