#include <strata/error.hpp>
#include <strata/image.hpp>

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace strata {

namespace {

struct Alias {
  std::string_view name, architecture, variant;
};

/// What uname(2), and people, call what Go calls otherwise.
constexpr std::array<Alias, 13> aliases = {{
    {"x86_64", "amd64", ""},
    {"x86-64", "amd64", ""},
    {"i386", "386", ""},
    {"i486", "386", ""},
    {"i586", "386", ""},
    {"i686", "386", ""},
    {"aarch64", "arm64", ""},
    {"armv8l", "arm", "v8"},
    {"armv7l", "arm", "v7"},
    {"armhf", "arm", "v7"},
    {"armv6l", "arm", "v6"},
    {"armel", "arm", "v6"},
    {"loongarch64", "loong64", ""},
}};

Platform normal(Platform platform) {
  const auto alias = std::ranges::find(aliases, std::string_view(platform.architecture), &Alias::name);
  if (alias != aliases.end()) {
    platform.architecture = alias->architecture;
    if (platform.variant.empty()) platform.variant = alias->variant;
  }
  return platform;
}

bool is_part(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  });
}

}  // namespace

Platform Platform::host() {
  utsname names{};
  if (::uname(&names) != 0) throw_errno(errno, "ask for", "the machine's architecture");
  return normal({.os = "linux", .architecture = names.machine});
}

Platform Platform::parse(std::string_view text) {
  std::array<std::string_view, 3> parts;
  std::size_t count = 0;
  for (std::string_view rest = text;; ++count) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (count == parts.size() || !is_part(part)) count = parts.size() + 1;
    if (count > parts.size()) break;
    parts[count] = part;
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (count == 0 || count >= parts.size())
    throw_error(errc::bad_argument, "use as a platform", quoted(text), "it isn't like linux/amd64 or linux/arm/v7");
  return normal({.os = std::string(parts[0]), .architecture = std::string(parts[1]), .variant = std::string(parts[2])});
}

std::string Platform::to_string() const {
  std::string text = os.empty() ? "unknown" : os;
  text += "/" + (architecture.empty() ? "unknown" : architecture);
  if (!variant.empty()) text += "/" + variant;
  if (!os_version.empty()) text += " " + os_version;
  return text;
}

namespace {

/// A higher one runs what is made for a lower one. Without a number: 0.
int level_of(const Platform& platform) {
  const std::string& variant = platform.variant;
  if (variant.size() == 2 && variant[0] == 'v' && variant[1] >= '1' && variant[1] <= '9') return variant[1] - '0';
  if (!variant.empty()) return 0;
  if (platform.architecture == "amd64") return 1;
  if (platform.architecture == "arm64") return 8;
  if (platform.architecture == "arm") return 7;
  return 0;
}

/// How well it fits; more is better, 0: not at all.
int fit(const Platform& wanted, const Platform& there) {
  const auto differs = [](const std::string& want, const std::string& has) { return !want.empty() && want != has; };
  if (differs(wanted.os, there.os) || differs(wanted.architecture, there.architecture) ||
      differs(wanted.os_version, there.os_version))
    return 0;
  for (const std::string& feature : wanted.os_features)
    if (std::ranges::find(there.os_features, feature) == there.os_features.end()) return 0;
  if (wanted.architecture.empty()) return 1;
  const int want = level_of(wanted), has = level_of(there);
  if (want == has) return wanted.variant == there.variant || want != 0 ? 100 : 0;
  return has < want && has != 0 ? has : 0;
}

}  // namespace

const Descriptor& ImageIndex::choose(const Platform& platform) const {
  const Platform wanted = normal(platform);
  const Descriptor* best = nullptr;
  const Descriptor* nameless = nullptr;
  int best_fit = 0;
  std::string there;
  for (const Descriptor& one : manifests) {
    if (!is_manifest(one.media_type) && !is_index(one.media_type)) continue;
    if (!one.platform) {
      if (nameless == nullptr) nameless = &one;
      continue;
    }
    const Platform has = normal(*one.platform);
    if (const int fits = fit(wanted, has); fits > best_fit) {
      best = &one;
      best_fit = fits;
    }
    there += (there.empty() ? "" : ", ") + has.to_string();
  }
  if (best != nullptr) return *best;
  if (nameless != nullptr) return *nameless;
  throw_error(errc::not_found, "find an image for", quoted(wanted.to_string()),
              there.empty() ? "the index lists no image" : "there are those for " + quoted(there),
              there.empty() ? "" : "name one of these platforms");
}

}  // namespace strata
