// explain
#include "session.hpp"
#include "text.hpp"

#include <iostream>

namespace layerctl {

namespace {

using Explanation = strata::Explanation;

struct ExplainArguments {
  std::string id, path;
};

std::string rooted(const std::string& path) { return shown("/" + path); }

Json json_of(const Explanation::Cover& cover) {
  return {{"by", to_string(cover.kind)}, {"layer", cover.layer.to_string()}, {"path", cover.path}};
}

Json json_of(const Explanation& explanation) {
  Json followed = Json::array(), layers = Json::array();
  for (const Explanation::Followed& link : explanation.followed)
    followed.push_back({{"path", link.path}, {"target", link.target}, {"layer", link.layer.to_string()}});
  for (const Explanation::AtLayer& at : explanation.layers) {
    layers.push_back({{"layer", at.layer.to_string()}, {"has", to_string(at.has)}, {"shown", at.shown}});
    if (at.opaque) layers.back()["opaque"] = true;
    if (at.cover) layers.back()["hidden"] = json_of(*at.cover);
  }
  Json object{{"path", explanation.path}, {"kind", to_string(explanation.kind)}, {"followed", std::move(followed)}};
  if (explanation.content) object["content"] = explanation.content->to_string();
  if (explanation.attributes) object["attributes"] = explanation.attributes->to_string();
  if (explanation.kind == Explanation::Kind::symlink) object["target"] = explanation.target;
  object["links"] = explanation.links;
  object["layers"] = std::move(layers);
  return object;
}

/// What hides, in words: "hidden by the whiteout /d of 0123456789ab".
std::string told(const Explanation::Cover& cover) {
  const std::string by = rooted(cover.path) + " of " + short_id(cover.layer);
  switch (cover.kind) {
    case Explanation::Cover::Kind::whiteout:
      return "hidden by the whiteout of " + by;
    case Explanation::Cover::Kind::opaque:
      return "hidden by the opaque directory " + by;
    default:
      return "replaced by " + by;
  }
}

std::string told(const Explanation& explanation, const Explanation::AtLayer& at) {
  if (at.has == Explanation::Kind::nothing) return at.cover ? "would be " + told(*at.cover) : "";
  if (at.cover) return told(*at.cover);
  std::string what;
  if (at.layer == explanation.content)
    what = "content, attributes";
  else if (at.layer == explanation.attributes)
    what = "attributes";
  if (at.has == Explanation::Kind::directory) what = (what.empty() ? "merged" : "merged, " + what);
  if (at.opaque) what += ", opaque";
  return what;
}

int explain(const Session& session, const ExplainArguments& arguments) {
  const auto store = session.open_store();
  const Explanation explanation = store.explain(store.resolve(arguments.id), arguments.path);
  if (session.json) {
    print(json_of(explanation));
    return 0;
  }
  for (const Explanation::Followed& link : explanation.followed)
    std::cout << "through the symlink " << rooted(link.path) << " -> " << shown(link.target) << " of "
              << short_id(link.layer) << '\n';
  std::cout << rooted(explanation.path) << ": " << to_string(explanation.kind);
  if (explanation.kind == Explanation::Kind::symlink) std::cout << " -> " << shown(explanation.target);
  if (explanation.kind == Explanation::Kind::unmade) std::cout << ", a device that could not be created";
  std::cout << '\n';
  if (explanation.kind == Explanation::Kind::directory && !explanation.attributes)
    std::cout << "no layer has an entry for it: its attributes are defaults\n";
  for (const std::string& name : explanation.links) std::cout << "the same file as " << rooted(name) << '\n';
  Table table({"LAYER", "HAS", "OF WHICH"});
  for (const Explanation::AtLayer& at : explanation.layers)
    table.add({short_id(at.layer), std::string(to_string(at.has)), told(explanation, at)});
  table.print(std::cout);
  return 0;
}

}  // namespace

void add_explain_command(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("explain", "Say which layers give a path what it is, and what hides the others");
  auto arguments = std::make_shared<ExplainArguments>();
  command->add_option("ID", arguments->id, "The topmost layer: a tag, or an id, which may be abbreviated")->required();
  command->add_option("PATH", arguments->path, "A path in the root filesystem; a symlink at its end is followed by a /")
      ->required();
  on(command, session, std::move(arguments), explain);
}

}  // namespace layerctl
