// What a host first tries: a header, a compiled function, a template.
#include <strata/strata.hpp>

#include <iostream>

int main() {
  const auto digest = strata::digest_of<strata::Sha256>("");
  std::cout << STRATA_VERSION << ' ' << digest.to_string() << '\n';
  try {
    strata::LayerStore<> store{"/nowhere/at/all", {.create = false}};
  } catch (const strata::Error& error) {  // thrown in the library, caught here: its type is shown
    return 0;
  }
  return 1;
}
