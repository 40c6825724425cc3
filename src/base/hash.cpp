#include <strata/error.hpp>
#include <strata/hash.hpp>

#include <openssl/evp.h>
#include <xxhash.h>

#include <cstring>
#include <new>
#include <string>

namespace strata {
namespace {

/// Fetched once and kept: OpenSSL 3 would look it up, under a lock, for each context otherwise.
const EVP_MD* algorithm_named(std::string_view name) {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static const EVP_MD* const sha512 = EVP_MD_fetch(nullptr, "SHA512", nullptr);
  return name == "SHA256" ? sha256 : sha512;
}

[[noreturn]] void throw_openssl(const char* operation) {
  throw_error(errc::unsupported, operation, "a digest", "OpenSSL refused", "see its configuration (openssl.cnf)");
}

void check_size(std::size_t given, std::size_t needed) {
  if (given != needed)
    throw_error(errc::bad_argument, "finish", "a digest",
                std::to_string(given) + " bytes of room, needed are " + std::to_string(needed));
}

EVP_MD_CTX* evp(void* context) { return static_cast<EVP_MD_CTX*>(context); }
XXH3_state_t* xxh3(void* state) { return static_cast<XXH3_state_t*>(state); }

}  // namespace

namespace detail {

EvpHash::EvpHash(const char* algorithm) : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr) throw std::bad_alloc();
  if (EVP_DigestInit_ex(evp(context_.get()), algorithm_named(algorithm), nullptr) != 1) throw_openssl("start");
}

void EvpHash::update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(evp(context_.get()), bytes.data(), bytes.size()) != 1) throw_openssl("compute");
}

void EvpHash::finish(std::span<std::byte> out) {
  check_size(out.size(), static_cast<std::size_t>(EVP_MD_CTX_get_size(evp(context_.get()))));
  if (EVP_DigestFinal_ex(evp(context_.get()), reinterpret_cast<unsigned char*>(out.data()), nullptr) != 1)
    throw_openssl("finish");
}

void EvpHash::Free::operator()(void* context) const noexcept { EVP_MD_CTX_free(evp(context)); }

}  // namespace detail

Xxh3::Xxh3() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH3_128bits_reset(xxh3(state_.get()));
}

void Xxh3::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(xxh3(state_.get()), bytes.data(), bytes.size());
}

void Xxh3::finish(std::span<std::byte> out) {
  check_size(out.size(), digest_size);
  XXH128_canonical_t canonical;  // big-endian: what xxhsum -H2 prints
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(xxh3(state_.get())));
  static_assert(sizeof canonical.digest == digest_size);
  std::memcpy(out.data(), canonical.digest, digest_size);
}

void Xxh3::Free::operator()(void* state) const noexcept { XXH3_freeState(xxh3(state)); }

}  // namespace strata
