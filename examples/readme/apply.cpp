// Applies a layer to a plain directory, without a store: apply LAYER DIRECTORY DIFF-ID
#include <strata/strata.hpp>

#include <iostream>

void apply(const char* layer, const char* directory, const char* diff_id) {
  auto source = strata::open_file(layer);
  const auto applied = strata::apply_flat(source, directory, {.expected_diff_id = strata::Digest::parse(diff_id)});
  for (const strata::Event& event : applied.report.events())
    std::cout << event.rule << ' ' << strata::quoted(event.path) << ": " << event.action << '\n';
}

int main(int, char** argv) try { apply(argv[1], argv[2], argv[3]); } catch (const strata::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
