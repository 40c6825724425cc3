#include <strata/error.hpp>
#include <strata/mount_plan.hpp>

#include <array>

namespace strata {
namespace {

template <class Value>
struct Word {
  std::string_view text;
  Value value;
};

/// The kernel's words for the values of an option.
template <class Value>
struct Vocabulary;
template <>
struct Vocabulary<bool> {
  static constexpr std::array words{Word<bool>{"on", true}, Word<bool>{"off", false}};
};
template <>
struct Vocabulary<OverlayOptions::RedirectDir> {
  using enum OverlayOptions::RedirectDir;
  static constexpr std::array words{
      Word<OverlayOptions::RedirectDir>{"on", on}, Word<OverlayOptions::RedirectDir>{"off", off},
      Word<OverlayOptions::RedirectDir>{"follow", follow}, Word<OverlayOptions::RedirectDir>{"nofollow", nofollow}};
};
template <>
struct Vocabulary<OverlayOptions::Xino> {
  using enum OverlayOptions::Xino;
  static constexpr std::array words{Word<OverlayOptions::Xino>{"on", on}, Word<OverlayOptions::Xino>{"off", off},
                                    Word<OverlayOptions::Xino>{"auto", automatic}};
};
template <>
struct Vocabulary<OverlayOptions::Uuid> {
  using enum OverlayOptions::Uuid;
  static constexpr std::array words{Word<OverlayOptions::Uuid>{"on", on}, Word<OverlayOptions::Uuid>{"off", off},
                                    Word<OverlayOptions::Uuid>{"null", null},
                                    Word<OverlayOptions::Uuid>{"auto", automatic}};
};
template <>
struct Vocabulary<OverlayOptions::Verity> {
  using enum OverlayOptions::Verity;
  static constexpr std::array words{Word<OverlayOptions::Verity>{"on", on}, Word<OverlayOptions::Verity>{"off", off},
                                    Word<OverlayOptions::Verity>{"require", require}};
};

/// Calls visit(name, field) for every option that takes a value, in the order in which they are spelled.
template <class Options, class Visit>
void each_valued(Options& options, Visit visit) {
  visit("redirect_dir", options.redirect_dir);
  visit("index", options.index);
  visit("xino", options.xino);
  visit("metacopy", options.metacopy);
  visit("nfs_export", options.nfs_export);
  visit("uuid", options.uuid);
  visit("verity", options.verity);
}

template <class Value>
std::string list_of_words() {
  std::string list;
  for (const auto& word : Vocabulary<Value>::words) list.append(list.empty() ? "" : ", ").append(word.text);
  return list;
}

template <class Value>
Value value_of(std::string_view name, std::string_view text, std::string_view takes) {
  for (const auto& word : Vocabulary<Value>::words)
    if (word.text == text) return word.value;
  throw_error(errc::bad_argument, "set", "overlay option " + quoted(name), "it can't be " + quoted(text),
              "it takes " + std::string(takes));
}

bool flag_of(std::string_view name, std::string_view text) {
  return text.empty() || value_of<bool>(name, text, "on, off, or no value, which is on");
}

}  // namespace

void OverlayOptions::set(std::string_view name, std::string_view value) {
  if (name == "userxattr") {
    userxattr = flag_of(name, value);
    return;
  }
  if (name == "volatile") {
    is_volatile = flag_of(name, value);
    return;
  }
  bool known = false;
  std::string names;
  each_valued(*this, [&]<class Value>(std::string_view option, std::optional<Value>& field) {
    names.append(option).append(", ");
    if (option != name) return;
    known = true;
    field = value_of<Value>(name, value, list_of_words<Value>());
  });
  if (!known)
    throw_error(errc::bad_argument, "set", "overlay option " + quoted(name), "there is no such option",
                "the options are " + names + "userxattr, volatile");
}

std::vector<std::pair<std::string, std::string>> OverlayOptions::spelled() const {
  std::vector<std::pair<std::string, std::string>> options;
  each_valued(*this, [&]<class Value>(std::string_view name, const std::optional<Value>& field) {
    for (const auto& word : Vocabulary<Value>::words)
      if (field == word.value) options.emplace_back(name, word.text);
  });
  if (userxattr.value_or(false)) options.emplace_back("userxattr", "");
  if (is_volatile) options.emplace_back("volatile", "");
  return options;
}

}  // namespace strata
