// What this kernel, this filesystem and this user can do: the structured answer behind `layerctl doctor`.
#pragma once

#include <strata/export.hpp>

#include <boost/filesystem/path.hpp>

#include <string>
#include <vector>

namespace strata {

struct Finding {
  enum class Verdict { good, limited, bad };
  Verdict verdict = Verdict::good;
  std::string topic;   ///< "kernel", "overlay", "store filesystem", "user namespace"
  std::string name;    ///< "layers by descriptor"
  std::string value;   ///< what was found
  std::string remedy;  ///< where limited or bad: what happens without it, and what would help
};

/// Looks at the kernel, the user, and the filesystem of `directory` (which may not exist yet: then of the nearest
/// directory above that does). Tries what can be tried in a moment; leaves nothing. Never throws for what it finds.
STRATA_API std::vector<Finding> diagnose(const boost::filesystem::path& directory);

}  // namespace strata
