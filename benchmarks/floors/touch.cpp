// Touches memory, page by page, and gives it back.
//
//   touch MEBIBYTES
//
// Where a hypervisor takes free memory back, the first touch of a page is many times dearer than the next: run before a
// timed command, so that it meets pages that are there. Prints a line (floor.hpp): the pages.
#include "floor.hpp"

#include <sys/mman.h>

int main(int argc, char** argv) {
  if (argc != 2) floors::usage("touch MEBIBYTES");
  const std::size_t size = std::strtoul(argv[1], nullptr, 10) << 20;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) floors::fail("mmap");
  madvise(memory, size, MADV_NOHUGEPAGE);
  constexpr std::size_t page = 4096;
  floors::measure("touch", [&] {
    for (std::size_t at = 0; at < size; at += page) static_cast<volatile char*>(memory)[at] = 1;
    return std::uint64_t{size / page};
  });
}
