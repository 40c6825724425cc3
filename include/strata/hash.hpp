// The hash policies, and AnyHash, which holds one of them where no template can reach.
#pragma once

#include <strata/concepts.hpp>
#include <strata/digest.hpp>
#include <strata/export.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace strata {

namespace detail {
/// An OpenSSL EVP_MD_CTX; hidden, so that hosts need no OpenSSL header.
class STRATA_API EvpHash {
 public:
  void update(std::span<const std::byte> bytes);
  void finish(std::span<std::byte> out);

 protected:
  explicit EvpHash(const char* algorithm);
  EvpHash(EvpHash&&) noexcept = default;
  EvpHash& operator=(EvpHash&&) noexcept = default;
  ~EvpHash() = default;

 private:
  struct Free {
    void operator()(void* context) const noexcept;
  };
  std::unique_ptr<void, Free> context_;
};
}  // namespace detail

/// SHA-256 (FIPS 180-4) by OpenSSL, with the CPU's instructions where it has them. The default, and what the OCI
/// image spec requires everyone to read.
class STRATA_API Sha256 : public detail::EvpHash {
 public:
  static constexpr std::string_view name = "sha256";
  static constexpr std::size_t digest_size = 32;
  static constexpr bool content_naming = true;
  Sha256() : EvpHash("SHA256") {}
};

/// SHA-512 (FIPS 180-4) by OpenSSL; the other algorithm that the OCI image spec registers.
class STRATA_API Sha512 : public detail::EvpHash {
 public:
  static constexpr std::string_view name = "sha512";
  static constexpr std::size_t digest_size = 64;
  static constexpr bool content_naming = true;
  Sha512() : EvpHash("SHA512") {}
};

/// XXH3, 128 bits (xxHash 0.8). Ten times faster than SHA-256 and no content hash: whoever chooses the input can make
/// two with one digest. For finding accidental damage and candidates that a byte comparison decides.
class STRATA_API Xxh3 {
 public:
  static constexpr std::string_view name = "xxh3";
  static constexpr std::size_t digest_size = 16;
  static constexpr bool content_naming = false;
  Xxh3();
  void update(std::span<const std::byte> bytes);
  void finish(std::span<std::byte> out);

 private:
  struct Free {
    void operator()(void* state) const noexcept;
  };
  std::unique_ptr<void, Free> state_;
};

static_assert(ContentHash<Sha256> && ContentHash<Sha512>);
static_assert(HashAlgorithm<Xxh3> && !ContentHash<Xxh3>);

/// The digest of some bytes, in one call.
template <HashAlgorithm Hash>
Digest digest_of(std::span<const std::byte> bytes) {
  Hash hash;
  hash.update(bytes);
  std::byte out[Hash::digest_size];
  hash.finish(out);
  return Digest(Hash::name, out);
}
template <HashAlgorithm Hash>
Digest digest_of(std::string_view text) {
  return digest_of<Hash>(std::as_bytes(std::span(text.data(), text.size())));
}

/// A running hash of a kind chosen at run time. Movable; used by one thread at a time.
class STRATA_API AnyHash {
 public:
  template <HashAlgorithm Hash>
  static AnyHash of() {
    return AnyHash(std::make_unique<Model<Hash>>());
  }
  void update(std::span<const std::byte> bytes) { held_->update(bytes); }
  /// Ends the hash.
  Digest finish() { return held_->finish(); }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual void update(std::span<const std::byte> bytes) = 0;
    virtual Digest finish() = 0;
  };
  template <class Hash>
  struct Model final : Interface {
    void update(std::span<const std::byte> bytes) override { hash.update(bytes); }
    Digest finish() override {
      std::byte out[Hash::digest_size];
      hash.finish(out);
      return Digest(Hash::name, out);
    }
    Hash hash;
  };
  explicit AnyHash(std::unique_ptr<Interface> held) : held_(std::move(held)) {}
  std::unique_ptr<Interface> held_;
};

/// A hash policy as a value: its name, and how to start one. What a template hands to compiled code.
struct HashPolicy {
  std::string_view name;
  std::size_t digest_size;
  AnyHash (*start)();

  template <HashAlgorithm Hash>
  static HashPolicy of() {
    return {Hash::name, Hash::digest_size, &AnyHash::of<Hash>};
  }
};

}  // namespace strata
