// Descriptors as JSON.
#pragma once

#include <strata/image.hpp>

#include "image/json.hpp"

#include <vector>

namespace strata::detail {

Descriptor read_descriptor(const JsonObject& object);
Platform read_platform(const JsonObject& object);

/// As JSON; of one that is among `before`, which were read from the list `json`, what stands there.
OrderedJson write_descriptor(const Descriptor& descriptor);
OrderedJson write_descriptors(const std::vector<Descriptor>& descriptors, const std::vector<Descriptor>& before,
                              const OrderedJson& json);
/// Into an object that may have more members.
void write_platform(const Platform& platform, OrderedJson& json);

}  // namespace strata::detail
