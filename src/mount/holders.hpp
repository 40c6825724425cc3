// Who keeps a mount busy.
#pragma once

#include <strata/mount_plan.hpp>

#include <boost/filesystem/path.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace strata::detail {

/// A short list of the mounts below `target` and of the processes that work in it, as far as this process may see them:
/// "process 12 (bash, working directory)". Empty where none is found.
std::string holders_of(const boost::filesystem::path& target);

/// A process in another mount namespace in whose table there is such a mount: "process 12". Empty where none is found
/// among those that may be looked at. `text`: plain ASCII that the line of each of them has in it.
std::string elsewhere(std::string_view text, const std::function<bool(const MountedEntry&)>& is_wanted);

}  // namespace strata::detail
