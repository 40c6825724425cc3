// lint
#include "limits.hpp"
#include "session.hpp"
#include "streams.hpp"
#include "text.hpp"

#include <iostream>

namespace layerctl {

namespace {

struct LintArguments {
  std::string file;
  Limits limits;
  bool allow_unmarked_end = false;
};

void tell(const char* what, const strata::Report& report) {
  for (const strata::Event& event : report.events()) {
    std::cout << what << ' ' << event.rule;
    if (!event.path.empty()) std::cout << ' ' << shown(event.path);
    std::cout << ": " << shown(event.action) << '\n';
  }
  if (report.total() > report.events().size())
    std::cout << what << " … and " << report.total() - report.events().size() << " more\n";
}

int lint(const Session& session, const LintArguments& arguments) {
  const auto source = open_input(arguments.file, session.stop);
  strata::LintOptions options{.budget = arguments.limits.budget()};
  if (arguments.allow_unmarked_end) options.end = strata::EndOfLayer::any;
  const strata::LintResult result = session.watch("lint", [&](const strata::Control& control) {
    options.control = control;
    return strata::lint(*source, options);
  });
  if (session.json) {
    Json object{{"verdict", result.error         ? "broken"
                            : result.odd.empty() ? "clean"
                                                 : "odd"},
                {"odd", json_of(result.odd)},
                {"odd_total", result.odd.total()},
                {"needs", json_of(result.needs)},
                {"needs_total", result.needs.total()}};
    if (result.error)
      object["error"] = result.error->what();
    else
      object.update(
          {{"diff_id", result.diff_id.to_string()}, {"entries", result.entries}, {"tar_size", result.tar_size}});
    print(object);
  } else {
    tell("odd", result.odd);
    tell("needs", result.needs);
    if (result.clean()) std::cout << "clean: " << result.entries << " entries, " << result.diff_id.to_string() << '\n';
  }
  if (result.error) throw strata::Error(*result.error).add_context("broken");
  if (!result.odd.empty())
    strata::throw_error(strata::errc::refused, "call clean", source->name(),
                        "odd: " + std::to_string(result.odd.total()) +
                            (result.odd.total() == 1 ? " thing that" : " things that") +
                            " import reports, and refuses with --strict");
  return 0;
}

}  // namespace

void add_lint_command(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("lint", "Say what is odd or broken in a layer, and what it needs from those below");
  auto arguments = std::make_shared<LintArguments>();
  command->add_option("FILE", arguments->file, "The layer; - is standard input")->required();
  add_limits(*command, arguments->limits);
  command->add_flag("--allow-unmarked-end", arguments->allow_unmarked_end,
                    "Take a plain tar that has no end marker for odd, not for broken");
  on(command, session, std::move(arguments), lint);
}

}  // namespace layerctl
