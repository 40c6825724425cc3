#include <strata/report.hpp>

#include <algorithm>
#include <utility>

namespace strata {

void Report::add(std::string rule, std::string path, std::string action) {
  ++total_;
  if (events_.size() < capacity) events_.push_back({std::move(rule), std::move(path), std::move(action)});
}

void Report::append(const Report& other) {
  const std::size_t taken = std::min(capacity - events_.size(), other.events_.size());
  const std::uint64_t added = other.total_;
  events_.reserve(events_.size() + taken);  // first, since `other` may be this report itself
  for (std::size_t i = 0; i < taken; ++i) events_.push_back(other.events_[i]);
  total_ += added;
}

}  // namespace strata
