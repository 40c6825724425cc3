// expect: ContentHash
#include <strata/diff_writer.hpp>

strata::DiffWriter<strata::Xxh3>* writer = nullptr;
