#include "transport/new_archive.hpp"

#include <strata/error.hpp>
#include <strata/tar.hpp>

#include "base/files.hpp"
#include "sys.hpp"
#include "tar/header.hpp"
#include "tree/directory.hpp"

#include <boost/filesystem/operations.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace strata::detail {

namespace {

constexpr std::uint64_t largest_octal = 077777777777;

struct ContentSink final : ByteSink {
  explicit ContentSink(TarWriter& the_tar) : tar(the_tar) {}
  void write(std::span<const std::byte> bytes) override { tar.content(bytes); }
  TarWriter& tar;
};

struct CountingSink final : ByteSink {
  explicit CountingSink(ByteSink& sink) : to(sink) {}
  void write(std::span<const std::byte> bytes) override {
    to.write(bytes);
    size += bytes.size();
  }
  ByteSink& to;
  std::uint64_t size = 0;
};

TarEntry member(const std::string& name, std::uint64_t size) {
  TarEntry entry;
  entry.path = name;
  entry.mode = 0644;
  entry.size = size;
  entry.stored_size = size;
  return entry;
}

/// A header of one block, whatever the size: one beyond octal digits is in base 256, where a PAX header before it would
/// have no room.
std::string one_block_header(const std::string& name, std::uint64_t size) {
  MemorySink sink;
  TarWriter(sink).add(member(name, std::min(size, largest_octal)));
  std::array<char, tar_block> block{};
  if (sink.text().size() != block.size())
    throw_error(errc::bad_argument, "write the tar entry", quoted(name), "its name is too long");
  std::ranges::copy(sink.text(), block.begin());
  if (size > largest_octal) {
    for (std::size_t i = 0; i < field::size.size; ++i)
      block[field::size.offset + field::size.size - 1 - i] = static_cast<char>(i < 8 ? size >> (8 * i) & 0xff : 0);
    block[field::size.offset] = '\x80';
    put_checksum(block);
  }
  return {block.data(), block.size()};
}

}  // namespace

NewArchive::NewArchive(const boost::filesystem::path& asked) : shown_(quoted(asked.native())) {
  namespace fs = boost::filesystem;
  fs::path file = asked;
  // What a link leads to is what is written anew: the link itself may be /dev/stdout.
  boost::system::error_code error;
  if (fs::is_symlink(fs::symlink_status(asked, error))) {
    if (!fs::is_regular_file(fs::status(asked, error)))
      throw_error(errc::bad_argument, "write the archive", shown_, "it is a link to what is no regular file");
    file = fs::canonical(asked);
  }
  name_ = file.filename().native();
  if (name_.empty() || name_ == "." || name_ == "..")
    throw_error(errc::bad_argument, "write the archive", shown_, "it names a directory");
  directory_ = open_directory(file.has_parent_path() ? file.parent_path() : boost::filesystem::path("."));
  if (const auto there = try_stat(directory_.get(), name_, shown_); there && !there->is_file())
    throw_error(errc::bad_argument, "write the archive", shown_, "something is there that is no regular file");
  file_.emplace(directory_.get(), shown_);
}

void NewArchive::undo_if_thrown(const std::function<void()>& work) {
  try {
    work();
  } catch (...) {
    file_->resize(end_);
    throw;
  }
}

void NewArchive::add_directory(const std::string& name) {
  undo_if_thrown([&] {
    TarWriter tar(*file_);
    TarEntry entry;
    entry.path = name;
    entry.type = TarType::directory;
    entry.mode = 0755;
    tar.add(entry);
    end_ += tar.offset();
  });
}

void NewArchive::add(const std::string& name, std::string_view content) {
  add(name, content.size(), [&](ByteSink& to) { to.write(std::as_bytes(std::span(content.data(), content.size()))); });
}

void NewArchive::add(const std::string& name, std::uint64_t size, const Content& content) {
  undo_if_thrown([&] {
    TarWriter tar(*file_);
    tar.add(member(name, size));
    ContentSink sink(tar);
    content(sink);
    end_ += tar.offset();
  });
}

void NewArchive::add_unsized(const std::function<std::string(ByteSink& to)>& content) {
  undo_if_thrown([&] {
    file_->resize(end_ + tar_block);
    CountingSink sink(*file_);
    const std::string name = content(sink);
    file_->write_at(end_, one_block_header(name, sink.size));
    const std::uint64_t end = end_ + tar_block + sink.size;
    const std::uint64_t padded = (end + tar_block - 1) / tar_block * tar_block;
    file_->resize(padded);
    end_ = padded;
  });
}

void NewArchive::finish() {
  TarWriter(*file_).finish();
  file_->publish(directory_.get(), name_);
  sync_directory(directory_.get(), shown_);
}

}  // namespace strata::detail
