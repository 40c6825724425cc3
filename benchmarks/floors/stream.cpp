// How fast one thread streams bytes that are in memory already: the floor under reading a layer.
//
//   stream isal|zlib|zstd|sha256|isal+sha256|zlib+sha256|zstd+sha256 FILE...
//
// Decompresses, or digests, or both in pieces that stay in the cache. Prints a line a file (floor.hpp): bytes put out.
#include "floor.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#ifdef FLOORS_HAVE_ISAL
#include <isa-l.h>
#endif

#include <algorithm>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

using Bytes = std::span<const unsigned char>;
using Sink = std::function<void(Bytes)>;

namespace {

constexpr std::size_t piece = 256 << 10;  // stays in a second-level cache

[[noreturn]] void broken(const char* what) {
  std::fprintf(stderr, "stream: %s\n", what);
  std::exit(1);
}

class File {
 public:
  explicit File(const char* path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (fd < 0 || fstat(fd, &status) != 0) floors::fail(path);
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ > 0) at_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (at_ == MAP_FAILED) floors::fail(path);
    close(fd);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (size_ > 0) munmap(at_, size_);
  }
  Bytes bytes() const { return {static_cast<const unsigned char*>(at_), size_}; }

 private:
  void* at_ = nullptr;
  std::size_t size_ = 0;
};

void zlib(Bytes in, std::vector<unsigned char>& out, const Sink& sink) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) broken("zlib doesn't start");
  int result = Z_OK;
  while (result == Z_OK) {
    if (stream.avail_in == 0) {  // its counts are 32 bits wide
      const std::size_t taken = std::min<std::size_t>(in.size(), 1 << 30);
      stream.next_in = const_cast<unsigned char*>(in.data());
      stream.avail_in = static_cast<unsigned>(taken);
      in = in.subspan(taken);
    }
    stream.next_out = out.data();
    stream.avail_out = static_cast<unsigned>(out.size());
    result = inflate(&stream, Z_NO_FLUSH);
    sink({out.data(), out.size() - stream.avail_out});
  }
  inflateEnd(&stream);
  if (result != Z_STREAM_END) broken("not gzip, or damaged");
}

#ifdef FLOORS_HAVE_ISAL
void isal(Bytes in, std::vector<unsigned char>& out, const Sink& sink) {
  auto state = std::make_unique<inflate_state>();
  isal_inflate_init(state.get());
  state->crc_flag = ISAL_GZIP;
  while (state->block_state != ISAL_BLOCK_FINISH) {
    if (state->avail_in == 0) {
      const std::size_t taken = std::min<std::size_t>(in.size(), 1 << 30);
      state->next_in = const_cast<unsigned char*>(in.data());
      state->avail_in = static_cast<unsigned>(taken);
      in = in.subspan(taken);
    }
    state->next_out = out.data();
    state->avail_out = static_cast<unsigned>(out.size());
    if (isal_inflate(state.get()) != ISAL_DECOMP_OK) broken("not gzip, or damaged");
    const std::size_t made = out.size() - state->avail_out;
    sink({out.data(), made});
    if (made == 0 && state->avail_in == 0 && in.empty()) broken("gzip that ends early");
  }
}
#endif

void zstd(Bytes in, std::vector<unsigned char>& out, const Sink& sink) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  std::size_t left = 1;
  while (input.pos < input.size || left != 0) {
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    left = ZSTD_decompressStream(context.get(), &output, &input);
    if (ZSTD_isError(left)) broken("not zstd, or damaged");
    sink({out.data(), output.pos});
    if (input.pos == input.size && output.pos == 0) break;
  }
}

void raw(Bytes in, std::vector<unsigned char>&, const Sink& sink) {
  for (; !in.empty(); in = in.subspan(std::min(piece, in.size()))) sink(in.first(std::min(piece, in.size())));
}

using Decoder = void (*)(Bytes, std::vector<unsigned char>&, const Sink&);

Decoder decoder_of(std::string_view name) {
  if (name == "sha256") return raw;
  if (name == "zlib") return zlib;
  if (name == "zstd") return zstd;
#ifdef FLOORS_HAVE_ISAL
  if (name == "isal") return isal;
#endif
  floors::usage("stream isal|zlib|zstd|sha256|isal+sha256|zlib+sha256|zstd+sha256 FILE...; isal: if built with it");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 2 ? argv[1] : "";
  const Decoder decode = decoder_of(mode.substr(0, mode.find('+')));
  const bool digests = mode.ends_with("sha256");
  std::vector<unsigned char> out(piece, 1);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  for (int i = 2; i < argc; ++i) {
    const File file(argv[i]);
    floors::measure(std::string(mode), [&] {
      std::uint64_t total = 0;
      EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr);
      decode(file.bytes(), out, [&](Bytes bytes) {
        total += bytes.size();
        if (digests) EVP_DigestUpdate(hash.get(), bytes.data(), bytes.size());
      });
      unsigned char digest[EVP_MAX_MD_SIZE];
      EVP_DigestFinal_ex(hash.get(), digest, nullptr);
      return total;
    });
  }
}
