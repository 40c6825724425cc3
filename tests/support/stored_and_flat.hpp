// A chain of layers as one plain directory, to which each is applied, and in a store, whose chain is unpacked. Both
// must be the same filesystem, or both refuse; and the store must find itself whole, and give each layer byte for byte.
#pragma once

#include "support/tree_text.hpp"

#include <strata/apply.hpp>
#include <strata/error.hpp>
#include <strata/layer_store.hpp>

#include <boost/filesystem/operations.hpp>

#include <optional>
#include <string>

namespace strata::test {

/// A tree as text, but for its root, which no layer here lists.
inline std::string contents_of(const boost::filesystem::path& root) {
  const std::string text = tree_text(root);
  return text.substr(text.find('\n') + 1);
}

class StoredAndFlat {
 public:
  /// `directory`: empty.
  explicit StoredAndFlat(const boost::filesystem::path& directory) : directory_(directory) {
    boost::filesystem::create_directory(flat_);
  }

  /// Puts a layer on top of both. Returns what is wrong; empty: nothing, whether the layer was taken or refused.
  std::string add(const std::string& tar) {
    const std::string before = contents_of(flat_);
    std::optional<Digest> stored;
    std::string store_refusal, flat_refusal;
    try {
      stored = store_.import(MemorySource(tar), {.parent = top_}).id;
    } catch (const Error& error) {
      store_refusal = error.what();
    }
    try {
      MemorySource source(tar);
      apply_flat(source, flat_);
    } catch (const Error& error) {
      flat_refusal = error.what();
    }
    refused_ = !stored;
    if (refused_ && flat_refusal.empty()) return "the store alone refused: " + store_refusal;
    if (!refused_ && !flat_refusal.empty()) return "flat alone refused: " + flat_refusal;
    if (refused_) return told("what was refused has changed the directory", difference(before, contents_of(flat_)));
    top_ = stored;
    return check_stored(tar) + check_unpacked();
  }

  /// Whether the last layer was.
  bool refused() const { return refused_; }
  const boost::filesystem::path& flat() const { return flat_; }
  const LayerStore<>& store() const { return store_; }
  const Digest& top() const { return *top_; }

 private:
  static std::string told(const std::string& what, const std::string& difference) {
    return difference.empty() ? "" : what + ":\n" + difference;
  }

  std::string check_stored(const std::string& tar) const {
    std::string wrong;
    MemorySink out;
    store_.export_layer(*top_, out);
    if (out.text() != tar) wrong += "export gave other bytes\n";
    for (const Damage& damage : store_.verify(*top_, {.level = VerifyLevel::proving}).damages)
      wrong += "verify: " + damage.path + ": " + damage.what + "\n";
    return wrong;
  }

  std::string check_unpacked() {
    const auto unpacked = directory_ / ("unpacked" + std::to_string(++unpacked_));
    store_.unpack(*top_, unpacked);
    return told("flat (-) and unpacked (+) differ", difference(contents_of(flat_), contents_of(unpacked)));
  }

  boost::filesystem::path directory_;
  boost::filesystem::path flat_ = directory_ / "flat";
  LayerStore<> store_{directory_ / "store", {.durability = Durability::none}};
  std::optional<Digest> top_;
  bool refused_ = false;
  unsigned unpacked_ = 0;
};

}  // namespace strata::test
