#include "mounting.hpp"

#include "text.hpp"

#include <algorithm>
#include <boost/filesystem/operations.hpp>
#include <iostream>

namespace layerctl {

namespace {

void set_options(strata::OverlayOptions& options, std::string_view text) {
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    const std::size_t equals = std::min(one.find('='), one.size());
    options.set(one.substr(0, equals), one.substr(std::min(equals + 1, one.size())));
  }
}

std::string check_options(const std::string& text) {
  try {
    strata::OverlayOptions options;
    set_options(options, text);
    return {};
  } catch (const strata::Error& error) {
    return error.what();
  }
}

}  // namespace

strata::MountOptions Mounting::mount_options() const {
  strata::MountOptions mount{.read_only = read_only};
  if (!at.empty()) mount.target = boost::filesystem::absolute(at);
  for (const std::string& text : options) set_options(mount.overlay, text);
  return mount;
}

void add_mounting(CLI::App& command, Mounting& mounting) {
  command
      .add_option("--at", mounting.at, "An existing directory; default: DIR/mounts/NAME, or, of a copy, where it is")
      ->type_name("DIR");
  command.add_flag("--read-only", mounting.read_only, "Let nothing be written");
  command
      .add_option("--backend", mounting.backend,
                  "What a new container is mounted by; default: the best that works here")
      ->type_name("NAME")
      ->check(CLI::IsMember(strata::AnyMounter::names()));
  command.add_option("-o", mounting.options, "An option of the overlay, as the kernel names it")
      ->type_name("OPTION=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false)
      ->check(check_options);
}

Json json_of(const strata::Container& container) { return Json::parse(strata::to_json(container)); }

void print_mounted(const Session& session, const strata::MountedRoot& root, const ChosenBackend& chosen) {
  if (!session.quiet && root.container().backend == chosen.name)
    for (const auto& [backend, usable, why] : chosen.passed_over)
      std::cerr << "layerctl: by " << chosen.name << ", since " << backend << " can't be used: " << why << '\n';
  if (session.json) {
    Json object = json_of(root.container());
    object["path"] = root.path().native();
    object["method"] = root.result().method;
    print(object);
  } else {
    std::cout << root.path().native() << '\n';
  }
}

}  // namespace layerctl
