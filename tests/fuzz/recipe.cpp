// The recipe of a tree, and its list of moved files: whatever they say, what comes is bytes, damage, or a broken
// stream, and memory is bounded.
//
// The input: a byte of choices, one for the size of the list of moved files, the list, and the recipe, not compressed.
#include "tree/recipe.hpp"
#include "fuzz/fuzz.hpp"
#include "support/codec.hpp"
#include "support/scratch.hpp"

#include <strata/file_descriptor.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

using namespace strata;
using namespace strata::detail;
using namespace strata::test;

namespace {

constexpr std::size_t longest = 1 << 20;  ///< bytes that are read: a record can say any number of them

/// A tree with one of each, made once; what the input says is written into it each time.
class Tree {
 public:
  Tree() : fd_(::open(scratch_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    const auto fs = scratch_.directory("fs"), kept = scratch_.directory("kept");
    scratch_.directory("fs/d");
    write("fs/a", "hello");
    write("fs/d/b", std::string(5000, 'b'));
    write("fs/empty", "");
    require(::symlink("a", (fs / "link").c_str()) == 0 && ::symlink("../fs/a", (kept / "3").c_str()) == 0);
    require(::mkfifo((fs / "fifo").c_str(), 0600) == 0 && ::mkfifo((kept / "4").c_str(), 0600) == 0);
    write("kept/1", "kept");
    scratch_.directory("kept/2");
  }
  int descriptor() const { return fd_.get(); }
  void write(const char* name, std::string_view content) const {
    const FileDescriptor fd(::open((scratch_.path() / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    require(fd && ::write(fd.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  }

 private:
  ScratchDirectory scratch_;
  FileDescriptor fd_;
};

const std::initializer_list<errc> expected{errc::damaged, errc::bad_archive};

void check_moved(std::string_view text) {
  std::map<std::uint32_t, std::string> moved;
  if (!refusal_of(expected, [&] { moved = decode_moved(text); }).empty()) return;
  std::size_t size = 0;
  for (const auto& [ordinal, path] : moved) size += path.size();
  require(size <= text.size());
  require(decode_moved(encode_moved(Moved(moved.begin(), moved.end()))) == moved);
}

struct Result {
  std::string text;
  std::string refusal;
};

Result read(const Tree& tree, const RecipeSource::Damaged& damaged, Pieces asked) {
  Result result;
  static std::vector<std::byte> buffer(16 * 1024);
  result.refusal = refusal_of(expected, [&] {
    RecipeSource source(tree.descriptor(), damaged);
    while (result.text.size() < longest) {
      const std::size_t n = source.read(std::span(buffer).first(asked.of(buffer.size())));
      if (n == 0) {
        require(source.read(buffer) == 0);
        break;
      }
      result.text.append(reinterpret_cast<const char*>(buffer.data()), n);
    }
  });
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Tree tree;
  Input input(data, size);
  const unsigned choices = input.byte();
  const std::string_view moved = input.take(input.byte());
  check_moved(moved);
  tree.write("moved", moved);
  std::string recipe((choices & 1U) != 0 ? "" : "strata recipe 1\n");
  recipe += input.rest();
  const CompressionPolicy zstd = CompressionPolicy::of<Zstd>(Zstd{.level = 1});
  tree.write("recipe", (choices & 2U) != 0 ? recipe : encode(zstd, recipe));

  const Result strict = read(tree, {}, {16 * 1024, choices});
  bool damaged = false;
  const Result lenient = read(
      tree, [&](const std::string&, const std::string& what) { damaged = damaged || !what.empty(); }, {777, choices});
  // Without damage, both are the same.
  const std::size_t common = std::min(strict.text.size(), lenient.text.size());
  require(strict.text.compare(0, common, lenient.text, 0, common) == 0);
  if (std::max(strict.text.size(), lenient.text.size()) >= longest) return 0;  // what comes behind was not read
  if (damaged)
    require(!strict.refusal.empty());
  else
    require(strict.refusal == lenient.refusal, strict.refusal + " / " + lenient.refusal);
  return 0;
}
