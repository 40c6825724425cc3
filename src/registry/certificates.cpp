#include "registry/certificates.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"

#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>

#include <curl/curl.h>

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace strata::detail {
namespace {

namespace filesystem = boost::filesystem;
using filesystem::path;

constexpr std::size_t largest_certificate = 16U << 20;

path usual_folder(const std::string& registry) {
  std::vector<path> parents;
  if (const char* const home = std::getenv("HOME"); home != nullptr && *home == '/')
    parents.push_back(path(home) / ".config/containers/certs.d");
  parents.insert(parents.end(), {"/etc/containers/certs.d", "/etc/docker/certs.d"});
  for (const path& parent : parents) {
    boost::system::error_code failed;
    if (filesystem::is_directory(parent / registry, failed)) return parent / registry;
  }
  return {};
}

std::string content_of(const path& file) {
  const path whole = filesystem::canonical(file);  // certificates are often links
  auto text = read_small_file(AT_FDCWD, whole.native(), largest_certificate);
  return text ? *text + "\n" : std::string();
}

/// What curl would trust: a list of ours takes its place.
std::string system_authorities() {
  const curl_version_info_data* const info = ::curl_version_info(CURLVERSION_NOW);
  if (info->age < CURLVERSION_SEVENTH || info->cainfo == nullptr || !filesystem::exists(info->cainfo)) return {};
  return content_of(info->cainfo);
}

}  // namespace

Certificates find_certificates(const RegistryOptions& options, const std::string& registry) try {
  const path folder = options.certificates.empty() ? usual_folder(registry) : options.certificates;
  if (folder.empty()) return {};
  std::vector<path> files;
  for (const auto& entry : filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::ranges::sort(files);
  Certificates found;
  for (const path& file : files) {
    if (file.extension() == ".crt") found.authorities += content_of(file);
    if (file.extension() != ".cert" || !found.client.empty()) continue;
    found.client = file.native();
    found.client_key = path(file).replace_extension(".key").native();
    if (!filesystem::exists(found.client_key))
      throw_error(errc::not_found, "use", quoted(found.client), "its key is missing", "put it beside it, as NAME.key");
  }
  if (!found.authorities.empty()) found.authorities += system_authorities();
  return found;
} catch (const filesystem::filesystem_error& error) {
  throw Error(error.code(), "read", quoted(error.path1().native()));
}

}  // namespace strata::detail
