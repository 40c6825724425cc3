// One blob's upload (distribution-spec, "Pushing Blobs").
#pragma once

#include <strata/image.hpp>
#include <strata/progress.hpp>
#include <strata/transport/registry.hpp>

#include "registry/endpoint.hpp"
#include "registry/upload_source.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace strata::detail {

/// Used once, by one thread. What is passed outlives it.
class Upload {
 public:
  Upload(Endpoint& endpoint, const Descriptor& blob, std::uint64_t chunk, std::string shown);

  /// Begins one, sends the blob, and has it stored. Where it fails, but for the network, or by being cancelled, the
  /// registry is told to forget what came.
  void run(ByteSource& source, const Control& control);

 private:
  void send_all(UploadSource& source, const std::stop_token& stop);
  void begin(const std::stop_token& stop);
  void send_part(UploadSource& source, const std::stop_token& stop);
  void commit(const std::stop_token& stop);
  bool take_up(UploadSource& source, const std::stop_token& stop);
  bool has_it(const std::stop_token& stop);
  void take_location(const HttpTransfer& answer);
  void expect_digest(const HttpTransfer& answer) const;
  void forget(const std::stop_token& stop) noexcept;
  RegistryRequest request(std::string method) const;

  Endpoint& endpoint_;
  const Descriptor& blob_;
  std::uint64_t chunk_;
  std::string shown_;
  std::optional<Url> at_;  ///< where the registry has it, until it is stored
  Retries retries_;
};

/// What a request needs to write to a repository.
std::vector<std::string> push_scopes(const Endpoint& endpoint);

}  // namespace strata::detail
