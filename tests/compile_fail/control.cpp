// What the other files do, done right: it compiles.
#include <strata/diff_writer.hpp>
#include <strata/layer_store.hpp>

strata::LayerStore<strata::Sha512>* store = nullptr;
strata::DiffWriter<strata::Sha512, strata::Zstd>* writer = nullptr;
strata::Digest digest = strata::digest_of<strata::Xxh3>("for change detection it serves");
