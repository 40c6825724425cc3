#include "registry/blob_reader.hpp"

#include <strata/error.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace strata::detail {

BlobReader::BlobReader(std::shared_ptr<const Registry> registry, Descriptor blob, std::uint64_t offset,
                       std::stop_token stop)
    : registry_(std::move(registry)),
      blob_(std::move(blob)),
      offset_(std::min(offset, blob_.size)),
      position_(offset_),
      stop_(std::move(stop)),
      subject_("blob " + blob_.digest.to_string() + " of " + registry_->shown()),
      retries_(std::make_unique<Retries>(registry_->place(0).retries())) {}

void BlobReader::open() {
  for (;;) {
    try {
      return open_at_place();
    } catch (const BrokenTransfer& error) {
      broke(error);
    } catch (const Error& error) {
      next_place(error);
    }
  }
}

void BlobReader::open_at_place() {
  Endpoint& endpoint = registry_->place(place_);
  // Asked for anew each time, and not where the last answer redirected to: such URLs expire.
  for (;;) {
    RegistryRequest request{.path = "/blobs/" + blob_.digest.to_string(), .operation = "read", .subject = subject_};
    if (position_ > 0 && ranges_) request.headers.push_back("Range: bytes=" + std::to_string(position_) + "-");
    transfer_ = endpoint.send(request, *retries_, stop_);
    const int status = transfer_->status();
    if (status == 200 || (status == 206 && ranges_ && position_ > 0)) {
      if (takes_up(*transfer_)) return;
    } else if (status != 416 || !ranges_ || position_ == 0) {
      endpoint.refuse(*transfer_, request);
    }
    ranges_ = false;
  }
}

/// Whether the answer goes on at the position, or was brought there.
bool BlobReader::takes_up(HttpTransfer& answer) {
  if (answer.status() == 206) {
    const auto range = parse_content_range(answer.headers().find("content-range").value_or(""));
    if (!range || range->first != position_ || (range->size && *range->size != blob_.size)) return false;
    // One that has a part only is read over from the beginning.
    if (const auto length = answer.size(); length && *length != blob_.size - position_) return false;
    return true;
  }
  check_length(answer, 0);
  read_over(position_);
  return true;
}

void BlobReader::check_length(const HttpTransfer& answer, std::uint64_t from) const {
  const auto length = answer.size();
  if (!length || *length == blob_.size - from) return;
  throw_error(errc::digest_mismatch, "read", subject_,
              answer.url().shown() + " has " + std::to_string(*length) + " bytes, where " +
                  std::to_string(blob_.size - from) + " are expected");
}

void BlobReader::read_over(std::uint64_t size) {
  std::array<std::byte, 65536> block;
  while (size > 0) {
    const std::size_t read =
        transfer_->read(std::span(block).first(static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), size))));
    if (read == 0)
      throw BrokenTransfer({ECONNRESET, boost::system::system_category()}, "read", subject_,
                           transfer_->url().shown() + " ended early");
    size -= read;
  }
}

std::size_t BlobReader::read(std::span<std::byte> into) {
  if (stop_.stop_requested()) throw_error(errc::cancelled, "read", subject_);
  while (position_ < blob_.size) {
    try {
      if (!transfer_) open_at_place();
      const std::uint64_t left = blob_.size - position_;
      const std::size_t size =
          transfer_->read(into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left))));
      if (size == 0)
        throw BrokenTransfer({ECONNRESET, boost::system::system_category()}, "read", subject_,
                             transfer_->url().shown() + " ended after " + std::to_string(position_) + " of " +
                                 std::to_string(blob_.size) + " bytes");
      position_ += size;
      retries_->made_headway();
      if (position_ == blob_.size) expect_end();
      return size;
    } catch (const BrokenTransfer& error) {
      broke(error);
    } catch (const Error& error) {
      if (position_ == blob_.size) throw;
      next_place(error);
    }
  }
  return 0;
}

/// A length that was told is one that was checked.
void BlobReader::expect_end() {
  const auto transfer = std::exchange(transfer_, nullptr);
  if (transfer->size()) return;
  std::array<std::byte, 1> more;
  try {
    if (transfer->read(more) == 0) return;
  } catch (const BrokenTransfer&) {
    return;  // all that is wanted came
  }
  throw_error(errc::digest_mismatch, "read", subject_,
              transfer->url().shown() + " has more than " + std::to_string(blob_.size) + " bytes");
}

void BlobReader::broke(const Error& error) {
  transfer_.reset();
  if (!retries_->left()) return next_place(error);
  retries_->wait(error.what(), {}, stop_);
}

/// Throws the error that is being handled where there is none.
void BlobReader::next_place(const Error& error) {
  transfer_.reset();
  if (place_ + 1 == registry_->places() || error.code() == errc::cancelled) throw;
  registry_->tell(error);
  retries_ = std::make_unique<Retries>(registry_->place(++place_).retries());
  ranges_ = true;
}

}  // namespace strata::detail
