// blobs/ALGORITHM/HEX: the bytes of a layer as they came, kept beside its tree, for a repair, and so that an image can
// leave as it came. A blob is there whole, or not at all; gc() and removals take it with the last layer or image that
// names it.
#pragma once

#include <strata/file_descriptor.hpp>
#include <strata/image.hpp>
#include <strata/verify.hpp>

#include "store/core.hpp"

#include <string>

namespace strata::detail {

/// By its size too: what has another isn't what is meant.
bool is_blob_kept(const StoreCore& core, const Descriptor& blob);
/// To read it; empty: it isn't kept.
FileDescriptor open_kept_blob(const StoreCore& core, const Digest& blob);

struct KeptBlob {
  enum class State {
    absent,
    right,
    wrong,       ///< it has another digest, or is no file
    misnamed,    ///< it is what its digest says, and the descriptor's size isn't
    unreadable,  ///< for now, perhaps
  };
  State state = State::absent;
  std::string what = {};     ///< is the matter with it, a clause; empty where nothing is
  FileDescriptor file = {};  ///< that was looked at
};
/// Reads it, but for VerifyLevel::quick, which looks at its size alone.
KeptBlob check_kept_blob(const StoreCore& core, const Descriptor& blob, const VerifyOptions& options);
/// Makes the directories that it needs.
void make_blob_rooms(const StoreCore& core, const Digest& blob);
void sync_blob_room(const StoreCore& core, const Digest& blob);

}  // namespace strata::detail
