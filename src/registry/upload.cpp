#include "registry/upload.hpp"

#include <strata/error.hpp>

#include "registry/answers.hpp"

#include <algorithm>
#include <utility>

namespace strata::detail {
namespace {

/// What an answer that may pass is as an error: the upload is looked at before it goes on.
void throw_passing(const HttpTransfer& answer, const RegistryRequest& request) {
  if (is_passing(answer.status()))
    throw BrokenTransfer({answer.status() == 429 ? EAGAIN : EREMOTEIO, boost::system::system_category()},
                         request.operation, request.subject, status_text(answer));
}

}  // namespace

std::vector<std::string> push_scopes(const Endpoint& endpoint) {
  return {"repository:" + endpoint.repository() + ":pull,push"};
}

Upload::Upload(Endpoint& endpoint, const Descriptor& blob, std::uint64_t chunk, std::string shown)
    : endpoint_(endpoint), blob_(blob), chunk_(chunk), shown_(std::move(shown)), retries_(endpoint.retries()) {}

RegistryRequest Upload::request(std::string method) const {
  return {.method = std::move(method),
          .url = at_,
          .scopes = push_scopes(endpoint_),
          .operation = "send",
          .subject = "blob " + blob_.digest.to_string() + " to " + shown_};
}

void Upload::run(ByteSource& source, const Control& control) {
  UploadSource bytes(blob_, source, control);
  try {
    for (;;) {
      try {
        return send_all(bytes, control.stop);
      } catch (const BrokenTransfer& error) {
        if (!retries_.left()) throw;
        retries_.wait(error.what(), {}, control.stop);
        if (has_it(control.stop)) {  // the answer was lost, no more
          at_.reset();
          return;
        }
        if (!take_up(bytes, control.stop)) throw;
      }
    }
  } catch (const BrokenTransfer&) {
    throw;  // nobody is there to be told
  } catch (...) {
    // Who cancelled doesn't wait: a registry forgets by itself, some day.
    if (!control.stop.stop_requested()) forget(control.stop);
    throw;
  }
}

void Upload::send_all(UploadSource& source, const std::stop_token& stop) {
  if (!at_) begin(stop);
  while (source.position() < blob_.size) {
    send_part(source, stop);
    if (!at_) return;
  }
  commit(stop);
}

void Upload::begin(const std::stop_token& stop) {
  RegistryRequest post = request("POST");
  post.path = "/blobs/uploads/";
  post.headers = {"Content-Type:"};  // curl's own is that of a form
  const auto answer = endpoint_.send(post, retries_, stop);
  if (answer->status() != 202) endpoint_.refuse(*answer, post);
  take_location(*answer);
  if (chunk_ != 0) chunk_ = std::max(chunk_, answer->headers().number("oci-chunk-min-length").value_or(0));
}

/// From where the source stands: all in the request that also stores it, or a chunk.
void Upload::send_part(UploadSource& source, const std::stop_token& stop) {
  const std::uint64_t from = source.position(), left = blob_.size - from;
  const std::uint64_t size = chunk_ == 0 ? left : std::min(chunk_, left);
  // A part of an upload is a PATCH: not every registry takes one with the PUT.
  const bool whole = size == blob_.size;
  RegistryRequest part = request(whole ? "PUT" : "PATCH");
  if (whole) part.url = at_->with("digest", blob_.digest.to_string());
  part.headers = {"Content-Type: application/octet-stream"};
  if (!whole) part.headers.push_back("Content-Range: " + std::to_string(from) + "-" + std::to_string(from + size - 1));
  part.body_size = size;
  part.body = [&]() -> ByteSource* { return source.go_to(from) ? &source : nullptr; };
  Retries none = endpoint_.no_retries();
  const auto answer = endpoint_.send(part, none, stop);
  throw_passing(*answer, part);
  if (answer->status() != (whole ? 201 : 202)) endpoint_.refuse(*answer, part);
  if (whole) {
    retries_.made_headway();
    expect_digest(*answer);
    at_.reset();
    return;
  }
  take_location(*answer);
  const auto range = answer->headers().find("range");
  const auto has = range ? parse_upload_range(*range) : std::nullopt;
  // It counts as an attempt: else one that never gets further would be sent to for ever.
  if (has && *has <= from)
    throw BrokenTransfer({ECONNRESET, boost::system::system_category()}, part.operation, part.subject,
                         answer->url().shown() + " has taken nothing of what was sent");
  retries_.made_headway();
  if (has && *has != from + size && !source.go_to(*has))
    throw_error(errc::bad_archive, part.operation, part.subject,
                "it has " + std::to_string(*has) + " bytes, where " + std::to_string(from + size) + " were sent");
}

void Upload::commit(const std::stop_token& stop) {
  RegistryRequest put = request("PUT");
  put.url = at_->with("digest", blob_.digest.to_string());
  put.headers = {"Content-Type: application/octet-stream"};
  Retries none = endpoint_.no_retries();
  const auto answer = endpoint_.send(put, none, stop);
  throw_passing(*answer, put);
  if (answer->status() != 201) endpoint_.refuse(*answer, put);
  expect_digest(*answer);
  at_.reset();
}

/// After a break: where the registry is, or a new beginning; false where the source can't go back to either.
bool Upload::take_up(UploadSource& source, const std::stop_token& stop) {
  if (at_) {
    const RegistryRequest get = request("GET");
    const auto answer = endpoint_.send(get, retries_, stop);
    const auto range = answer->headers().find("range");
    const auto has = range ? parse_upload_range(*range) : std::nullopt;
    if (answer->status() / 100 == 2 && has && source.go_to(*has)) {
      take_location(*answer);
      return true;
    }
    forget(stop);
  }
  return source.go_to(0);
}

bool Upload::has_it(const std::stop_token& stop) {
  RegistryRequest head = request("HEAD");
  head.url.reset();
  head.path = "/blobs/" + blob_.digest.to_string();
  return endpoint_.send(head, retries_, stop)->status() == 200;
}

void Upload::take_location(const HttpTransfer& answer) {
  const auto location = answer.headers().find("location");
  if (!location)
    throw_error(errc::bad_archive, "send", "blob " + blob_.digest.to_string() + " to " + shown_,
                answer.url().shown() + " doesn't say where to");
  at_ = endpoint_.led_to(answer.url(), *location, request("POST"));
}

void Upload::expect_digest(const HttpTransfer& answer) const {
  const auto said = answer.headers().find("docker-content-digest");
  if (said && *said != blob_.digest.to_string())
    throw_error(errc::digest_mismatch, "send", "blob " + blob_.digest.to_string() + " to " + shown_,
                "it says that it has stored " + quoted(*said));
}

void Upload::forget(const std::stop_token& stop) noexcept {
  if (!at_) return;
  try {
    const RegistryRequest request = this->request("DELETE");
    at_.reset();
    Retries none = endpoint_.no_retries();
    endpoint_.send(request, none, stop);
  } catch (const std::exception&) {  // what made us give up is what is told
  }
}

}  // namespace strata::detail
