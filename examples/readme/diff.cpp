// Writes what makes one directory of another as a layer: diff OLD NEW LAYER.tar.zst
#include <strata/strata.hpp>

#include <iostream>

void diff(const char* older, const char* newer, const char* layer) {
  const strata::DiffWriter<strata::Sha256, strata::Zstd> writer{strata::Zstd{.level = 9}};
  auto file = strata::create_file(layer);
  const auto change = writer.write_trees(older, newer, file);
  std::cout << change.media_type << ' ' << change.blob.to_string() << ' ' << change.blob_size << '\n';
}

int main(int, char** argv) { diff(argv[1], argv[2], argv[3]); }
