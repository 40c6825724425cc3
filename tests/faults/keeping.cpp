// Leases, tags and gc.
#include "operations.hpp"

#include <strata/error.hpp>

#include <chrono>

namespace strata::test {

namespace {

constexpr std::chrono::seconds any_age(0);

std::string keepers(Scene& scene) {
  std::string text;
  for (const LeaseState& lease : scene.store().leases())
    text += "lease " + lease.name + " of " + std::to_string(lease.layers.size()) + (lease.live ? "\n" : ", ended\n");
  for (const Tag& tag : scene.store().tags()) text += "tag " + tag.name + " of " + tag.layer.to_string() + "\n";
  return text;
}

void forget_keepers(Scene& scene) {
  for (const LeaseState& lease : scene.store().leases()) scene.store().remove_lease(lease.name);
  for (const Tag& tag : scene.store().tags()) scene.store().untag(tag.name);
  forget_all_but(scene, {scene.base(), scene.child()});
}

/// One that survives; made where there is none.
Lease open_or_make_lease(Scene& scene) {
  for (const LeaseState& lease : scene.store().leases())
    if (lease.name == "kept") return scene.store().open_lease("kept");
  LeaseOptions options;
  options.name = "kept";
  options.survives = true;
  return scene.store().lease(options);
}

Operation keeping(std::string name, std::function<std::string(Scene&)> run) {
  Operation operation;
  operation.name = std::move(name);
  operation.run = std::move(run);
  operation.undo = forget_keepers;
  return operation;
}

std::string import_and_keep(Scene& scene) {
  const Lease lease = open_or_make_lease(scene);
  ImportOptions options;
  options.parent = scene.child();
  options.created = "2024-01-01T00:00:00Z";
  options.owners = Owners::squash;
  options.lease = &lease;
  options.tag = "team/app:1";
  scene.store().import(MemorySource(tars().odd), options);
  return keepers(scene);
}

std::string hold_lease(Scene& scene) {
  LeaseOptions options;
  options.name = "held";
  Lease lease = scene.store().lease(options);
  lease.add(scene.child());
  lease.renew(std::chrono::hours(1));
  lease.release();
  return "held and released";
}

std::string make_lease(Scene& scene) {
  open_or_make_lease(scene).add(scene.child());
  return keepers(scene);
}

std::string move_tag(Scene& scene) {
  scene.store().tag("latest", scene.base());
  scene.store().tag("latest", scene.child());
  return keepers(scene);
}

/// Whether it is gone already is no matter to who does it again.
std::string take_away(const std::function<void()>& remove) {
  try {
    remove();
  } catch (const Error& error) {
    if (error.code() != errc::not_found) throw;
  }
  return "gone";
}

Operation collecting(bool dry_run) {
  Operation operation = keeping(dry_run ? "gc, dry run" : "gc", [dry_run](Scene& scene) {
    GcOptions options;
    options.dry_run = dry_run;
    options.min_age = any_age;
    scene.store().gc(options);
    std::string text;
    for (const Layer& layer : scene.store().list()) text += layer.id.to_string() + "\n";
    return text;
  });
  operation.prepare = [](Scene& scene) {
    scene.store().tag("kept", scene.child());
    const Digest below = scene.import(tars().odd, scene.child());
    scene.import(tars().large, below);
    LeaseOptions ended;
    ended.name = "ended";
    ended.survives = true;
    ended.expires_after = any_age;
    scene.store().lease(ended);
  };
  return operation;
}

}  // namespace

std::vector<Operation> keeping_operations() {
  Operation releasing =
      keeping("release a lease", [](Scene& scene) { return take_away([&] { scene.store().remove_lease("kept"); }); });
  releasing.prepare = [](Scene& scene) { open_or_make_lease(scene).add(scene.child()); };
  Operation untagging =
      keeping("untag", [](Scene& scene) { return take_away([&] { scene.store().untag("latest"); }); });
  untagging.prepare = [](Scene& scene) { scene.store().tag("latest", scene.child()); };
  return {keeping("import with a lease and a tag", import_and_keep),
          keeping("hold a lease", hold_lease),
          keeping("make a lease", make_lease),
          std::move(releasing),
          keeping("tag", move_tag),
          std::move(untagging),
          collecting(true),
          collecting(false)};
}

}  // namespace strata::test
