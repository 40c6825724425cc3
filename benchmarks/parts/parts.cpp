// strata's parts, one by one, by Google Benchmark.
//
//   parts [FILE] [--benchmark_filter=REGEX, and its other options]
//
// FILE is a layer, compressed or not; default: one of 2,000 files that is made in memory. Trees are written in TMPDIR,
// and removed. Mounting is left out where this process may not mount. bytes_per_second is of uncompressed content.
#include <strata/strata.hpp>

#include <benchmark/benchmark.h>
#include <boost/filesystem.hpp>

#include <unistd.h>

#include <algorithm>
#include <iostream>

using namespace strata;
namespace fs = boost::filesystem;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Text that compresses about as program sources do, and never repeats itself.
std::string text_of(std::size_t size, std::uint64_t seed) {
  std::string text;
  while (text.size() < size) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    text += "the value of field_" + std::to_string(seed >> 50) + " is " + std::to_string(seed >> 40) + "\n";
  }
  text.resize(size);
  return text;
}

/// A name with a number. (g++ 12 warns of overlap where + does it.)
std::string numbered(std::string name, std::uint64_t number) { return name.append(std::to_string(number)); }

/// 100 directories, and `files` files in them; `first` makes contents differ from those of another tar.
std::string made_tar(std::uint64_t files, std::uint64_t first = 0) {
  MemorySink sink;
  TarWriter writer(sink);
  TarEntry entry;
  entry.type = TarType::directory;
  entry.mode = 0755;
  entry.mtime.seconds = 1700000000;
  for (std::uint64_t i = 0; i < 100; ++i) {
    entry.path = numbered("d", i);
    writer.add(entry);
  }
  entry.type = TarType::file;
  entry.mode = 0644;
  for (std::uint64_t i = 0; i < files; ++i) {
    const std::string content = text_of(i % 50 == 0 ? 262144 : 64 + 61 * (i % 131), first + i);
    entry.path = numbered(numbered("d", i % 100) + "/file-", i);
    entry.size = content.size();
    writer.add(entry);
    writer.content(bytes_of(content));
  }
  writer.finish();
  return sink.take();
}

std::string encoded(std::string_view tar, const CompressionPolicy& codec) {
  MemorySink blob;
  const auto encoder = codec.encode(blob);
  encoder->write(bytes_of(tar));
  encoder->finish();
  return blob.take();
}

/// The layer that everything here is about.
struct Layers {
  std::string tar, gzip, zstd;

  explicit Layers(std::string content)
      : tar(std::move(content)),
        gzip(encoded(tar, CompressionPolicy::of<Gzip>())),
        zstd(encoded(tar, CompressionPolicy::of<Zstd>())) {}
};

std::string read_tar(const char* path) {
  FileSource file = open_file(path);
  MemorySink read;
  copy(file, read);
  const std::string blob = read.take();
  const auto head = bytes_of(blob).first(std::min(blob.size(), recognition_size));
  const CompressionPolicy policy = Gzip::recognises(head)   ? CompressionPolicy::of<Gzip>()
                                   : Zstd::recognises(head) ? CompressionPolicy::of<Zstd>()
                                                            : CompressionPolicy::of<Uncompressed>();
  MemorySource source(blob);
  MemorySink tar;
  copy(*policy.decode(source), tar);
  return tar.take();
}

/// A directory of its own in TMPDIR, until the end of the scope.
class Scratch {
 public:
  Scratch() { fs::create_directory(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    boost::system::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(std::string_view name) const { return path_ / std::string(name); }

 private:
  fs::path path_ = fs::temp_directory_path() / fs::unique_path("strata-parts-%%%%%%%%");
};

void count_bytes(benchmark::State& state, std::size_t each) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(each));
}

template <HashAlgorithm Hash>
void hash(benchmark::State& state, const Layers& layers) {
  for (auto _ : state) benchmark::DoNotOptimize(digest_of<Hash>(layers.tar));
  count_bytes(state, layers.tar.size());
}

void inflate(benchmark::State& state, const Layers& layers, const std::string& blob,
             std::unique_ptr<detail::Transformer> (*make)()) {
  for (auto _ : state) {
    MemorySource source(blob);
    detail::FilterSource<detail::DecompressingFilter> filter(detail::DecompressingFilter(make()), source);
    NullSink sink;
    copy(filter, sink);
  }
  count_bytes(state, layers.tar.size());
}

void tar_parse(benchmark::State& state, const Layers& layers) {
  std::uint64_t entries = 0;
  for (auto _ : state) {
    MemorySource source(layers.tar);
    TarReader reader(source);
    while (reader.next() != nullptr)
      for (auto piece = reader.content(); !piece.empty(); piece = reader.content()) benchmark::DoNotOptimize(piece);
    entries += reader.entries();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(entries));
  count_bytes(state, layers.tar.size());
}

void tree_create(benchmark::State& state, const Layers& layers) {
  const Scratch scratch;
  std::uint64_t entries = 0;
  int round = 0;
  for (auto _ : state) {
    state.PauseTiming();
    if (round > 0) fs::remove_all(scratch / std::to_string(round));
    const fs::path directory = scratch / std::to_string(++round);
    fs::create_directory(directory);
    state.ResumeTiming();
    MemorySource source(layers.tar);
    entries += apply_flat(source, directory).entries;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(entries));
  count_bytes(state, layers.tar.size());
}

/// Two trees that differ in one file of a hundred: what is left is the walk over both.
void walk(benchmark::State& state, const Layers& layers) {
  const Scratch scratch;
  std::uint64_t entries = 0;
  for (const char* name : {"old", "new"}) {
    MemorySource source(layers.tar);
    fs::create_directory(scratch / name);
    entries += apply_flat(source, scratch / name).entries;
  }
  const std::string change = made_tar(20, 1000000);
  MemorySource source(change);
  apply_flat(source, scratch / "new");
  const DiffWriter<Sha256, Uncompressed> writer;
  for (auto _ : state) {
    NullSink sink;
    benchmark::DoNotOptimize(writer.write_trees(scratch / "old", scratch / "new", sink));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(entries));
}

void recipe(benchmark::State& state, const Layers& layers) {
  const Scratch scratch;
  int round = 0;
  for (auto _ : state) {
    state.PauseTiming();
    if (round > 0) fs::remove_all(scratch / std::to_string(round));
    LayerStore<> store{scratch / std::to_string(++round), {.durability = Durability::none}};
    state.ResumeTiming();
    MemorySource source(layers.tar);
    const auto layer = store.import(source);
    NullSink sink;
    if (store.export_layer(layer.id, sink) != layers.tar.size()) state.SkipWithError("another size came out");
  }
  count_bytes(state, layers.tar.size());
}

void mount(benchmark::State& state) {
  const Scratch scratch;
  LayerStore<> store{scratch / "store", {.durability = Durability::none}};
  std::optional<Digest> top;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    const std::string tar = made_tar(1, static_cast<std::uint64_t>(i));
    MemorySource source(tar);
    top = store.import(source, {.parent = top}).id;
  }
  const Mounter<> mounter{store};
  try {
    for (auto _ : state) {
      mounter.mount(*top, "benchmark").unmount();
      state.PauseTiming();
      mounter.remove("benchmark");
      state.ResumeTiming();
    }
  } catch (const Error& error) {
    state.SkipWithError(error.what());
  }
}

void add_all(const Layers& layers) {
  const auto add = [&](const char* name, auto body) {
    return benchmark::RegisterBenchmark(name, body)->Unit(benchmark::kMillisecond);
  };
  add("hash/sha256", [&](auto& state) { hash<Sha256>(state, layers); });
  add("hash/sha512", [&](auto& state) { hash<Sha512>(state, layers); });
  add("hash/xxh3", [&](auto& state) { hash<Xxh3>(state, layers); });
  add("inflate/gzip", [&](auto& state) { inflate(state, layers, layers.gzip, detail::make_gzip_decoder); });
  add("inflate/gzip_by_zlib",
      [&](auto& state) { inflate(state, layers, layers.gzip, detail::make_zlib_gzip_decoder); });
  add("inflate/zstd", [&](auto& state) { inflate(state, layers, layers.zstd, detail::make_zstd_decoder); });
  add("tar_parse", [&](auto& state) { tar_parse(state, layers); });
  add("tree_create", [&](auto& state) { tree_create(state, layers); })->UseRealTime();
  add("walk", [&](auto& state) { walk(state, layers); })->UseRealTime();
  add("recipe", [&](auto& state) { recipe(state, layers); })->UseRealTime();
  if (geteuid() == 0) add("mount", mount)->Arg(1)->Arg(12)->Arg(120)->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) try {
  benchmark::Initialize(&argc, argv);  // takes its own options out
  if (argc > 2) {
    std::cerr << "usage: parts [FILE] [--benchmark_...]\n";
    return 2;
  }
  const Layers layers(argc == 2 ? read_tar(argv[1]) : made_tar(2000));
  add_all(layers);
  benchmark::RunSpecifiedBenchmarks();
} catch (const std::exception& error) {
  std::cerr << "parts: " << error.what() << '\n';
  return 1;
}
