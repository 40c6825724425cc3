// Copies an image from one transport to another, for scripts: copy_image FROM TO [PLATFORM]. Prints the digest of its
// top.
#include <strata/error.hpp>
#include <strata/transport/names.hpp>

#include <cstdio>

int main(int count, char** words) {
  using namespace strata;
  if (count < 3 || count > 4) return 2;
  try {
    AnySource from = open_source(ImageName::parse(words[1]));
    AnySink to = open_sink(ImageName::parse(words[2]));
    CopyOptions options;
    if (count == 4) options.platform = Platform::parse(words[3]);
    std::puts(copy_image(from, to, options).digest.to_string().c_str());
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
