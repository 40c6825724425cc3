// The union forms, one type each: what in a layer's directory hides what lower layers have, what else there is none of
// a file's own, and how such marks are written. MergedView reads stacks of them, translate_tree() makes one of another.
#pragma once

#include <strata/whiteout.hpp>

#include "tree/directory.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// One layer in a form: a directory that is read, or an empty one that is written. Reading is thread safe. Paths are
/// relative to the layer's root, "" for that itself.
class LayerForm {
 public:
  /// What a layer has at a name.
  struct Found {
    std::optional<Metadata> entry = {};
    bool hides = false;    ///< a whiteout, or the entry is an opaque directory
    bool beneath = false;  ///< there is no entry, but something beneath it is hidden
  };
  /// Whose an attribute is.
  enum class Owner {
    file,
    form,    ///< a mark, or what the program keeps there for itself
    binding  ///< the form's, and without it the file is something else
  };

  LayerForm() = default;
  LayerForm(const LayerForm&) = delete;
  LayerForm& operator=(const LayerForm&) = delete;
  virtual ~LayerForm() = default;

  /// The names that the layer has something to say of in a directory, sorted. `dir`: it, opened for reading; -1 where
  /// it is one that has no entry of its own (Found::beneath).
  virtual std::vector<DirectoryEntry> list(int dir, const std::string& path, std::string_view shown) const;
  virtual Found look(int dir, const std::string& path, const std::string& name, std::string_view shown) const = 0;
  /// Whether the root hides all layers below.
  virtual bool root_hides() const { return false; }
  virtual Owner owner(std::string_view) const { return Owner::file; }

  /// Why an entry can't be in a layer of this form; empty: it can.
  virtual std::string objection(const std::string& path, const std::string& name, const Metadata& metadata) const = 0;
  /// In `dir`, the directory `path`: -1 and errno where a call fails.
  virtual int write_whiteout(int dir, const std::string& path, const std::string& name) = 0;
  /// `dir`: the directory that is opaque.
  virtual int write_opaque(int dir, const std::string& path) = 0;
  /// After an entry that is no directory was made.
  virtual int write_beside(const std::string&) { return 0; }
};

/// `root`: the layer's root, which outlives it.
std::shared_ptr<LayerForm> layer_form(UnionForm form, int root);

/// Whether MergedView reads it by itself, as the kernel does.
inline bool is_kernel_form(UnionForm form) { return !overlay_prefix(form).empty(); }

}  // namespace strata::detail
