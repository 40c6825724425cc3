// The compiled halves of the filters: buffers between a Transformer and what Boost.Iostreams hands in. They are made
// with the first byte, since a filter is often made and never used.
#include <strata/compression.hpp>

namespace strata::detail {
namespace {
constexpr std::size_t buffer_size = 64 * 1024;
}

struct CompressingFilter::State {
  explicit State(std::unique_ptr<Transformer> transformer) : encoder(std::move(transformer)) {}
  std::unique_ptr<Transformer> encoder;
  std::unique_ptr<std::byte[]> buffer;
  bool ended = false;
};

CompressingFilter::CompressingFilter(std::unique_ptr<Transformer> encoder)
    : state_(std::make_shared<State>(std::move(encoder))) {}

void CompressingFilter::pump(const char* bytes, std::size_t size, bool last,
                             const std::function<void(const char*, std::size_t)>& out) {
  State& state = *state_;
  if (!state.buffer) state.buffer = std::make_unique_for_overwrite<std::byte[]>(buffer_size);
  std::span input = std::as_bytes(std::span(bytes, size));
  if (state.ended && size != 0) throw_error(errc::bad_argument, "write", "a compressed stream", "it is ended");
  std::size_t produced = buffer_size;
  // A buffer that was filled may hold back more.
  while (!state.ended && (!input.empty() || last || produced == buffer_size)) {
    const auto step = state.encoder->step(input, {state.buffer.get(), buffer_size}, last);
    input = input.subspan(step.consumed);
    produced = step.produced;
    state.ended = step.ended;
    if (produced != 0) out(reinterpret_cast<const char*>(state.buffer.get()), produced);
  }
}

struct DecompressingFilter::State {
  explicit State(std::unique_ptr<Transformer> transformer) : decoder(std::move(transformer)) {}
  std::unique_ptr<Transformer> decoder;
  std::unique_ptr<std::byte[]> buffer;
  std::span<const std::byte> input;  ///< what of the buffer has not been decoded
  bool last = false;                 ///< nothing comes after `input`
  bool ended = false;
};

DecompressingFilter::DecompressingFilter(std::unique_ptr<Transformer> decoder)
    : state_(std::make_shared<State>(std::move(decoder))) {}

std::uint64_t DecompressingFilter::trailing_bytes() const { return state_->decoder->trailing_bytes(); }

std::streamsize DecompressingFilter::pump(char* into, std::size_t size,
                                          const std::function<std::streamsize(char*, std::size_t)>& in) {
  State& state = *state_;
  if (!state.buffer) state.buffer = std::make_unique_for_overwrite<std::byte[]>(buffer_size);
  std::span output = std::as_writable_bytes(std::span(into, size));
  while (!state.ended && !output.empty()) {
    const auto step = state.decoder->step(state.input, output, state.last);
    state.input = state.input.subspan(step.consumed);
    output = output.subspan(step.produced);
    state.ended = step.ended;
    if (state.ended || output.empty() || state.last) continue;
    const std::streamsize n = in(reinterpret_cast<char*>(state.buffer.get()), buffer_size);
    state.last = n < 0;
    state.input = {state.buffer.get(), n < 0 ? 0 : static_cast<std::size_t>(n)};
  }
  const auto produced = static_cast<std::streamsize>(size - output.size());
  return produced == 0 && state.ended ? -1 : produced;
}

}  // namespace strata::detail
