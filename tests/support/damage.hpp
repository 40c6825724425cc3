// What bit rot, and people, do to a tree: one harm each, and what there is to be found of it.
#pragma once

#include <strata/layer_store.hpp>

#include "support/bytes.hpp"
#include "support/layer_entries.hpp"
#include "support/scratch.hpp"

#include <boost/filesystem/fstream.hpp>
#include <boost/filesystem/operations.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <functional>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace strata::test {

namespace fs = boost::filesystem;

inline void must(int result, const std::string& what) {
  if (result != 0) throw std::runtime_error("cannot " + what + ": " + std::strerror(errno));
}

/// A layer with something of everything, which on top of base_tar() needs nothing of what is below.
inline std::string rich_tar() {
  TarBuilder tar;
  tar.add(dir("./"))
      .add(dir("d"))
      .add(file("d/a", noise(5000, 7)))
      .add(hard_link("d/b", "d/a"))
      .add(dir("d/e", "0000700"));
  tar.add(file("d/e/deep", "deep")).add(file("big", noise(300000, 8))).add(file("empty", ""));
  tar.add(file("one", "alike")).add(file("two", "alike")).add(soft_link("l", "big")).add(pipe_file("p"));
  tar.add(dir("shut", "0000500")).add(file("shut/f", noise(700, 9)));
  tar.add(dir("o")).add(whiteout("o/.wh..wh..opq")).add(file("o/in", "in")).add(whiteout(".wh.w"));
  tar.pax({{"SCHILY.xattr.user.note", "1"}}).add(file("noted", "noted"));
  return tar.end().bytes;
}
inline std::string base_tar() { return layer({dir("./"), file("w", "w"), dir("o"), file("o/hidden", "h")}); }
/// Another layer that has the same contents.
inline std::string twin_tar() {
  return layer({file("1", noise(5000, 7)), file("2", noise(300000, 8)), file("3", "deep"), file("4", "alike"),
                file("5", "in"), file("6", "noted"), file("7", noise(700, 9))});
}

/// Also what its mode shuts against an ordinary user.
inline void delete_all(const fs::path& path) {
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (entry.symlink_status().type() == fs::directory_file) must(::chmod(entry.path().c_str(), 0700), "open up");
  fs::remove_all(path);
}

struct Harm {
  std::string name;
  std::function<void(const fs::path& fs)> done;
  std::string quick;  ///< "PATH KIND" for all that a quick look can find, a line each
  std::string full;   ///< that reading the files finds besides; no line is in both
  bool takes_content = false;
  bool needs_root = false;
};

/// The times of all that is in a tree, to be given back: what a harm does to them is a harm of its own.
class Times {
 public:
  explicit Times(const fs::path& root) {
    note(root);
    for (const auto& entry : fs::recursive_directory_iterator(root)) note(entry.path());
  }
  void give_back() const {
    struct stat st {};
    for (const auto& [path, time] : times_) {
      const timespec both[2] = {time, time};
      if (::lstat(path.c_str(), &st) == 0)
        must(::utimensat(AT_FDCWD, path.c_str(), both, AT_SYMLINK_NOFOLLOW), "set a time");
    }
  }

 private:
  void note(const fs::path& path) {
    struct stat st {};
    must(::lstat(path.c_str(), &st), "look at " + path.native());
    times_[path.native()] = st.st_mtim;
  }
  std::map<std::string, timespec> times_;
};

inline std::string content_of(const fs::path& path) {
  fs::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}
inline void write_at(const fs::path& path, off_t offset, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::pwrite(fd, text.data(), text.size(), offset) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error("cannot write " + path.native());
  ::close(fd);
}
inline void write_file(const fs::path& path, const std::string& text) {
  fs::ofstream(path, std::ios::binary) << text;
  must(::chmod(path.c_str(), 0644), "chmod");
}

/// Of a tree of rich_tar(). `opaque`: the mark of its store.
inline std::vector<Harm> harms(const std::string& opaque) {
  const auto copy_over = [](const fs::path& from, const fs::path& to) {
    const std::string text = content_of(from);
    fs::remove(to);
    write_file(to, text);
  };
  return {
      {"a byte flipped", [](const fs::path& at) { write_at(at / "big", 200000, "?!"); }, "", "big content\n", true},
      {"a byte flipped in a file of two names", [](const fs::path& at) { write_at(at / "d/b", 0, "?!"); }, "",
       "d/a content\n", true},
      {"a byte flipped where its owner may not make files",
       [](const fs::path& at) { write_at(at / "shut/f", 0, "?!"); }, "", "shut/f content\n", true},
      {"cut", [](const fs::path& at) { fs::resize_file(at / "big", 1000); }, "big size\n", "", true},
      {"extended", [](const fs::path& at) { fs::resize_file(at / "one", 9); }, "one size\n", "", true},
      {"an empty file filled", [](const fs::path& at) { write_at(at / "empty", 0, "x"); }, "empty size\n", ""},
      {"the mode of a file", [](const fs::path& at) { must(::chmod((at / "one").c_str(), 0640), "chmod"); },
       "one mode\n", ""},
      {"the mode of a directory", [](const fs::path& at) { must(::chmod((at / "d/e").c_str(), 0755), "chmod"); },
       "d/e mode\n", ""},
      {"the owner of a file", [](const fs::path& at) { must(::lchown((at / "one").c_str(), 12, 13), "chown"); },
       "one owner\n", "", false, true},
      {"the owner of a symlink", [](const fs::path& at) { must(::lchown((at / "l").c_str(), 12, 13), "chown"); },
       "l owner\n", "", false, true},
      {"an attribute gone",
       [](const fs::path& at) { must(::removexattr((at / "noted").c_str(), "user.note"), "remove an attribute"); },
       "noted attribute\n", ""},
      {"an attribute changed",
       [](const fs::path& at) { must(::setxattr((at / "noted").c_str(), "user.note", "2", 1, 0), "set an attribute"); },
       "noted attribute\n", ""},
      {"an attribute added",
       [](const fs::path& at) { must(::setxattr((at / "d").c_str(), "user.new", "2", 1, 0), "set an attribute"); },
       "d attribute\n", ""},
      {"deleted", [](const fs::path& at) { fs::remove(at / "big"); }, "big missing\n", "", true},
      {"the first of two names deleted", [](const fs::path& at) { fs::remove(at / "d/a"); }, "d/a missing\n", ""},
      {"the second of two names deleted", [](const fs::path& at) { fs::remove(at / "d/b"); }, "d/b missing\n", ""},
      {"a file added", [](const fs::path& at) { write_file(at / "d/stranger", "x"); }, "d/stranger added\n", ""},
      {"a directory added",
       [](const fs::path& at) {
         fs::create_directories(at / "new/er");
         write_file(at / "new/er/f", "x");
       },
       "new added\n", ""},
      {"the target of a symlink",
       [](const fs::path& at) {
         fs::remove(at / "l");
         fs::create_symlink("one", at / "l");
       },
       "l target\n", ""},
      {"a fifo gone", [](const fs::path& at) { fs::remove(at / "p"); }, "p missing\n", ""},
      {"a whiteout gone", [](const fs::path& at) { fs::remove(at / "w"); }, "w missing\n", ""},
      {"a whiteout filled",
       [](const fs::path& at) {
         fs::remove(at / "w");
         write_file(at / "w", "w");
       },
       "w type\n", ""},
      {"names of a file parted", [copy_over](const fs::path& at) { copy_over(at / "d/a", at / "d/b"); }, "d/b link\n",
       ""},
      {"files of two names become one",
       [](const fs::path& at) {
         fs::remove(at / "two");
         fs::create_hard_link(at / "one", at / "two");
       },
       "two link\n", ""},
      {"no longer opaque",
       [opaque](const fs::path& at) { must(::removexattr((at / "o").c_str(), opaque.c_str()), "remove a mark"); },
       "o opaque\n", ""},
      {"opaque",
       [opaque](const fs::path& at) { must(::setxattr((at / "d").c_str(), opaque.c_str(), "y", 1, 0), "set a mark"); },
       "d opaque\n", ""},
      {"a directory deleted", [](const fs::path& at) { fs::remove_all(at / "d"); },
       "d missing\nd/a missing\nd/b missing\nd/e missing\nd/e/deep missing\n", "", true},
      {"a directory become a file",
       [](const fs::path& at) {
         fs::remove_all(at / "o");
         write_file(at / "o", "x");
       },
       "o type\no/in missing\n", "", true},
      {"a file become a directory",
       [](const fs::path& at) {
         fs::remove(at / "one");
         fs::create_directories(at / "one/d");
       },
       "one type\n", "", true},
  };
}

/// What is told of a layer, "PATH KIND" a line.
inline std::string told(const std::vector<Damage>& damages) {
  std::string text;
  for (const Damage& damage : damages) text += damage.path + " " + std::string(to_string(damage.kind)) + "\n";
  return text;
}

/// A store with base_tar() and rich_tar() on top of it.
struct RichStore {
  ScratchDirectory scratch;
  LayerStore<> store{scratch.path() / "store", {.durability = Durability::none}};
  std::string tar = rich_tar();
  Digest base = store.import(MemorySource(base_tar())).id;
  ImportedLayer rich;

  explicit RichStore(bool keep_blob = false)
      : rich(store.import(MemorySource(tar), {.parent = base, .keep_blob = keep_blob})) {}
  fs::path tree() const { return store.root() / "trees/sha256" / rich.tree().hex(); }
  fs::path root() const { return tree() / "fs"; }
  std::string opaque_mark() const { return std::string(overlay_prefix(store.form())) + "opaque"; }
  std::string verified(VerifyLevel level) const { return told(store.verify(rich.id, {.level = level}).damages); }
  std::string exported() const {
    MemorySink out;
    store.export_layer(rich.id, out);
    return out.take();
  }
  void harm(const Harm& harm) const {
    const Times times(root());
    harm.done(root());
    times.give_back();
  }
};

inline bool may_give_owners() {
  const ScratchDirectory scratch;
  write_file(scratch.path() / "f", "");
  return ::lchown((scratch.path() / "f").c_str(), 12, 13) == 0;
}

}  // namespace strata::test
