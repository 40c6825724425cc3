// Teaches a store another compression, by the filters that Boost has for it: own_codec STORE LAYER.tar.bz2
#include <strata/strata.hpp>

#include <boost/iostreams/filter/bzip2.hpp>
#include <cstring>
#include <iostream>

struct Bzip2 {
  static constexpr std::string_view name = "bzip2";
  static constexpr std::string_view media_type = "application/vnd.example.layer.v1.tar+bzip2";
  static bool recognises(std::span<const std::byte> head) {
    return head.size() > 3 && std::memcmp(head.data(), "BZh", 3) == 0;
  }
  boost::iostreams::bzip2_compressor compressor() const { return {}; }
  boost::iostreams::bzip2_decompressor decompressor() const { return {}; }
};
static_assert(strata::Compression<Bzip2>);

using Store = strata::LayerStore<strata::Sha256, Bzip2>;

int main(int, char** argv) {
  Store store{argv[1]};
  std::cout << store.import(strata::open_file(argv[2])).media_type << '\n';
}
