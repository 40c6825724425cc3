// A chain of layers in every form that strata gives it, side by side: flat, one layer after the other into one
// directory; in a store, unpacked, mounted, and flattened tree by tree; as an upper directory over the flat lower
// layers. Each must give what the model gives (layer_model.hpp); each layer comes out of the store byte for byte, and
// the store finds nothing damaged; a layer that the model refuses is refused in every form, and changes nothing.
#pragma once

#include "support/layer_model.hpp"
#include "support/private_overlay.hpp"
#include "support/scratch.hpp"
#include "support/tree_text.hpp"
#include "tree/lay_upon.hpp"

#include <strata/apply.hpp>
#include <strata/error.hpp>
#include <strata/layer_store.hpp>

#include <optional>
#include <string>
#include <vector>

namespace strata::test {

class LayerForms {
 public:
  explicit LayerForms(bool mount) : mount_(mount) {}

  /// Puts one more layer on top, where it is neither refused nor unclear. What was wrong; empty: nothing.
  std::string add(const std::string& tar) {
    wrong_.clear();
    taken_ = true;
    std::string refusal;
    ModelTree expected;
    try {
      expected = LayerModel::apply(tar, model_);
    } catch (const Refused& refused) {
      taken_ = false;
      refusal = refused.what();
    } catch (const Unclear&) {
      taken_ = false;
      return {};
    }
    expected_ = LayerModel::text(taken_ ? expected : model_);
    const std::string why = taken_ ? "" : " (the model refuses: " + refusal + ")";
    if (mount_) apply_over(tar, why);
    import(tar, why);
    attempt("flat", why, [&] {
      MemorySource source(tar);
      apply_flat(source, flat_);
    });
    compare("flat", contents(flat_));
    if (taken_) model_ = expected;
    return wrong_;
  }
  /// Whether the layer that came last is on top now.
  bool taken() const { return taken_; }

  /// A directory as text, but for the root itself.
  static std::string contents(const boost::filesystem::path& root) {
    const std::string text = tree_text(root);
    return text.substr(text.find('\n') + 1);
  }

 private:
  void compare(const std::string& form, const std::string& is) {
    if (const std::string differs = difference(expected_, is); !differs.empty())
      wrong_ += form + " (-: the model's, +: its):\n" + differs;
  }

  /// Whether it was done; it is to be refused where the model refuses.
  template <class Work>
  bool attempt(const std::string& form, const std::string& why, Work work) {
    try {
      work();
      if (!taken_) wrong_ += form + ": not refused" + why + "\n";
      return true;
    } catch (const Error& error) {
      if (taken_) wrong_ += form + ": refused: " + error.what() + "\n";
      return false;
    }
  }

  void apply_over(const std::string& tar, const std::string& why) {
    const auto over = scratch_.directory("over" + std::to_string(count_));
    const bool done = attempt("upper", why, [&] {
      MemorySource source(tar);
      apply_overlay(source, over, {flat_});
    });
    if (done)
      compare("upper", in_overlay({{over, flat_}, "", "", ""}, mounted_, contents));
    else if (!contents(over).empty())
      wrong_ += "upper: something is left of what was refused\n";
  }

  void import(const std::string& tar, const std::string& why) {
    std::optional<Digest> id;
    const bool done = attempt("store", why, [&] { id = store_.import(MemorySource(tar), {.parent = top_}).id; });
    if (!done || !taken_) return;
    top_ = id;
    MemorySink out;
    store_.export_layer(*top_, out);
    if (out.text() != tar) wrong_ += "export: other bytes\n";
    for (const Damage& damage : store_.verify(*top_, {.level = VerifyLevel::proving}).damages)
      wrong_ += "verify: " + damage.path + damage.what + "\n";
    const std::string number = std::to_string(count_++);
    store_.unpack(*top_, scratch_.path() / ("unpacked" + number));
    compare("unpacked", contents(scratch_.path() / ("unpacked" + number)));
    lay();
    if (!mount_) return;
    const PrivateOverlay overlay{store_.lowers(store_.get(*top_)), scratch_.directory("upper" + number),
                                 scratch_.directory("work" + number), ""};
    compare("mounted", in_overlay(overlay, mounted_, contents));
  }

  /// The new tree of the store, upon those before it.
  void lay() {
    Report report;
    bool altered = false;
    const detail::ObjectSetter setter{Owners::squash, report, Conformance::compat, &altered};
    detail::lay_upon(store_.lowers(store_.get(*top_)).front(), store_.form(), detail::open_directory(laid_).get(),
                     setter);
    compare("laid upon", contents(laid_));
  }

  ScratchDirectory scratch_;
  LayerStore<> store_{scratch_.path() / "store", {.durability = Durability::none}};
  boost::filesystem::path flat_ = scratch_.directory("flat"), laid_ = scratch_.directory("laid"),
                          mounted_ = scratch_.directory("mounted");
  std::optional<Digest> top_;
  ModelTree model_ = LayerModel::empty();
  std::string expected_, wrong_;
  bool mount_, taken_ = true;
  unsigned count_ = 0;
};

}  // namespace strata::test
