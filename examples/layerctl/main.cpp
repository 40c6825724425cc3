// layerctl: strata on the command line.
//
// Exit codes, on which scripts rely: 0 done, 1 refused or failed with one line on standard error, 2 usage.
#include "interrupt.hpp"
#include "limits.hpp"
#include "registry_options.hpp"
#include "session.hpp"

#include <malloc.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <new>

namespace layerctl {

namespace {

enum ExitCode { done = 0, failed = 1, usage = 2 };

void say(std::string message) {
  std::ranges::replace(message, '\n', ' ');
  std::cerr << "layerctl: " << message << '\n';
}

void add_global_options(CLI::App& app, Session& session) {
  app.add_option("--root", session.root, "The store's directory")
      ->type_name("DIR")
      ->check([](const std::string& text) { return std::string(text.empty() ? "is empty" : ""); })
      ->capture_default_str();
  app.add_option("--durability", session.durability,
                 "full: what was reported stored survives a power cut; none: it may not, and nothing is waited for")
      ->transform(CLI::CheckedTransformer(std::map<std::string, strata::Durability>{
          {"full", strata::Durability::full}, {"none", strata::Durability::none}}))
      ->type_name("full|none")
      ->default_str("full");
  add_size(
      app, "--cache-limit", session.cache_limit,
      "Bytes that the store may take before images that nothing needs go, the least recently used first; default: no "
      "limit");
  app.add_flag("--json", session.json, "Print results as JSON");
  app.add_flag("--strict", session.strict, "Refuse layers that hold anything legal but odd");
  app.add_flag("--quiet", session.quiet, "Don't report what is odd, nor progress");
  app.set_version_flag("--version", "layerctl " STRATA_VERSION, "Print the version");
}

/// CLI11's own exit codes start at 100.
int show_usage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);
  const auto commands = app.get_subcommands();
  const auto unknown = app.remaining();
  if (commands.empty() && !unknown.empty())
    say("there is no command " + strata::quoted(unknown.front()) + "; see layerctl --help");
  else
    say(std::string(error.what()) + "; see layerctl " + (commands.empty() ? "" : commands.front()->get_name() + " ") +
        "--help");
  return usage;
}

int run(const Session& session) {
  const int code = session.action();
  // What was printed may be all that a caller gets: a full disk or a closed pipe must not pass for success.
  std::cout.flush();
  if (std::fflush(stdout) != 0 || !std::cout) strata::throw_errno(errno == 0 ? EIO : errno, "write", "standard output");
  return code;
}

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error as any other
  // Else malloc comes to keep what one layer's window took, once for each thread that ever had one.
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  const Interrupt interrupt;
  Session session;
  session.stop = interrupt.token();

  CLI::App app{"Keep container layers, stack them into a root filesystem, and turn what changed back into a layer.",
               "layerctl"};
  app.require_subcommand(1);
  app.fallthrough();  // global options are taken behind the command too
  add_global_options(app, session);
  add_layer_commands(app, session);
  add_verify_commands(app, session);
  add_export_command(app, session);
  add_keep_commands(app, session);
  add_container_commands(app, session);
  add_commit_command(app, session);
  add_image_commands(app, session);
  add_transfer_commands(app, session);
  add_diff_command(app, session);
  add_directory_commands(app, session);
  add_explain_command(app, session);
  add_inspect_command(app, session);
  add_lint_command(app, session);
  add_doctor_command(app, session);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return show_usage(app, error);
  }
  hide_secrets(argc, argv);
  try {
    return run(session);
  } catch (const std::bad_alloc&) {
    say("out of memory");
  } catch (const std::exception& error) {
    say(error.what());
  }
  return failed;
}

}  // namespace

}  // namespace layerctl

int main(int argc, char** argv) { return layerctl::main(argc, argv); }
