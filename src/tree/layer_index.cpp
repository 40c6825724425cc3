#include "tree/layer_index.hpp"

#include <strata/error.hpp>

#include "base/budget.hpp"

#include <xxhash.h>

#include <random>

namespace strata::detail {

LayerIndex::LayerIndex() : table_(1024) {
  // Seeded, so that nobody can choose names that collide.
  std::random_device random;
  seed_ = std::uint64_t{random()} << 32 | random();
  nodes_.emplace_back();
  nodes_[root].kind = Kind::implied;
}

std::uint32_t LayerIndex::hash(Id parent, std::string_view name) const {
  return static_cast<std::uint32_t>(
      XXH3_64bits_withSeed(name.data(), name.size(), seed_ ^ (parent * 0x9e3779b97f4a7c15U)));
}

LayerIndex::Id LayerIndex::child(Id parent, std::string_view name) const {
  return find(parent, name, hash(parent, name));
}

LayerIndex::Id LayerIndex::find(Id parent, std::string_view name, std::uint32_t hash) const {
  const std::size_t mask = table_.size() - 1;
  for (std::size_t at = hash & mask; table_[at].id != none; at = (at + 1) & mask) {
    if (table_[at].hash != hash) continue;
    const Node& node = nodes_[table_[at].id];
    if (node.parent == parent && !node.unreachable && is_called(table_[at].id, name)) return table_[at].id;
  }
  return none;
}

LayerIndex::Id LayerIndex::get(Id parent, std::string_view name) {
  const std::uint32_t hash = this->hash(parent, name);
  if (const Id found = find(parent, name, hash); found != none) return found;
  if (nodes_.size() >= none - 1 || names_.size() + name.size() > ~std::uint32_t{0})
    throw_error(errc::limit_exceeded, "read the layer", quoted(name), "it has more names than a layer can have");
  if (budget_ != nullptr && nodes_.size() > budget_->entries) {  // the root is one of them
    const std::string above = path(parent);
    throw_over_budget(*budget_, &Budget::entries, quoted(above + (above.empty() ? "" : "/") + std::string(name)),
                      "it is name " + std::to_string(nodes_.size()) + ", directories without entries counted");
  }
  const Id id = static_cast<Id>(nodes_.size());
  Node& node = nodes_.emplace_back();
  node.name_offset = static_cast<std::uint32_t>(names_.size());
  node.name_size = static_cast<std::uint8_t>(name.size());
  names_ += name;
  link(id, parent, hash);
  return id;
}

void LayerIndex::link(Id id, Id parent, std::uint32_t hash) {
  Node& node = nodes_[id];
  node.parent = parent;
  node.next_sibling = nodes_[parent].first_child;
  node.previous_sibling = none;
  if (node.next_sibling != none) nodes_[node.next_sibling].previous_sibling = id;
  nodes_[parent].first_child = id;
  if ((used_ + 1) * 10 > table_.size() * 7) grow();
  put({id, hash});
  ++used_;
}

void LayerIndex::put(Slot slot) {
  const std::size_t mask = table_.size() - 1;
  std::size_t at = slot.hash & mask;
  while (table_[at].id != none) at = (at + 1) & mask;
  table_[at] = slot;
}

void LayerIndex::unlink(Id id) {
  const Node& node = nodes_[id];
  (node.previous_sibling == none ? nodes_[node.parent].first_child : nodes_[node.previous_sibling].next_sibling) =
      node.next_sibling;
  if (node.next_sibling != none) nodes_[node.next_sibling].previous_sibling = node.previous_sibling;
}

void LayerIndex::grow() {
  std::vector<Slot> table(table_.size() * 2);
  table_.swap(table);
  for (const Slot& slot : table)
    if (slot.id != none) put(slot);
}

std::string LayerIndex::path(Id id) const {
  std::vector<Id> ids;
  for (; id != root && id != none; id = nodes_[id].parent) ids.push_back(id);
  std::string path;
  for (auto at = ids.rbegin(); at != ids.rend(); ++at) {
    if (!path.empty()) path += '/';
    path.append(names_, nodes_[*at].name_offset, nodes_[*at].name_size);
  }
  return path;
}

void LayerIndex::detach(Id id) {
  unlink(id);
  std::vector<Id> todo{id};
  while (!todo.empty()) {
    const Id at = todo.back();
    todo.pop_back();
    nodes_[at].unreachable = true;
    for_each_child(at, [&](Id c) { todo.push_back(c); });
  }
}

void LayerIndex::move(Id id, Id new_parent) {
  unlink(id);
  // The old slot in the table stays with this id: child() compares the parent, so it matches nothing there.
  link(id, new_parent, hash(new_parent, std::string_view(names_).substr(nodes_[id].name_offset, nodes_[id].name_size)));
}

}  // namespace strata::detail
