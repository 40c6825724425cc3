// Who keeps a mount busy.
#pragma once

#include <boost/filesystem/path.hpp>

#include <string>
#include <string_view>

namespace strata::detail {

/// A short list of the mounts below `target` and of the processes that work in it, as far as this process may see them:
/// "process 12 (bash, working directory)". Empty where none is found.
std::string holders_of(const boost::filesystem::path& target);

/// A process in another mount namespace that has a mount of this source in it: "process 12". Empty where none is found
/// among those that may be looked at.
std::string elsewhere(std::string_view source);

}  // namespace strata::detail
