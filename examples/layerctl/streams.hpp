// The two ends of a layer on the command line: FILE or "-".
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/layer_store.hpp>

#include <boost/filesystem/path.hpp>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace layerctl {

/// A file to read a layer from; "-" is standard input, where waiting for bytes ends when `stop` is requested.
std::unique_ptr<strata::ByteSource> open_input(const std::string& name, std::stop_token stop);

/// A file to write a layer to; "-" is standard output, refused where that is a terminal. A regular file appears under
/// its name only when finish() returns: until then it is written beside it, and is removed where finish() is never
/// reached. Pipes and devices are written directly.
class Output final : public strata::ByteSink {
 public:
  explicit Output(const std::string& name, strata::Durability durability = strata::Durability::full);
  ~Output() override;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(std::span<const std::byte> bytes) override { sink_->write(bytes); }
  void finish() override;

 private:
  boost::filesystem::path final_, temporary_;
  strata::Durability durability_;
  int fd_ = -1;  // owned by sink_
  std::optional<strata::FileSink> sink_;
};

}  // namespace layerctl
