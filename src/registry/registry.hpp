// A repository of a registry, with its mirrors: what sources and sinks share.
#pragma once

#include <strata/transport/registry.hpp>

#include "registry/endpoint.hpp"

#include <cstddef>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::detail {

/// For any number of threads.
class Registry {
 public:
  /// `reading`: mirrors are asked first.
  Registry(const ImageReference& reference, RegistryOptions options, bool reading);

  const RegistryOptions& options() const { return options_; }
  /// "'docker.io/library/debian'"
  const std::string& shown() const { return shown_; }
  std::size_t places() const { return endpoints_.size(); }
  Endpoint& place(std::size_t number) const { return *endpoints_[number]; }
  Endpoint& itself() const { return *endpoints_.back(); }

  /// What `work` makes of the first place that has it. The error of the last place counts.
  template <class Work>
  auto from_any(Work work) const {
    for (std::size_t number = 0;; ++number) {
      try {
        return work(place(number));
      } catch (const Error& error) {
        if (number + 1 == places() || error.code() == errc::cancelled) throw;
        tell(error);
      }
    }
  }
  /// on_retry is told that a mirror failed.
  void tell(const Error& error) const;

 private:
  RegistryOptions options_;
  std::string shown_;
  HttpClient http_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
};

/// The header without which registries know no manifest but those of docker.
std::string accept_manifests();

/// A document by tag or digest. It is checked where the reference is a digest, or the answer has one.
Document fetch_manifest(const Registry& registry, Endpoint& endpoint, const std::string& wanted,
                        const std::stop_token& stop);

/// The tag under which referrers of a subject are listed where a registry has no such list (distribution-spec,
/// "Referrers Tag Schema").
std::string referrers_tag(const Digest& subject);

}  // namespace strata::detail
