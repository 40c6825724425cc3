// How fast bytes are hashed and decompressed, by themselves: the floors under an import.
//
//   codecs FILE        FILE is a layer, compressed or not
//
// One line for each: seconds of this process's CPU time, and bytes of content a second. Best of three.
#include <strata/compression.hpp>
#include <strata/error.hpp>
#include <strata/hash.hpp>

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>

using namespace strata;

namespace {

double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// `work` returns how many bytes it made or took.
void measure(std::string_view name, const std::function<std::uint64_t()>& work) {
  double best = 1e9;
  std::uint64_t bytes = 0;
  for (int i = 0; i < 3; ++i) {
    const double before = cpu_seconds();
    bytes = work();
    best = std::min(best, cpu_seconds() - before);
  }
  std::printf("%-16s %8.3f s  %8.1f MB/s\n", std::string(name).c_str(), best, static_cast<double>(bytes) / 1e6 / best);
}

template <HashAlgorithm Hash>
void measure_hash(std::string_view content) {
  measure(Hash::name, [&] {
    digest_of<Hash>(content);
    return std::uint64_t{content.size()};
  });
}

std::uint64_t drain(std::unique_ptr<detail::Transformer> decoder, std::string_view blob) {
  MemorySource source(blob);
  detail::FilterSource<detail::DecompressingFilter> filter(detail::DecompressingFilter(std::move(decoder)), source);
  NullSink sink;
  return copy(filter, sink);
}

void run(const char* path) {
  FileSource file = open_file(path);
  MemorySink read;
  copy(file, read);
  const std::string blob = read.take();
  const auto head = std::as_bytes(std::span(blob)).first(std::min(blob.size(), recognition_size));
  const CompressionPolicy policy = Gzip::recognises(head)   ? CompressionPolicy::of<Gzip>()
                                   : Zstd::recognises(head) ? CompressionPolicy::of<Zstd>()
                                                            : CompressionPolicy::of<Uncompressed>();
  if (policy.name == Gzip::name) {
    measure("gzip", [&] { return drain(detail::make_gzip_decoder(), blob); });
    measure("gzip by zlib", [&] { return drain(detail::make_zlib_gzip_decoder(), blob); });
  }
  if (policy.name == Zstd::name) measure("zstd", [&] { return drain(detail::make_zstd_decoder(), blob); });
  MemorySource source(blob);
  MemorySink decoded;
  copy(*policy.decode(source), decoded);
  measure_hash<Sha256>(decoded.text());
  measure_hash<Sha512>(decoded.text());
  measure_hash<Xxh3>(decoded.text());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: codecs FILE\n");
    return 2;
  }
  try {
    run(argv[1]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "codecs: %s\n", e.what());
    return 1;
  }
}
