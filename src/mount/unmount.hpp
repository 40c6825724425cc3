// Taking down a mount, and saying who keeps it.
#pragma once

#include <string>
#include <string_view>

namespace strata::detail {

/// Unmounts what is mounted at `target`, its topmost mount. Throws errc::not_found where nothing is, and errc::in_use,
/// which names the processes and mounts that keep it busy, as far as this process may see them. `what` it is, for
/// messages.
void unmount_at(const std::string& target, std::string_view what);

}  // namespace strata::detail
