// A registry's client for scripts, over RegistrySource and RegistrySink.
//
//   registry_client [OPTION VALUE]... pull REFERENCE FOLDER     into a folder of blobs, by digest, and a file `top`
//   registry_client [OPTION VALUE]... race REFERENCE THREADS    each thread reads every blob
//   registry_client [OPTION VALUE]... push FOLDER REFERENCE
//   registry_client [OPTION VALUE]... copy SOURCE SINK          each docker://REFERENCE or oci:DIR:TAG
//   registry_client [OPTION VALUE]... tags REFERENCE
//   registry_client [OPTION VALUE]... referrers REFERENCE DIGEST
//   registry_client [OPTION VALUE]... credentials REPOSITORY
//
// Options: user NAME:SECRET, auth-file, certificates, insecure yes, plain yes, mirror, proxy, retries, first-delay,
// most-delay, connect-timeout, stall-timeout (ms, ms, s, s, s), chunk, mount-from, from OFFSET (of blobs that are
// pulled), stop-after MS. Retries are told on standard error, and what failed, which ends it with status 1; one that
// was cancelled with 3. The last line of standard output is "peak KILOBYTES stopped MILLISECONDS", the time from the
// stop request to the end.
#include <strata/error.hpp>
#include <strata/hash.hpp>
#include <strata/transport/names.hpp>
#include <strata/transport/oci_layout.hpp>
#include <strata/transport/registry.hpp>

#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace strata;
using boost::filesystem::path;
using Clock = std::chrono::steady_clock;

namespace {

struct Task {
  RegistryOptions options;
  PushToRegistryOptions push;
  std::uint64_t from = 0;
  std::stop_source stop;
};

std::string file_text(const path& file) {
  std::ifstream stream(file.native(), std::ios::binary);
  if (!stream) throw std::runtime_error("cannot read " + file.native());
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write_file(const path& file, const std::string& text) {
  std::ofstream stream(file.native(), std::ios::binary);
  if (!(stream << text) || !stream.flush()) throw std::runtime_error("cannot write " + file.native());
}

/// Not held in memory, which is measured.
Digest digest_of_file(const path& file) {
  FileSource source = open_file(file);
  AnyHash hash = AnyHash::of<Sha256>();
  std::vector<std::byte> block(65536);
  while (const std::size_t size = source.read(block)) hash.update(std::span(block).first(size));
  return hash.finish();
}

void read_option(Task& task, const std::string& name, const std::string& value) {
  RegistryOptions& options = task.options;
  const auto number = [&] { return std::stoll(value); };
  if (name == "user") {
    const std::size_t colon = value.find(':');
    options.credentials = Credentials{.user = value.substr(0, colon), .secret = value.substr(colon + 1)};
  } else if (name == "auth-file") {
    options.auth_file = value;
  } else if (name == "certificates") {
    options.certificates = value;
  } else if (name == "insecure") {
    options.verify_tls = false;
  } else if (name == "plain") {
    options.plain_http = true;
  } else if (name == "mirror") {
    options.mirrors.push_back(value);
  } else if (name == "proxy") {
    options.proxy = value;
  } else if (name == "retries") {
    options.retries = static_cast<int>(number());
  } else if (name == "first-delay") {
    options.first_delay = std::chrono::milliseconds(number());
  } else if (name == "most-delay") {
    options.most_delay = std::chrono::seconds(number());
  } else if (name == "connect-timeout") {
    options.connect_timeout = std::chrono::seconds(number());
  } else if (name == "stall-timeout") {
    options.stall_timeout = std::chrono::seconds(number());
  } else if (name == "chunk") {
    task.push.chunk = static_cast<std::uint64_t>(number());
  } else if (name == "mount-from") {
    task.push.mount_from.push_back(value);
  } else if (name == "from") {
    task.from = static_cast<std::uint64_t>(number());
  } else {
    throw std::runtime_error("no option " + name);
  }
}

void pull_blob(RegistrySource& source, const Descriptor& blob, const path& folder, const Task& task) {
  const path file = folder / blob.digest.hex();
  const auto bytes = source.open(blob, task.from, task.stop.get_token());
  FileSink sink = create_file(file);
  const std::uint64_t size = copy(*bytes, sink);
  std::printf("blob %s %llu\n", blob.digest.to_string().c_str(), static_cast<unsigned long long>(size));
  if (task.from == 0 && digest_of_file(file) != blob.digest)
    throw_error(errc::digest_mismatch, "pull", blob.digest.to_string());
}

void pull_image(RegistrySource& source, const Document& document, const path& folder, const Task& task) {
  write_file(folder / document.digest.hex(), document.bytes);
  if (is_index(document.media_type)) {
    for (const Descriptor& one : ImageIndex::parse(document).manifests)
      pull_image(source, source.document(one, task.stop.get_token()), folder, task);
    return;
  }
  const ImageManifest manifest = ImageManifest::parse(document);
  write_file(folder / manifest.config.digest.hex(), source.document(manifest.config, task.stop.get_token()).bytes);
  for (const Descriptor& layer : manifest.layers) pull_blob(source, layer, folder, task);
}

/// The threads' source is a new one, so that all of them may be the first that has to log in.
void race(const ImageReference& reference, int count, const Task& task) {
  const ImageManifest manifest =
      ImageManifest::parse(RegistrySource(reference, task.options).top(task.stop.get_token()));
  RegistrySource source(reference, task.options);
  std::atomic<int> right = 0;
  std::vector<std::jthread> threads;
  for (int number = 0; number < count; ++number)
    threads.emplace_back([&] {
      for (const Descriptor& layer : manifest.layers) {
        const auto bytes = source.open(layer, 0, task.stop.get_token());
        MemorySink sink;
        copy(*bytes, sink);
        right += digest_of<Sha256>(std::string_view(sink.text())) == layer.digest ? 1 : 0;
      }
    });
  threads.clear();
  std::printf("right %d\n", right.load());
}

void push_image(RegistrySink& sink, const Document& document, const path& folder, const Task& task, bool is_top) {
  const std::stop_token stop = task.stop.get_token();
  const auto push_blob = [&](const Descriptor& blob) {
    if (sink.has(blob, stop)) return void(std::printf("had %s\n", blob.digest.to_string().c_str()));
    FileSource file = open_file(folder / blob.digest.hex());
    sink.put(blob, file, Control{.stop = stop});
    std::printf("sent %s\n", blob.digest.to_string().c_str());
  };
  if (is_index(document.media_type)) {
    for (const Descriptor& one : ImageIndex::parse(document).manifests)
      push_image(sink, Document::checked(file_text(folder / one.digest.hex()), one, "the folder"), folder, task, false);
  } else {
    const ImageManifest manifest = ImageManifest::parse(document);
    for (const Descriptor& layer : manifest.layers) push_blob(layer);
    push_blob(manifest.config);
  }
  is_top ? sink.finish(document, stop) : sink.put(document, stop);
}

AnySource source_of(const ImageName& name, const Task& task) {
  if (name.transport != ImageName::Transport::docker) return AnySource(OciLayoutSource(name.path, name.image));
  return AnySource(RegistrySource(ImageReference::parse(name.image), task.options));
}

AnySink sink_of(const ImageName& name, const Task& task) {
  if (name.transport != ImageName::Transport::docker) return AnySink(OciLayoutSink(name.path, name.image));
  return AnySink(RegistrySink(ImageReference::parse(name.image), task.options, task.push));
}

void run(const std::vector<std::string>& words, Task& task) {
  const std::stop_token stop = task.stop.get_token();
  const std::string& command = words.at(0);
  if (command == "pull") {
    RegistrySource source(ImageReference::parse(words.at(1)), task.options);
    const path folder = words.at(2);
    boost::filesystem::create_directories(folder);
    const Document top = source.top(stop);
    pull_image(source, top, folder, task);
    write_file(folder / "top", top.media_type + "\n" + top.bytes);
    std::printf("top %s\n", top.digest.to_string().c_str());
  } else if (command == "race") {
    race(ImageReference::parse(words.at(1)), std::stoi(words.at(2)), task);
  } else if (command == "push") {
    RegistrySink sink(ImageReference::parse(words.at(2)), task.options, task.push);
    const std::string top = file_text(path(words.at(1)) / "top");
    const std::size_t line = top.find('\n');
    const Document document = Document::of(top.substr(line + 1), top.substr(0, line));
    push_image(sink, document, words.at(1), task, true);
    std::printf("top %s\n", document.digest.to_string().c_str());
  } else if (command == "copy") {
    AnySource source = source_of(ImageName::parse(words.at(1)), task);
    AnySink sink = sink_of(ImageName::parse(words.at(2)), task);
    const Document top = copy_image(source, sink, {.control = {.stop = stop}});
    std::printf("top %s\n", top.digest.to_string().c_str());
  } else if (command == "tags") {
    for (const std::string& tag : RegistrySource(ImageReference::parse(words.at(1)), task.options).tags(stop))
      std::printf("tag %s\n", tag.c_str());
  } else if (command == "referrers") {
    RegistrySource source(ImageReference::parse(words.at(1)), task.options);
    for (const Descriptor& one : source.referrers(Digest::parse(words.at(2)), {}, stop))
      std::printf("referrer %s %s\n", one.digest.to_string().c_str(), one.artifact_type.c_str());
  } else if (command == "credentials") {
    const Credentials found = find_credentials(words.at(1), task.options.auth_file);
    std::printf("credentials %s:%s:%s\n", found.user.c_str(), found.secret.c_str(), found.identity_token.c_str());
  } else {
    throw std::runtime_error("no command " + command);
  }
}

/// In KiB. Not ru_maxrss, in which an exec counts what was there before.
long peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  Task task;
  task.options.on_retry = [](const std::string& what) { std::fprintf(stderr, "retry: %s\n", what.c_str()); };
  std::jthread stopper;
  Clock::time_point stopped;
  int status = 0;
  try {
    while (words.size() > 2 && words.front().starts_with("--")) {
      if (words[0] == "--stop-after") {
        stopper =
            std::jthread([&, after = std::chrono::milliseconds(std::stoll(words[1]))](const std::stop_token& end) {
              for (auto until = Clock::now() + after; Clock::now() < until && !end.stop_requested();)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
              stopped = Clock::now();
              task.stop.request_stop();
            });
      } else {
        read_option(task, words[0].substr(2), words[1]);
      }
      words.erase(words.begin(), words.begin() + 2);
    }
    run(words, task);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    status = error.code() == errc::cancelled ? 3 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "not an Error: %s\n", error.what());
    status = 2;
  }
  const Clock::time_point ended = Clock::now();
  if (stopper.joinable()) {
    stopper.request_stop();
    stopper.join();
  }
  const auto late = std::chrono::duration_cast<std::chrono::milliseconds>(ended - stopped).count();
  std::printf("peak %ld stopped %lld\n", peak_memory(), status == 3 ? static_cast<long long>(late) : -1LL);
  return status;
}
