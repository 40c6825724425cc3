// What was legal but odd. Reading a layer never passes over such a thing in silence: it becomes an event in a Report,
// named by the rule in docs/semantics.md that decided. Conformance::strict turns each into an error.
#pragma once

#include <strata/export.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace strata {

/// How odd input is met: `compat` does what the rule says and reports it, `strict` refuses it.
enum class Conformance { compat, strict };

/// Whether the owners in a layer must be honoured.
enum class Owners {
  keep,    ///< each file gets its numeric owner; one that this process can't give is an error that names it
  squash,  ///< where it can't be given, the file stays the caller's, and is reported
};

/// How the end of the layer must be known (docs/semantics.md, A23).
enum class EndOfLayer {
  proven,  ///< by the tar's end marker, by the end of a compressed stream, or by an expected digest; else it may be a
           ///< truncated file, and is refused
  any,     ///< a plain tar that just stops after a whole entry is taken, and reported
};

struct Event {
  std::string rule;    ///< "A17", "D11"; "tar", "gzip", "zstd" for the formats' own oddities
  std::string path;    ///< bytes of the name as in the archive; empty where the whole stream is meant
  std::string action;  ///< what was found and done, one clause
};

/// The events of one call, in order. Keeps the first of them, at most `capacity` with `text_capacity` bytes of text,
/// and counts all, so that a hostile layer can't fill memory. Not thread safe.
class STRATA_API Report {
 public:
  static constexpr std::size_t capacity = 4096;
  static constexpr std::size_t text_capacity = 1 << 20;

  void add(std::string rule, std::string path, std::string action);
  void append(const Report& other);
  const std::vector<Event>& events() const noexcept { return events_; }
  /// All events, those not kept included.
  std::uint64_t total() const noexcept { return total_; }
  bool empty() const noexcept { return total_ == 0; }

 private:
  std::vector<Event> events_;
  std::size_t text_ = 0;  // bytes in them
  std::uint64_t total_ = 0;
};

}  // namespace strata
