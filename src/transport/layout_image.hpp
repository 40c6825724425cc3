// An image of an OCI layout, wherever its files are.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/image.hpp>

#include "transport/file_range.hpp"

#include <boost/filesystem/path.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace strata::detail {

/// What OciLayoutSource and OciArchiveSource share; their interface is its own.
class LayoutImage {
 public:
  /// `name`: what messages call it. `place`: the directory or file.
  LayoutImage(std::unique_ptr<const ImageFiles> files, std::string name, const boost::filesystem::path& place,
              const std::string& tag);

  const std::string& name() const { return name_; }
  std::string image_name() const;
  Document top(const std::stop_token& stop) const;
  Document document(const Descriptor& descriptor, const std::stop_token& stop) const;
  std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset, const std::stop_token& stop) const;

 private:
  FileRange find(const Descriptor& blob) const;
  std::string read(const std::string& path) const;

  std::unique_ptr<const ImageFiles> files_;
  std::string name_;
  std::string place_;                 ///< what the directory or file is called
  std::optional<Descriptor> chosen_;  ///< none: the layout's index itself
  Document index_;
};

}  // namespace strata::detail
