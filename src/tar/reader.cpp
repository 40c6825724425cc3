#include "tar/entry_decoder.hpp"
#include "tar/header.hpp"
#include "tar/input.hpp"
#include "tar/malformed.hpp"
#include "tar/pax.hpp"

#include <algorithm>
#include <utility>

namespace strata {

using detail::HeaderBlock;
using detail::Malformed;

struct TarReader::Impl {
  Impl(ByteSource& source, TarLimits the_limits) : input(source), limits(the_limits), decoder(entry, the_limits) {}

  bool advance();
  bool pass_rest_of_entry();
  void read_extension(const HeaderBlock& header);
  void note_global(std::string name);
  void read_entry(const HeaderBlock& header);
  void read_sparse_extension_blocks();
  void read_sparse_text();
  void end_marker();
  bool ended_as(TarEnd how);
  void note(std::string action);
  [[noreturn]] void fail(const Malformed& malformed) const;

  detail::ArchiveInput input;
  TarLimits limits;
  Report* report = nullptr;
  TarEntry entry;
  detail::EntryDecoder decoder;
  std::string payload;
  std::uint64_t content_left = 0;
  std::uint64_t padding_left = 0;
  std::uint64_t entry_offset = 0;
  std::uint64_t entries = 0;
  std::uint64_t reading = 0;  ///< ordinal of the entry that messages mean
  TarEnd end = TarEnd::unmarked;
  bool ended = false;
};

void TarReader::Impl::note(std::string action) {
  if (report != nullptr) report->add("tar", entry.path, std::move(action));
}

void TarReader::Impl::fail(const Malformed& malformed) const {
  std::string subject = "entry " + std::to_string(reading);
  if (!entry.path.empty()) subject += " (" + quoted(entry.path) + ")";
  subject += " at offset " + std::to_string(entry_offset) + " of " + input.source().name();
  throw_error(malformed.code, "read", std::move(subject), malformed.detail);
}

/// False where the archive ends in the padding.
bool TarReader::Impl::pass_rest_of_entry() {
  while (content_left != 0) {
    const auto bytes = input.peek();
    if (bytes.empty()) throw Malformed{"the archive ends in the middle of its content"};
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), content_left));
    content_left -= part;
    input.take_skipped(part);
  }
  const std::uint64_t padding = std::exchange(padding_left, 0);
  return input.pass_structure(padding) == padding;
}

bool TarReader::Impl::ended_as(TarEnd how) {
  ended = true;
  end = how;
  if (decoder.has_extensions()) note("an extension header with no entry after it is left out");
  switch (how) {
    case TarEnd::marked:
      break;
    case TarEnd::half:
      note("the archive ends with one block of zeros instead of two");
      break;
    case TarEnd::unmarked:
      note("the archive ends without an end marker");
      break;
    case TarEnd::cut:
      note("the archive ends in the padding of its last entry");
      break;
  }
  return false;
}

bool TarReader::Impl::advance() {
  if (ended) return false;
  reading = entries;
  if (!pass_rest_of_entry()) {
    entry.path.clear();
    return ended_as(TarEnd::cut);
  }
  entry.path.clear();
  entry.global_headers.clear();
  reading = entries + 1;
  decoder.clear();
  for (;;) {
    if (!decoder.has_extensions()) entry_offset = input.offset();
    const auto block = input.peek_block();
    if (block.empty()) return ended_as(TarEnd::unmarked);
    if (block.size() < tar_block) throw Malformed{"the archive ends in the middle of a header"};
    const HeaderBlock header(block.first<tar_block>());
    if (header.is_zero()) {
      end_marker();
      return false;
    }
    switch (header.checksum()) {
      case HeaderBlock::Checksum::wrong:
        throw Malformed{"its header checksum is wrong"};
      case HeaderBlock::Checksum::as_signed:
        note("its header checksum is made of signed bytes, as some old tars did");
        break;
      case HeaderBlock::Checksum::right:
        break;
    }
    switch (header.type()) {
      case 'x':
      case 'X':
      case 'g':
      case 'L':
      case 'K':
      case 'V':
        read_extension(header);
        break;
      default:
        read_entry(header);
        ++entries;
        return true;
    }
  }
}

void TarReader::Impl::end_marker() {
  input.take_structure(tar_block);
  const auto second = input.peek_block();
  if (second.empty()) {
    ended_as(TarEnd::half);
    return;
  }
  if (second.size() < tar_block) throw Malformed{"the archive ends in the middle of its end marker"};
  if (!HeaderBlock(second.first<tar_block>()).is_zero()) {
    throw Malformed{"a block of zeros stands before it, where only an end may follow"};
  }
  input.take_structure(tar_block);
  ended_as(TarEnd::marked);
  bool blank = true;
  for (auto rest = input.peek(); !rest.empty(); rest = input.peek()) {
    blank = blank && std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; });
    input.take_structure(rest.size());
  }
  if (!blank) note("what follows the end marker is not read");
}

void TarReader::Impl::read_extension(const HeaderBlock& header) {
  const char type = header.type();
  const std::uint64_t size = detail::content_size(header.number(detail::field::size));
  if (type != 'V' && size > limits.header_bytes) {
    throw Malformed{"an extension header of " + std::to_string(size) + " bytes is over the limit of " +
                        std::to_string(limits.header_bytes),
                    errc::limit_exceeded};
  }
  std::string name = type == 'g' ? header.path() : std::string();
  input.take_structure(tar_block);
  const Malformed cut{"the archive ends in the middle of an extension header"};
  payload.clear();
  if (type == 'V') {
    note("a volume label is left out");
    if (input.pass_structure(size) != size) throw cut;
  }
  // Grows with what arrives, never by what the header claims.
  while (type != 'V' && payload.size() < size) {
    const auto bytes = input.peek();
    if (bytes.empty()) throw cut;
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), size - payload.size()));
    payload.append(reinterpret_cast<const char*>(bytes.data()), part);
    input.take_structure(part);
  }
  if (input.pass_structure(detail::padding(size)) != detail::padding(size)) throw cut;
  if (type == 'V') return;
  decoder.report_to(report);
  if (type == 'g') note_global(std::move(name));
  decoder.extension(type, payload);
}

/// A path among its records is its own, as Go has it. Few are kept, since a stranger makes us keep them.
void TarReader::Impl::note_global(std::string name) {
  if (entry.global_headers.size() == 16) return;
  std::vector<detail::PaxRecord> records;
  detail::parse_pax(payload, records);
  for (const detail::PaxRecord& record : records)
    if (record.key == "path" && !record.value.empty()) name = record.value;
  entry.global_headers.push_back(std::move(name));
}

void TarReader::Impl::read_entry(const HeaderBlock& header) {
  decoder.report_to(report);
  const detail::Layout layout = decoder.decode(header);
  input.take_structure(tar_block);
  // What follows the header is one of these, then the content that is given, then padding.
  content_left = layout.size;
  padding_left = detail::padding(layout.size);
  switch (layout.before_content) {
    case detail::Layout::nothing:
      break;
    case detail::Layout::sparse_blocks:
      read_sparse_extension_blocks();
      break;
    case detail::Layout::sparse_text:
      read_sparse_text();
      break;
    case detail::Layout::listing:
      content_left = 0;
      if (input.pass_structure(layout.size) != layout.size) {
        throw Malformed{"the archive ends in the middle of its directory listing"};
      }
      break;
  }
  entry.stored_size = content_left;
  decoder.finish();
}

void TarReader::Impl::read_sparse_extension_blocks() {
  for (bool more = true; more;) {
    const auto block = input.peek_block();
    if (block.size() < tar_block) throw Malformed{"the archive ends in the middle of its sparse map"};
    const HeaderBlock table(block.first<tar_block>());
    decoder.sparse_map().add_table(table.raw(detail::field::extension_sparse));
    more = table.raw(detail::field::extension_extended).front() != '\0';
    input.take_structure(tar_block);
  }
}

void TarReader::Impl::read_sparse_text() {
  detail::SparseTextParser text(decoder.sparse_map());
  std::uint64_t taken = 0;
  const Malformed too_short{"its sparse map is longer than its content"};
  const Malformed cut{"the archive ends in the middle of its sparse map"};
  while (!text.done()) {
    if (taken == content_left) throw too_short;
    auto bytes = input.peek();
    if (bytes.empty()) throw cut;
    bytes = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), content_left - taken)));
    const std::size_t part = text.take(bytes);
    input.take_structure(part);
    taken += part;
  }
  const std::uint64_t rest = detail::padding(taken);
  if (rest > content_left - taken) throw too_short;
  if (input.pass_structure(rest) != rest) throw cut;
  content_left -= taken + rest;
}

TarReader::TarReader(ByteSource& source, TarLimits limits) : impl_(std::make_unique<Impl>(source, limits)) {}
TarReader::~TarReader() = default;
TarReader::TarReader(TarReader&&) noexcept = default;
TarReader& TarReader::operator=(TarReader&&) noexcept = default;

void TarReader::set_observer(RawObserver* observer) { impl_->input.set_observer(observer); }
void TarReader::set_report(Report* report) { impl_->report = report; }

const TarEntry* TarReader::next() {
  try {
    return impl_->advance() ? &impl_->entry : nullptr;
  } catch (const Malformed& malformed) {
    impl_->fail(malformed);
  }
}

std::span<const std::byte> TarReader::content() {
  Impl& impl = *impl_;
  if (impl.content_left == 0) return {};
  auto bytes = impl.input.peek();
  if (bytes.empty()) impl.fail({"the archive ends in the middle of its content"});
  bytes = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), impl.content_left)));
  impl.input.take_content(bytes.size());
  impl.content_left -= bytes.size();
  return bytes;
}

std::shared_ptr<const void> TarReader::content_owner() { return impl_->input.owner(); }
std::uint64_t TarReader::entry_offset() const { return impl_->entry_offset; }
std::uint64_t TarReader::offset() const { return impl_->input.offset(); }
std::uint64_t TarReader::entries() const { return impl_->entries; }
TarEnd TarReader::end() const { return impl_->end; }

}  // namespace strata
