#include <strata/report.hpp>

#include <utility>

namespace strata {

void Report::add(std::string rule, std::string path, std::string action) {
  const std::size_t text = rule.size() + path.size() + action.size();
  // Once one wasn't kept, none is: what is kept are the first.
  const bool kept = total_ == events_.size() && events_.size() < capacity && text <= text_capacity - text_;
  ++total_;
  if (!kept) return;
  text_ += text;
  events_.push_back({std::move(rule), std::move(path), std::move(action)});
}

void Report::append(const Report& other) {
  const std::uint64_t total = total_ + other.total_;
  const std::size_t count = other.events_.size();  // `other` may be this report itself
  for (std::size_t i = 0; i < count; ++i) {
    Event event = other.events_[i];
    add(std::move(event.rule), std::move(event.path), std::move(event.action));
  }
  total_ = total;
}

}  // namespace strata
