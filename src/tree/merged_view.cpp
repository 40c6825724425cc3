// Follows fs/overlayfs/namei.c and readdir.c of Linux 6.18, and Documentation/filesystems/overlayfs.rst: whiteouts as
// devices, and, since 6.7, as attributes; opaque directories; redirects (4.10); metacopy (4.19).
#include "tree/merged_view.hpp"

#include <strata/error.hpp>

#include "tree/entry_path.hpp"

#include <dirent.h>

#include <algorithm>
#include <iterator>
#include <map>

namespace strata::detail {
namespace {

constexpr std::string_view trusted_prefix = "trusted.overlay.";
constexpr std::string_view user_prefix = "user.overlay.";
constexpr std::string_view escape = "overlay.";

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string leaf_of(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

/// A redirect is the new name in the same directory, or a path from the root of the overlay.
bool is_valid_redirect(std::string_view target) {
  const auto is_name = [](std::string_view name) { return !name.empty() && name != "." && name != ".."; };
  if (!target.starts_with('/')) return is_name(target) && target.find('/') == std::string_view::npos;
  while (!target.empty()) {
    target.remove_prefix(1);
    const std::string_view name = target.substr(0, target.find('/'));
    if (!is_name(name)) return false;
    target.remove_prefix(name.size());
  }
  return true;
}

}  // namespace

/// The state of a lookup on its way down the stack (ovl_lookup_data).
struct MergedView::Search {
  std::string name;        ///< to look for in the next layer; with a leading '/': from its root
  bool stop = false;       ///< what is further below is hidden
  bool directory = false;  ///< a directory was found: only directories merge with it
  bool metacopy = false;   ///< a file without its data was found
  bool opaque = false;
  std::optional<std::vector<std::string>> attributes = {};  ///< of what was looked at last
  std::vector<Place> marks = {};  ///< where something beneath the name is hidden, and no directory was found since

  bool redirected_to_root() const { return name.starts_with('/'); }
};

/// A directory of one layer, opened for as long as this lives; the layer's root is open anyway.
class MergedView::OpenPlace {
 public:
  OpenPlace() = default;
  OpenPlace(const MergedView& view, const Place& place, int flags) : marks_only_(place.marks_only) {
    if (marks_only_) return;
    const int root = view.root_descriptor(place.layer);
    if (place.path.empty()) {
      fd_ = root;
      return;
    }
    owned_ = try_open_beneath(root, place.path, flags | O_DIRECTORY | O_NOFOLLOW, view.names_[place.layer]);
    fd_ = owned_.get();
  }
  /// false: it isn't there.
  explicit operator bool() const { return fd_ >= 0 || marks_only_; }
  /// -1 of one that has marks only.
  int get() const { return fd_; }
  /// Empty for a root.
  FileDescriptor release() { return std::move(owned_); }

 private:
  FileDescriptor owned_;
  int fd_ = -1;
  bool marks_only_ = false;
};

/// Adds what one more layer has: of a directory, one to merge; of a file, where its data is, as far as is known.
void MergedView::take(std::optional<Entry>& entry, const Metadata& metadata, Place place, Search& search) {
  if (!entry) entry = Entry{metadata, {}, {}, false, std::move(search.attributes)};
  if (metadata.is_directory()) std::ranges::move(search.marks, std::back_inserter(entry->places));
  search.marks.clear();
  if (metadata.is_directory() || entry->places.empty()) entry->places.push_back(place);
  entry->data = std::move(place);
}

MergedView::MergedView(const std::vector<boost::filesystem::path>& stack, Marks marks, Opening opening)
    : marks_(stack.size(), marks), forms_(stack.size()) {
  roots_.reserve(stack.size());
  for (const boost::filesystem::path& path : stack) {
    roots_.push_back(
        std::make_shared<FileDescriptor>(opening == Opening::now ? open_directory(path) : FileDescriptor()));
    names_.push_back(path.native());
  }
}

MergedView MergedView::of(const std::vector<Layer>& stack) {
  MergedView view;
  for (const Layer& layer : stack) {
    const bool kernel = !layer.form || is_kernel_form(*layer.form);
    view.roots_.push_back(std::make_shared<FileDescriptor>(open_directory(layer.path)));
    view.names_.push_back(layer.path.native());
    view.marks_.push_back(!layer.form ? Marks::any : kernel ? marks_of(*layer.form) : Marks::none);
    view.forms_.push_back(kernel ? nullptr : layer_form(*layer.form, view.roots_.back()->get()));
  }
  return view;
}

MergedView stacked(const boost::filesystem::path& upper, std::optional<UnionForm> form,
                   const std::vector<boost::filesystem::path>& lowers, std::optional<UnionForm> lower_form) {
  std::vector<MergedView::Layer> stack{{upper, form}};
  for (const boost::filesystem::path& lower : lowers) stack.push_back({lower, lower_form});
  return MergedView::of(stack);
}

int MergedView::root_descriptor(std::size_t layer) const {
  FileDescriptor& root = *roots_[layer];
  if (!root) root = open_directory(names_[layer]);
  return root.get();
}

MergedView::MergedView(MergedView&&) noexcept = default;
MergedView& MergedView::operator=(MergedView&&) noexcept = default;
MergedView::~MergedView() = default;

MergedView MergedView::below() const {
  MergedView view;
  if (!empty()) {
    view.roots_.assign(roots_.begin() + 1, roots_.end());
    view.names_.assign(names_.begin() + 1, names_.end());
    view.marks_.assign(marks_.begin() + 1, marks_.end());
    view.forms_.assign(forms_.begin() + 1, forms_.end());
  }
  return view;
}

MergedView MergedView::again() const {
  MergedView view;
  view.roots_ = roots_;
  view.names_ = names_;
  view.marks_ = marks_;
  view.forms_ = forms_;
  return view;
}

std::string_view MergedView::mark_name(std::size_t layer, std::string_view attribute) const {
  const Marks marks = marks_[layer];
  if (marks != Marks::user && marks != Marks::none && attribute.starts_with(trusted_prefix))
    return attribute.substr(trusted_prefix.size());
  if (marks != Marks::trusted && marks != Marks::none && attribute.starts_with(user_prefix))
    return attribute.substr(user_prefix.size());
  return {};
}

std::map<std::string, std::string> MergedView::read_marks(int dir, const std::string& name, const Place& place,
                                                          std::vector<std::string>& attributes) const {
  std::map<std::string, std::string> marks;
  const std::string shown = shown_path(names_[place.layer], place.path);
  attributes = list_xattrs(dir, name, shown);
  for (const std::string& attribute : attributes) {
    const std::string_view mark = mark_name(place.layer, attribute);
    if (mark != "opaque" && mark != "redirect" && mark != "metacopy" && mark != "whiteout") continue;
    if (auto value = read_xattr(dir, name, attribute, shown)) marks.emplace(mark, std::move(*value));
  }
  return marks;
}

/// Looks at one name in one directory of one layer (ovl_lookup_single), and moves the search on. `last`: the name is
/// the last of the path that is looked for, which reads before + name + after.
std::optional<Metadata> MergedView::probe(int dir, const Place& parent, const std::string& name, Search& search,
                                          bool last, std::string_view before, std::string_view after) const {
  if (const auto& form = forms_[parent.layer]) return probe_form(*form, dir, parent, name, search, last);
  const std::string shown = shown_path(names_[parent.layer], parent.path);
  const std::optional<Metadata> metadata = try_stat(dir, name, shown);
  if (!metadata) return std::nullopt;
  if (marks_[parent.layer] == Marks::none) {
    search.directory = metadata->is_directory();
    search.stop = true;
    return metadata;
  }
  const auto hides = [&search] { return search.stop = true, std::nullopt; };

  std::map<std::string, std::string> marks;
  search.attributes.reset();
  if (metadata->is_file() || (metadata->is_directory() && parent.layer + 1 < layers()))
    marks = read_marks(dir, name, parent, search.attributes.emplace());
  if (metadata->is_whiteout() || (metadata->is_file() && metadata->size == 0 && marks.contains("whiteout")))
    return hides();
  if (last && search.metacopy && !metadata->is_file()) return hides();

  if (!metadata->is_directory()) {
    if (search.directory || !last) return hides();
    search.metacopy = metadata->is_file() && marks.contains("metacopy");
    search.stop = !search.metacopy;
    if (!search.metacopy) return metadata;
  } else {
    search.directory |= last;
    if (const auto opaque = marks.find("opaque"); opaque != marks.end() && opaque->second == "y") {
      search.stop = true;
      search.opaque |= last;
      return metadata;
    }
  }

  if (const auto redirect = marks.find("redirect"); redirect != marks.end()) {
    std::string& target = redirect->second;
    if (!is_valid_redirect(target))
      throw_error(errc::damaged, "follow the redirect of", quoted(shown_path(shown, name)),
                  quoted(target) + " is neither a name nor a path from the root");
    // An opaque directory on the way to it says nothing about where the absolute path leads.
    if (target.starts_with('/'))
      search.stop = false;
    else
      target.insert(0, before);
    search.name = std::move(target.append(after));
  }
  return metadata;
}

/// The same in a layer that isn't in one of the kernel's forms.
std::optional<Metadata> MergedView::probe_form(const LayerForm& form, int dir, const Place& parent,
                                               const std::string& name, Search& search, bool last) const {
  LayerForm::Found found = form.look(dir, parent.path, name, shown_path(names_[parent.layer], parent.path));
  search.attributes.reset();
  if (found.beneath && last) search.marks.push_back({parent.layer, joined(parent.path, name), true});
  if (!found.entry) {
    search.stop |= found.hides;
    return std::nullopt;
  }
  const bool directory = found.entry->is_directory();
  if (directory ? last && search.metacopy : search.directory || !last) {
    search.stop = true;
    return std::nullopt;
  }
  search.directory |= directory && last;
  search.opaque |= directory && last && found.hides;
  search.stop = found.hides || !directory;
  search.metacopy = false;
  return found.entry;
}

/// The names of one directory of one layer.
std::vector<DirectoryEntry> MergedView::listing(const Place& directory, int dir) const {
  const std::string shown = shown_path(names_[directory.layer], directory.path);
  const auto& form = forms_[directory.layer];
  return form ? form->list(dir, directory.path, shown) : list_directory(dir, shown);
}

/// Looks for a path from a layer's root (ovl_lookup_layer).
std::optional<MergedView::Entry> MergedView::probe_from_root(std::size_t layer, Search& search) const {
  const std::string path = search.name;
  Place parent{layer, {}};
  FileDescriptor held;
  int dir = root_descriptor(layer);
  for (std::size_t at = 1;;) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const bool last = end == path.size();
    const std::string name = path.substr(at, end - at);
    // A redirect found on the way changes what is looked for: the same number of names follow, but others may precede.
    const std::string before = search.name.substr(0, search.name.size() - (path.size() - at));
    const auto metadata = probe(dir, parent, name, search, last, before, std::string_view(path).substr(end));
    if (!metadata) return std::nullopt;
    parent.path = joined(parent.path, name);
    if (last) return Entry{*metadata, {parent}, {}, false};
    FileDescriptor next = try_open_beneath(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, names_[layer]);
    if (!next) return std::nullopt;
    held = std::move(next);
    dir = held.get();
    at = end + 1;
  }
}

/// Goes on with a search from the `from`-th of the places of the parent directory, down to the end of the stack
/// (ovl_lookup).
void MergedView::search_below(const std::vector<Place>& parents, std::size_t from, Search& search,
                              std::optional<Entry>& found) const {
  for (std::size_t i = from; i < parents.size() && !search.stop && !search.redirected_to_root(); ++i) {
    const Place& parent = parents[i];
    const OpenPlace dir(*this, parent, O_PATH);
    if (!dir) continue;
    const std::string name = search.name;
    if (const auto metadata = probe(dir.get(), parent, name, search))
      take(found, *metadata, {parent.layer, joined(parent.path, name)}, search);
  }
  // Once a redirect leads to a path from the root, the places of the parent don't matter any more.
  if (search.redirected_to_root() && found)
    for (std::size_t layer = found->data.layer + 1; layer < layers() && !search.stop; ++layer)
      if (auto entry = probe_from_root(layer, search)) take(found, entry->metadata, entry->top(), search);
  if (!found) return;
  if (search.metacopy)
    throw_error(errc::damaged, "find the data of", quoted(shown(*found)), "it is a metacopy file with nothing below it",
                "give all the directories that it was made on");
  found->opaque = search.opaque && found->places.size() == 1;
}

std::optional<MergedView::Entry> MergedView::root() const {
  if (empty()) return std::nullopt;
  // The kernel merges the roots of all layers, marked as opaque or not.
  Entry entry{stat_of(root_descriptor(0), names_.front()), {}, {}, false};
  for (std::size_t layer = 0; layer < layers(); ++layer) {
    entry.places.push_back({layer, {}});
    if (forms_[layer] && forms_[layer]->root_hides()) break;
  }
  return entry;
}

std::optional<MergedView::Entry> MergedView::lookup(const Entry& directory, std::string_view name) const {
  if (!directory.metadata.is_directory() || name.empty() || name == "." || name == "..") return std::nullopt;
  Search search{std::string(name)};
  std::optional<Entry> found;
  search_below(directory.places, 0, search, found);
  return found;
}

std::optional<MergedView::Entry> MergedView::find(std::string_view path) const {
  std::optional<Entry> entry = root();
  while (entry && !path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    entry = lookup(*entry, name);
    path.remove_prefix(std::min(name.size() + 1, path.size()));
  }
  return entry;
}

/// A name of a directory that is being listed.
struct MergedView::Slot {
  Search search;
  std::optional<Entry> entry;
};

/// Looks at a name in one of the places of a directory, on the way down through all of them.
void MergedView::gather(const Entry& directory, std::size_t place, int dir, const std::string& name, Slot& slot) const {
  auto& [search, entry] = slot;
  if (search.stop) return;
  const Place& parent = directory.places[place];
  const auto metadata = probe(dir, parent, name, search);
  if (!metadata) return;
  take(entry, *metadata, {parent.layer, joined(parent.path, name)}, search);
  if (search.metacopy || search.name != name) {
    // What goes on under another name is followed to its end at once.
    search_below(directory.places, place + 1, search, entry);
    search.stop = true;
  }
  entry->opaque = search.opaque && entry->places.size() == 1;
}

std::vector<std::pair<std::string, MergedView::Entry>> MergedView::list(const Entry& directory) const {
  if (directory.places.size() == 1) return list_one(directory);
  std::map<std::string, Slot> slots;
  for (std::size_t i = 0; i < directory.places.size(); ++i) {
    const Place& place = directory.places[i];
    const OpenPlace dir(*this, place, O_RDONLY);
    if (!dir) continue;
    auto hint = slots.begin();
    for (const DirectoryEntry& listed : listing(place, dir.get())) {
      const auto slot = slots.try_emplace(hint, listed.name, Slot{Search{listed.name}, {}});
      hint = std::next(slot);
      gather(directory, i, dir.get(), listed.name, slot->second);
    }
  }
  std::vector<std::pair<std::string, Entry>> entries;
  entries.reserve(slots.size());
  for (auto& [name, slot] : slots)
    if (slot.entry) entries.emplace_back(name, std::move(*slot.entry));
  return entries;
}

/// A directory that merges with none.
std::vector<std::pair<std::string, MergedView::Entry>> MergedView::list_one(const Entry& directory) const {
  std::vector<std::pair<std::string, Entry>> entries;
  const Place& place = directory.top();
  OpenPlace dir(*this, place, O_RDONLY);
  if (!dir) return entries;
  std::vector<DirectoryEntry> names = listing(place, dir.get());
  entries.reserve(names.size());
  for (DirectoryEntry& listed : names) {
    Slot slot{Search{listed.name}, {}};
    gather(directory, 0, dir.get(), listed.name, slot);
    if (slot.entry) entries.emplace_back(std::move(listed.name), std::move(*slot.entry));
  }
  remember(place, dir.release());
  return entries;
}

std::vector<std::pair<std::string, MergedView::Entry>> MergedView::pick(const Entry& directory,
                                                                        const std::vector<std::string>& names) const {
  std::vector<Slot> slots;
  slots.reserve(names.size());
  for (const std::string& name : names) slots.push_back({Search{name}, {}});
  for (std::size_t i = 0; i < directory.places.size(); ++i) {
    const Place& place = directory.places[i];
    OpenPlace dir(*this, place, O_PATH);
    if (!dir) continue;
    for (std::size_t n = 0; n < names.size(); ++n) gather(directory, i, dir.get(), names[n], slots[n]);
    if (i == 0) remember(place, dir.release());
  }
  std::vector<std::pair<std::string, Entry>> entries;
  for (std::size_t n = 0; n < names.size(); ++n)
    if (slots[n].entry) entries.emplace_back(names[n], std::move(*slots[n].entry));
  return entries;
}

std::vector<MergedView::Twin> MergedView::twins(const Entry& directory, const MergedView& below, const Entry& lower,
                                                std::vector<std::string> names) const {
  OpenPlace top;
  if (const Place& place = directory.places.front(); place.layer == 0) {
    top = OpenPlace(*this, place, O_RDONLY);
    if (top)
      for (DirectoryEntry& listed : listing(place, top.get())) names.push_back(std::move(listed.name));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());

  auto others = below.pick(lower, names);
  auto other = others.begin();
  std::vector<Twin> twins;
  for (std::string& name : names) {
    Twin twin{std::move(name), {}, {}};
    if (other != others.end() && other->first == twin.name) twin.below = std::move((other++)->second);
    Slot slot{Search{twin.name}, {}};
    if (top) gather(directory, 0, top.get(), twin.name, slot);
    // What goes on below goes on under the same name: a directory that merges, or all there is.
    if (!slot.search.stop && twin.below) {
      Entry shifted = *twin.below;
      for (Place& place : shifted.places) ++place.layer;
      ++shifted.data.layer;
      if (!slot.entry) {
        if (shifted.metadata.is_directory())
          shifted.places.insert(shifted.places.begin(), slot.search.marks.begin(), slot.search.marks.end());
        slot.entry = std::move(shifted);
      } else if (shifted.metadata.is_directory()) {
        slot.entry->places.insert(slot.entry->places.end(), shifted.places.begin(), shifted.places.end());
        slot.entry->data = std::move(shifted.data);
      }
    }
    twin.here = std::move(slot.entry);
    if (twin.here || twin.below) twins.push_back(std::move(twin));
  }
  if (top) remember(directory.places.front(), top.release());
  return twins;
}

MergedView::Lazy::Lazy(const MergedView& view) : view_(view) {}
MergedView::Lazy::Lazy(Lazy& directory, std::string_view name)
    : view_(directory.view_), directory_(&directory), search_(new Search{std::string(name)}) {}
MergedView::Lazy::~Lazy() = default;

const MergedView::Entry* MergedView::Lazy::get() {
  if (directory_ == nullptr) {
    if (!entry_) entry_ = view_.root();
  } else if (!entry_ && directory_->get() != nullptr && directory_->get()->metadata.is_directory()) {
    while (!entry_ && advance()) {
    }
  }
  return entry_ ? &*entry_ : nullptr;
}

const MergedView::Place* MergedView::Lazy::place(std::size_t index) {
  if (get() == nullptr) return nullptr;
  while (directory_ != nullptr && entry_->places.size() <= index && advance()) {
  }
  return index < entry_->places.size() ? &entry_->places[index] : nullptr;
}

/// Looks into one more place of the directory. False: there is none, or what is further below is hidden.
bool MergedView::Lazy::advance() {
  const Place* const parent = search_->stop ? nullptr : directory_->place(next_);
  if (parent == nullptr) return false;
  ++next_;
  const OpenPlace dir(view_, *parent, O_PATH);
  if (!dir) return true;
  const std::string name = search_->name;
  const auto metadata = view_.probe(dir.get(), *parent, name, *search_);
  if (!metadata) return true;
  take(entry_, *metadata, {parent->layer, joined(parent->path, name)}, *search_);
  if (search_->metacopy || search_->name != name) {
    // What goes on under another name is followed to its end at once.
    while (directory_->place(directory_->entry_->places.size()) != nullptr) {
    }
    view_.search_below(directory_->entry_->places, next_, *search_, entry_);
    search_->stop = true;
  }
  return true;
}

FileDescriptor MergedView::open_data(const Entry& file, Metadata& now) const {
  const Place& place = file.data;
  FileDescriptor fd = open_beneath(parent_descriptor(place), leaf_of(place.path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
                                   names_[place.layer]);
  now = stat_of(fd.get(), names_[place.layer]);
  if (!now.is_file())
    throw_error(errc::in_use, "read", quoted(shown_path(names_[place.layer], place.path)),
                "it was replaced by something that is no file");
  return fd;
}

std::string MergedView::link_target(const Entry& symlink) const {
  const Place& place = symlink.top();
  return read_link(parent_descriptor(place), leaf_of(place.path),
                   shown_path(names_[place.layer], parent_of(place.path)));
}

Xattrs MergedView::xattrs(const Entry& entry) const {
  Xattrs shown_ones;
  if (entry.attributes && entry.attributes->empty()) return shown_ones;
  const Place& place = entry.top();
  const std::string leaf = leaf_of(place.path), shown = shown_path(names_[place.layer], parent_of(place.path));
  for (const std::string& name :
       entry.attributes ? *entry.attributes : list_xattrs(parent_descriptor(place), leaf, shown)) {
    const std::string_view mark = mark_name(place.layer, name);
    if (!mark.empty() && !mark.starts_with(escape)) continue;
    if (const auto& form = forms_[place.layer]; form && form->owner(name) != LayerForm::Owner::file) {
      if (form->owner(name) == LayerForm::Owner::form) continue;
      throw_error(errc::unsupported, "read", quoted(shown_path(shown, leaf)),
                  "its attribute " + quoted(name) + " says that it is something else");
    }
    auto value = read_xattr(parent_descriptor(place), leaf, name, shown);
    if (!value) continue;
    const std::string_view prefix = std::string_view(name).substr(0, name.size() - mark.size());
    shown_ones.emplace(mark.empty() ? name : std::string(prefix).append(mark.substr(escape.size())), std::move(*value));
  }
  return shown_ones;
}

std::optional<std::string> MergedView::mark(const Entry& entry, std::string_view name) const {
  const Place& place = entry.top();
  return mark_of(place.layer, parent_descriptor(place), leaf_of(place.path), name, names_[place.layer]);
}

std::optional<std::string> MergedView::mark(int directory, std::string_view name) const {
  return mark_of(0, directory, {}, name, {});
}

std::optional<std::string> MergedView::mark_of(std::size_t layer, int dir, const std::string& leaf,
                                               std::string_view name, std::string_view shown) const {
  for (const std::string_view prefix : {trusted_prefix, user_prefix}) {
    const std::string attribute = std::string(prefix).append(name);
    if (mark_name(layer, attribute).empty()) continue;
    if (auto value = read_xattr(dir, leaf, attribute, shown)) return value;
  }
  return std::nullopt;
}

/// Valid until the next call.
int MergedView::parent_descriptor(const Place& place) const {
  const std::string_view path = parent_of(place.path);
  if (path.empty()) return root_descriptor(place.layer);
  if (!parent_.fd || parent_.layer != place.layer || parent_.path != path) {
    parent_.fd.reset();
    parent_.fd =
        open_beneath(root_descriptor(place.layer), path, O_PATH | O_DIRECTORY | O_NOFOLLOW, names_[place.layer]);
    parent_.layer = place.layer;
    parent_.path = path;
  }
  return parent_.fd.get();
}

/// Roots are open anyway.
void MergedView::remember(const Place& directory, FileDescriptor fd) const {
  if (fd) parent_ = {directory.layer, directory.path, std::move(fd)};
}

std::string MergedView::shown(const Entry& entry) const {
  return shown_path(names_[entry.top().layer], entry.top().path);
}

}  // namespace strata::detail
