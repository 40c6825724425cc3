// What no message may show.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// Base64 (RFC 4648) with padding.
std::string base64(std::string_view text);
/// nullopt where it is none. Padding may be absent.
std::optional<std::string> from_base64(std::string_view text);

/// Texts that a server may have been told, and may repeat in its errors. For any number of threads.
class Secrets {
 public:
  void add(const std::string& secret);
  /// `text` with "[secret]" in the place of each.
  std::string hidden(std::string text) const;

 private:
  void keep(const std::string& secret);

  mutable std::mutex mutex_;
  std::vector<std::string> secrets_;
};

}  // namespace strata::detail
