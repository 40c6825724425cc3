// What this kernel, this filesystem and this user can do: the structured answer behind `layerctl doctor`.
#pragma once

#include <strata/export.hpp>

#include <boost/filesystem/path.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace strata {

class Digest;
class LayerStoreBase;

struct Finding {
  enum class Verdict { good, limited, bad };
  Verdict verdict = Verdict::good;
  std::string topic;   ///< "kernel", "user", "helpers", "filesystem", "backend NAME", "chain"
  std::string name;    ///< "layers by descriptor"
  std::string value;   ///< what was found
  std::string remedy;  ///< where limited or bad: what happens without it, and what would help
};

/// Looks at the kernel, the user, the programs and devices that mounts may need, and the filesystem of `directory`
/// (which may not exist yet: then of the nearest directory above that does). Tries what can be tried in a moment;
/// leaves nothing. Never throws for what it finds.
STRATA_API std::vector<Finding> diagnose(const boost::filesystem::path& directory);

/// Whether one mount backend ("overlay") can work here, and what it found. Throws errc::bad_argument, which lists the
/// names that there are.
STRATA_API std::vector<Finding> diagnose_backend(std::string_view name);

/// Whether the chain of `layer` can be mounted by the kernel's overlay, and if not, why: its records and trees (as
/// VerifyLevel::quick sees them), its number of layers, their form, their names' lengths where a kernel takes no
/// descriptors. Where this user may mount, it is mounted read-only, seen by nobody, and dropped. Never throws for what
/// it finds.
STRATA_API std::vector<Finding> diagnose_chain(const LayerStoreBase& store, const Digest& layer);

}  // namespace strata
