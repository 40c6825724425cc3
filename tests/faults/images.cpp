// Images of a store: pulled, committed, pushed, removed, collected.
#include "operations.hpp"

#include <strata/error.hpp>
#include <strata/image_builder.hpp>
#include <strata/layer_manager.hpp>
#include <strata/mount/copy.hpp>
#include <strata/transport/oci_layout.hpp>

#include "store/core.hpp"
#include "support/fake_registry.hpp"

#include <boost/filesystem/operations.hpp>

#include <chrono>
#include <span>

namespace strata::test {

namespace fs = boost::filesystem;

namespace {

using Manager = LayerManager<LayerStore<>, Mounter<Copy>>;

Manager manager_of(Scene& scene) { return Manager(scene.store(), Mounter<Copy>(scene.store())); }

FakeSource source() {
  static FakeNetwork network(noisy_image({1, 2}, 3000));
  return FakeSource(network);
}

Image pull(Scene& scene, bool keep_blobs, const std::string& name = "app") {
  PullOptions options{.keep_blobs = keep_blobs, .owners = Owners::squash};
  return manager_of(scene).pull(AnySource(source()), name, options);
}

/// One that is made here, of plain layers.
Image make(Scene& scene, const std::string& name) {
  scene.store().tag("kept", scene.child());
  const MadeImage made = image_of({tars().base, tars().child}, "none");
  return ImageStore(scene.store())
      .add({.manifest = made.top, .config = made.config.document(), .index = {}, .made = true, .name = name});
}

/// All images, and that they are whole; after what dead processes left is gone.
std::string images_of(Scene& scene) {
  scene.store().gc();
  std::string text;
  for (const Image& image : ImageStore(scene.store()).list()) {
    text += image.digest.to_string() + (image.made ? " made" : "");
    for (const std::string& name : image.names) text += " " + name;
    text += " of " + std::to_string(scene.store().chain(image.layer).size()) + " layers\n";
  }
  return text + names_beneath(scene.root() / "blobs", 2);
}

void forget_images(Scene& scene) {
  scene.remove_container("c");
  // The tag of the scene's own layers keeps them.
  for (const Image& image : ImageStore(scene.store()).list()) ImageStore(scene.store()).remove(image.digest, true);
  for (const Tag& tag : scene.store().tags()) scene.store().untag(tag.name);
  scene.store().gc();
  for (const char* room : {"images", "blobs", "downloads", "steps"}) fs::remove_all(scene.root() / room);
  fs::remove_all(scene.place() / "layout");
  forget_all_but(scene, {scene.base(), scene.child()});
}

/// `before`: what is there first, beside the scene's own layers.
Operation of_images(
    std::string name, std::function<std::string(Scene&)> run, std::function<void(Scene&)> before = [](Scene&) {}) {
  Operation operation;
  operation.name = std::move(name);
  operation.prepare = [before = std::move(before)](Scene& scene) {
    scene.store().tag("kept", scene.child());
    before(scene);
  };
  operation.run = std::move(run);
  operation.undo = forget_images;
  return operation;
}

Operation pulling(bool again) {
  return of_images(
      again ? "pull, and keep what wasn't kept" : "pull",
      [](Scene& scene) {
        pull(scene, true);
        return images_of(scene);
      },
      [again](Scene& scene) {
        if (again) pull(scene, false);
      });
}

Operation committing() {
  Operation operation = of_images("commit an image", [](Scene& scene) {
    const Image image = manager_of(scene).commit("c", {.name = "made", .created = "2024-01-01T00:00:00Z"});
    scene.store().gc();
    return std::to_string(scene.store().chain(image.layer).size()) + " layers";
  });
  operation.prepare = [](Scene& scene) {
    scene.store().tag("kept", scene.child());
    scene.make_container("c");
  };
  return operation;
}

Operation pushing(bool made) {
  Operation operation = of_images(made ? "push what is to be compressed" : "push to a layout", [made](Scene& scene) {
    const Document top =
        manager_of(scene).push(made ? "made" : "app", AnySink(OciLayoutSink(scene.place() / "layout", "a")));
    scene.store().gc();
    return top.digest.to_string();
  });
  operation.prepare = [made](Scene& scene) {
    scene.store().tag("kept", scene.child());
    made ? make(scene, "made") : pull(scene, true);
  };
  return operation;
}

Operation removing() {
  Operation operation = of_images("remove an image", [](Scene& scene) {
    const ImageStore images(scene.store());
    if (const auto image = images.find("app")) images.remove(image->digest);
    // What an interruption leaves is garbage: it has no name.
    for (const Image& image : images.list())
      if (image.names.empty()) images.remove(image.digest);
    scene.store().gc({.min_age = std::chrono::seconds(0)});
    return images_of(scene);
  });
  operation.prepare = [](Scene& scene) {
    scene.store().tag("kept", scene.child());
    const Image image = pull(scene, true);
    ImageStore(scene.store()).tag(image.digest, "more");
  };
  return operation;
}

Operation collecting() {
  Operation operation = of_images("gc with images", [](Scene& scene) {
    scene.store().gc({.min_age = std::chrono::seconds(0)});
    return images_of(scene);
  });
  operation.prepare = [](Scene& scene) {
    make(scene, "made");
    pull(scene, true);
    scene.store().untag("app");
  };
  return operation;
}

Operation tagging() {
  Operation operation = of_images("tag an image", [](Scene& scene) {
    const ImageStore images(scene.store());
    images.tag(images.get("made").digest, "other");
    images.touch(images.get("made").digest);
    return images_of(scene);
  });
  operation.prepare = [](Scene& scene) { make(scene, "made"); };
  return operation;
}

/// All that is wrong with an image.
std::string faults_of(Scene& scene, const Digest& image) {
  const ImageVerifyResult found = ImageStore(scene.store()).verify(image, {.level = VerifyLevel::proving});
  std::string text = found.record;
  for (const VerifyResult& layer : found.layers)
    for (const Damage& damage : layer.damages) text += damage.path + ": " + damage.what + "\n";
  for (const auto& blob : found.blobs) text += blob.digest.to_string() + ": " + blob.what + "\n";
  return text;
}

Operation verifying() {
  Operation operation = of_images(
      "verify an image", [](Scene& scene) { return faults_of(scene, ImageStore(scene.store()).get("app").digest); },
      [](Scene& scene) { pull(scene, true); });
  operation.reads_only = true;
  return operation;
}

/// A kept blob that was cut, and each file that was deleted.
void damage_image(Scene& scene) {
  const std::vector<Layer> chain = scene.store().chain(pull(scene, true).layer);
  fs::resize_file(scene.root() / scene.store().core()->blob_path(chain[0].blob), 100);
  for (const Layer& layer : chain)
    for (const fs::directory_entry& file :
         fs::directory_iterator(scene.store().core()->tree_directory(layer.tree()) / "fs"))
      fs::remove(file.path());
}

Operation repairing() {
  Operation operation = of_images(
      "repair an image",
      [](Scene& scene) {
        AnySource from{source()};
        const Digest image = ImageStore(scene.store()).get("app").digest;
        const ImageRepairResult result = manager_of(scene).repair(image, {.source = &from, .owners = Owners::squash});
        if (!result.ok()) throw_error(errc::damaged, "repair", "the image");
        return images_of(scene) + faults_of(scene, image);
      },
      damage_image);
  operation.mends = true;
  return operation;
}

Operation mounting() {
  Operation operation = of_images("prepare an image", [](Scene& scene) {
    try {
      manager_of(scene).prepare("made", "c").keep();
    } catch (const Error& error) {
      if (error.code() != errc::already_exists) throw;
    }
    return images_of(scene) + names_beneath(scene.root() / "containers/c/upper", 2);
  });
  operation.prepare = [](Scene& scene) { make(scene, "made"); };
  return operation;
}

Operation building() {
  return of_images("build an image", [](Scene& scene) {
    Manager manager = manager_of(scene);
    ImageBuilder builder(manager, "scratch");
    builder.run("write",
                [](const fs::path& root) { create_file(root / "file").write(std::as_bytes(std::span("text"))); });
    builder.config([](ImageConfig& config) { config.config.cmd = {{"/file"}}; });
    const BuildOptions options{.created = "2024-01-01T00:00:00Z"};
    const Image image = builder.build("built", options);
    builder.build("built", options);  // removes a container that the first couldn't
    scene.store().gc({.min_age = std::chrono::seconds(0)});
    return image.digest.to_string() + std::to_string(scene.store().containers().size());
  });
}

}  // namespace

std::vector<Operation> image_operations() {
  return {pulling(false), pulling(true), committing(), pushing(false), pushing(true), removing(),
          collecting(),   tagging(),     verifying(),  repairing(),    mounting(),    building()};
}

}  // namespace strata::test
