// Layers by choices: everything a layer can say about a handful of names, in few entries, so that they meet. Whoever
// chooses, a random generator or the bytes of a fuzzer, gets the same layers for the same choices.
#pragma once

#include "support/layer_entries.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace strata::test {

/// An entry, with an attribute or without.
struct ChosenEntry {
  RawHeader header;
  std::string note;

  std::string text() const {
    return std::string("  ") + header.type + " " + header.path + (header.link.empty() ? "" : " -> " + header.link) +
           (header.content.empty() ? "" : " '" + header.content + "'") + " " + header.mode + " " + header.uid + " @" +
           header.mtime + (note.empty() ? "" : " note=" + note) + "\n";
  }
};
using ChosenLayer = std::vector<ChosenEntry>;

inline std::string bytes_of(const ChosenLayer& layer) {
  TarBuilder tar;
  for (const ChosenEntry& entry : layer) {
    if (!entry.note.empty()) tar.pax({{"SCHILY.xattr.user.note", entry.note}});
    tar.add(entry.header);
  }
  return tar.end().bytes;
}

/// For messages.
inline std::string text_of(const ChosenLayer& layer) {
  std::string text;
  for (const ChosenEntry& entry : layer) text += entry.text();
  return text;
}

class LayerChooser {
 public:
  /// `below(n)`: a number from 0 to n-1. `devices`: there are some; an ordinary user can't make them.
  LayerChooser(std::function<unsigned(unsigned n)> below, bool devices) : below_(std::move(below)), devices_(devices) {}

  ChosenLayer choose() {
    ChosenLayer layer;
    for (unsigned left = 1 + below_(9); left != 0; --left) layer.push_back(entry());
    return layer;
  }

 private:
  std::string name() { return std::string(1, static_cast<char>('a' + below_(3))); }
  std::string path() {
    std::string path = name();
    for (unsigned more = below_(3); more != 0; --more) path += "/" + name();
    return path;
  }
  std::string link_target() {
    const std::string prefixes[] = {"", "/", "../", "./", "../../"};
    const std::string& prefix = prefixes[below_(5)];
    return prefix + path();
  }
  static std::string marked(const std::string& path, const std::string& mark) {
    const std::size_t slash = path.rfind('/') + 1;
    return path.substr(0, slash) + mark + path.substr(slash);
  }

  ChosenEntry entry() {
    const std::string modes[] = {"0000755", "0000700", "0001777", "0004711", "0000644"};
    const std::string at = path();
    const unsigned time = 1000 + below_(5);
    RawHeader header;
    unsigned kind = below_(devices_ ? 15 : 14);
    if (!devices_ && kind >= device) ++kind;
    switch (kind) {
      case 0:
      case 1:
      case 2:
        header = dir(at, modes[below_(4)], time);
        break;
      case 3:
        header = soft_link(at, link_target());
        break;
      case 4:
      case 5:
        header = hard_link(at, path());
        header.mtime = octal(time, 11);
        break;
      case 6:
        header = pipe_file(at);
        break;
      case 7:
      case 8:
        header = whiteout(marked(at, ".wh."));
        break;
      case 9:
        header = whiteout((below_(4) == 0 ? "" : at + "/") + ".wh..wh..opq");
        break;
      case device:
        header = test::entry(below_(2) == 0 ? '3' : '4', at, "0000600");
        header.device_major = octal(1, 7);
        header.device_minor = octal(below_(3) + 3, 7);
        break;
      default: {
        std::string content(below_(4), 'x');
        content += std::to_string(below_(100));
        header = file(at, content, modes[below_(5)], time);
        if (below_(4) == 0) header.content.clear();
      }
    }
    if (::geteuid() == 0 && below_(3) == 0) header.uid = octal(below_(3), 7);
    const bool noted = (header.type == '0' || header.type == '5') && below_(4) == 0;
    return {header, noted ? std::to_string(below_(3)) : ""};
  }

  static constexpr unsigned device = 10;
  std::function<unsigned(unsigned)> below_;
  bool devices_;
};

}  // namespace strata::test
